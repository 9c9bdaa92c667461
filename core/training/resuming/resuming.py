"""Where a run resumes from, and what it reports about it."""

from __future__ import annotations

from collections.abc import Callable

from core.events import Event, Resumed, Warned
from core.recipe import TrainSettings
from core.store.past import Past
from core.store.session import Session
from core.training.keeping import restore_last
from core.training.trainer import Trainer


def go_on(
    session: Session,
    trainer: Trainer,
    record: Callable[[Event], None],
    past: Past,
    before: TrainSettings,
) -> None:
    """Resume from the last checkpoint, if there is one; otherwise from step 0."""
    restored = restore_last(session, trainer)
    past.answers.drop_after(trainer.progress.step)
    if restored is None:
        if past.starts > 1:  # discards what an earlier start recorded
            record(Resumed(step=0, epoch=1, position=0, checkpoint="none"))
        return
    for warning in restored.warnings:
        record(Warned(message=warning))
    progress = trainer.progress
    if progress.step < past.acknowledged_step and not restored.warnings:
        record(Warned(message=_went_missing(past.acknowledged_step, progress.step)))
    record(
        Resumed(
            step=progress.step,
            epoch=progress.epoch,
            position=progress.step_in_epoch * trainer.settings.batch_size,
            checkpoint=restored.file,
        )
    )
    stretched = trainer.schedule.stretched_from(before, progress.step)
    if stretched is not None:
        record(Warned(message=stretched))


def _went_missing(acknowledged_step: int, step: int) -> str:
    return (
        f"the checkpoint of step {acknowledged_step:,} is gone from the session, though that step "
        f"was acknowledged: continuing from the one of step {step:,}"
    )
