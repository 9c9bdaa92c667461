"""What a run keeps so that it can go on, and what it goes on from."""

from __future__ import annotations

from dataclasses import dataclass

from core.data.study import Study
from core.errors import SessionError
from core.model.own_metadata import write_metadata
from core.model.provenance import own_provenance
from core.model.weights import LoadedModel
from core.store.checkpoint import BEST, LAST, read_checkpoint, write_checkpoint
from core.store.session import Session
from core.training.trainer import Trainer


@dataclass(frozen=True)
class Restored:
    """The checkpoint that a run goes on from, and newer ones that were damaged."""

    file: str
    warnings: tuple[str, ...]


def checkpoint_metadata(session: Session, study: Study, loaded: LoadedModel) -> dict[str, str]:
    """What the run's weights say of themselves, wherever their file is taken."""
    # Val patients chose the best epoch: weights have seen them too, in that sense.
    patients = {*study.patients("train").tolist(), *study.patients("val").tolist()}
    provenance = own_provenance(
        patients,
        dataset=study.patients_known_as,
        session=session.name,
        started_from=loaded.provenance,
    )
    return write_metadata(loaded.model.findings, loaded.model.input_spec, provenance)


def keep_last(session: Session, trainer: Trainer, metadata: dict[str, str]) -> None:
    """Everything that going on takes; on disk and verified on return."""
    model, optimizer = trainer.tensors()
    write_checkpoint(
        session.checkpoints, LAST, model, trainer.state(), metadata, training_tensors=optimizer
    )


def keep_best(session: Session, trainer: Trainer, metadata: dict[str, str]) -> None:
    """The weights alone: the best epoch so far."""
    model, _ = trainer.tensors()
    write_checkpoint(session.checkpoints, BEST, model, trainer.state(), metadata)


def restore_last(session: Session, trainer: Trainer) -> Restored | None:
    """Put the trainer where the last checkpoint left it; None where there is none."""
    try:
        checkpoint = read_checkpoint(session.checkpoints, LAST)
    except SessionError:
        return None
    trainer.restore(
        dict(checkpoint.tensors), dict(checkpoint.training_tensors), dict(checkpoint.state)
    )
    return Restored(checkpoint.file.state_path.stem, checkpoint.passed_over)


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
        accepts=lambda state: state.get("progress", {}).get("best_epoch") == wanted,
    )
    trainer.model.load_state_dict(dict(best.tensors))
    newest = read_checkpoint(session.checkpoints, BEST)
    return newest.file.generation == best.file.generation
