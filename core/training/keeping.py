"""What a run saves so that it can be resumed, and how it resumes."""

from __future__ import annotations

from dataclasses import dataclass

from core.data.images.grey_rule import GreyRule
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
    """The checkpoint that a run resumes from, and newer ones that were damaged."""

    file: str
    warnings: tuple[str, ...]


def checkpoint_metadata(session: Session, study: Study, loaded: LoadedModel) -> dict[str, str]:
    """Metadata that describes the run's weights, wherever their file is copied.

    Raises:
        SessionError, OSError: the key of the patients' seals can't be read or saved.
    """
    # Val patients chose the best epoch, so in that sense the weights have seen them too.
    patients = {*study.patients("train").tolist(), *study.patients("val").tolist()}
    provenance = own_provenance(
        patients,
        dataset=study.patients_known_as,
        session=session.name,
        started_from=loaded.provenance,
        key=own_key(session.path, loaded.provenance.keys()),
    )
    grey = GreyRule.of(study.recipe.image)
    return write_metadata(loaded.model.findings, loaded.model.input_spec, provenance, grey)


def keep_last(
    session: Session, trainer: Trainer, metadata: dict[str, str], seals: Seals | None = None
) -> None:
    """Save all that resuming needs; on disk and verified on return."""
    model, optimizer = trainer.tensors()
    state = trainer.state() | ({} if seals is None else {SEALS: seals.to_json()})
    write_checkpoint(session.checkpoints, LAST, model, state, metadata, training_tensors=optimizer)


def keep_best(session: Session, trainer: Trainer, metadata: dict[str, str]) -> None:
    """Save the weights of the best epoch so far, without the optimiser."""
    model, _ = trainer.tensors()
    write_checkpoint(session.checkpoints, BEST, model, trainer.state(), metadata)


def run_size_bytes(study: Study, loaded: LoadedModel) -> int:
    """Upper bound of a session's size in bytes, including a checkpoint being written.

    Two generations of last and of best, one more of last, and the predictions; weeks of events fit
    in the spare.
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
    """Restore the trainer from the last checkpoint; None if there is none."""
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
    """A network for the last checkpoint's weights; None if there is no checkpoint.

    The initial weights may be gone by now; the input that they expect, and the patients that they
    have seen, are in the checkpoint. ``restore_last`` loads its tensors.
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
    """Whether there is a last checkpoint, damaged or not."""
    return any(session.checkpoints.glob(f"{LAST}-*.json"))


def load_best(session: Session, trainer: Trainer) -> bool:
    """Load the best epoch's weights; without a best epoch the last weights stay.

    A run killed between saving a best and its checkpoint may have left a newer best than the one it
    then chose. False in that case.
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
