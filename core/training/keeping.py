"""What a run keeps so that it can go on, and what it goes on from."""

from __future__ import annotations

from dataclasses import dataclass

from core.data.study.study import Study
from core.errors import SessionError
from core.model.densenet import build_model
from core.model.own_metadata import read_metadata, write_metadata
from core.model.patient_digests import keys_beside, own_key
from core.model.provenance import FRESH, Provenance, own_provenance
from core.model.weights import LoadedModel, WeightsReport, backbone_names
from core.recipe import Recipe
from core.store.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from core.store.seals import SEALS, Seals
from core.store.session import Session
from core.training.resuming.same_run import progress_of, refuse_another_run
from core.training.trainer import Trainer

_BYTES_A_PREDICTION = 24
_SPARE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Restored:
    """The checkpoint that a run goes on from, and newer ones that were damaged."""

    file: str
    warnings: tuple[str, ...]


def checkpoint_metadata(session: Session, study: Study, loaded: LoadedModel) -> dict[str, str]:
    """What the run's weights say of themselves, wherever their file is taken.

    Raises:
        SessionError, OSError: the key to their patients can't be read or kept in the session.
    """
    # Val patients chose the best epoch: weights have seen them too, in that sense.
    patients = {*study.patients("train").tolist(), *study.patients("val").tolist()}
    provenance = own_provenance(
        patients,
        dataset=study.patients_known_as,
        session=session.name,
        started_from=loaded.provenance,
        key=own_key(session.path, loaded.provenance.keys()),
    )
    return write_metadata(loaded.model.findings, loaded.model.input_spec, provenance)


def keep_last(
    session: Session, trainer: Trainer, metadata: dict[str, str], seals: Seals | None = None
) -> None:
    """Everything that going on takes; on disk and verified on return."""
    model, optimizer = trainer.tensors()
    state = trainer.state() | ({} if seals is None else {SEALS: seals.to_json()})
    write_checkpoint(session.checkpoints, LAST, model, state, metadata, training_tensors=optimizer)


def keep_best(session: Session, trainer: Trainer, metadata: dict[str, str]) -> None:
    """The weights alone: the best epoch so far."""
    model, _ = trainer.tensors()
    write_checkpoint(session.checkpoints, BEST, model, trainer.state(), metadata)


def run_size_bytes(study: Study, loaded: LoadedModel) -> int:
    """What a run's session takes at most, in bytes, while a checkpoint is being written.

    Two generations of last and of best, one more of last, and the predictions; the events of
    weeks are within the spare.
    """
    network: int = sum(item.nbytes for item in loaded.model.state_dict().values())
    parameters: int = sum(item.nbytes for item in loaded.model.parameters())
    settings = study.recipe.train
    moments = 2 if settings.optimizer == "adamw" else int(settings.momentum > 0)
    last, best = network + moments * parameters, network
    rows = len(study.rows("val")) + len(study.rows("test"))
    predictions = rows * len(study.index.findings) * _BYTES_A_PREDICTION
    return 3 * last + 2 * best + predictions + _SPARE_BYTES


def restore_last(session: Session, trainer: Trainer) -> Restored | None:
    """Put the trainer where the last checkpoint left it; None where there is none."""
    try:
        checkpoint = read_checkpoint(session.checkpoints, LAST)
    except SessionError:
        return None
    refuse_another_run(checkpoint, trainer)
    trainer.restore(
        dict(checkpoint.tensors), dict(checkpoint.training_tensors), dict(checkpoint.state)
    )
    return Restored(checkpoint.file.state_path.stem, checkpoint.passed_over)


def model_to_go_on_with(session: Session, recipe: Recipe) -> LoadedModel | None:
    """A network of the last checkpoint's kind, or None where there is none.

    The weights that the run began with may be gone by now; what they expect of an image, and
    whom they have seen, is in the checkpoint. Its tensors are put in by ``restore_last``.
    """
    try:
        checkpoint = read_checkpoint(session.checkpoints, LAST)
    except SessionError:
        return None
    own = read_metadata(checkpoint.metadata, where=checkpoint.file.model_path)
    if own is None:
        return None
    findings = recipe.dataset.findings
    model = build_model(findings, seed=recipe.train.seed, input_spec=own.input_spec)
    total = len(backbone_names(model.state_dict()))
    report = WeightsReport(
        kind=own.provenance.kind,
        path=checkpoint.file.model_path,
        matched=total,
        total=total,
        head_rows={finding: finding for finding in findings},
        missing=(),
        unexpected=(),
        warnings=(),
        text="this session's own last checkpoint",
    )
    began_with = own.provenance.started_from or Provenance(FRESH, "weights that saw no patient")
    keys = keys_beside(checkpoint.file.model_path)
    return LoadedModel(model, report, began_with.with_keys(keys))


def has_checkpoint(session: Session) -> bool:
    """Whether there is a last checkpoint, whole or not."""
    return any(session.checkpoints.glob(f"{LAST}-*.json"))


def load_best(session: Session, trainer: Trainer) -> bool:
    """Put the best epoch's weights into the network; the last ones stay where none was best.

    A run that was killed between keeping a best and its checkpoint may have left a newer best
    than the one it then chose. False where that was so.
    """
    wanted = trainer.progress.best_epoch
    if wanted is None:
        return True
    best = read_checkpoint(
        session.checkpoints,
        BEST,
        accepts=lambda state: (progress_of(state) or {}).get("best_epoch") == wanted,
    )
    refuse_another_run(best, trainer)
    trainer.model.load_state_dict(dict(best.tensors))
    newest = read_checkpoint(session.checkpoints, BEST)
    return newest.file.generation == best.file.generation
