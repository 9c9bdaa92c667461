"""Estimates what a recipe would need here, on a thread while the draft changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from core.recipe import Recipe
from cxr_tui.console.background import Background

if TYPE_CHECKING:
    from cxr_tui.recipe.estimate import DataAtHand, Estimate


class LookAhead(Background):
    """Looks at the data set; results of a recipe abandoned meanwhile are dropped."""

    class Estimated(Message):
        """What is known of a recipe so far."""

        def __init__(self, recipe: Recipe, estimate: Estimate) -> None:
            super().__init__()
            self.recipe, self.estimate = recipe, estimate

    def __init__(self) -> None:
        super().__init__()
        self.estimate: Estimate | None = None
        self._looked_at: Recipe | None = None
        self._data: DataAtHand | None = None

    def look(self, recipe: Recipe, *, afresh: bool = False) -> None:
        """Estimate the recipe; if it is already known, only if ``afresh``."""
        is_known = _takes_the_same(self._looked_at, recipe)
        if not is_known:
            self.estimate = None
        if afresh or not is_known:
            self._looked_at = recipe
            self._look(recipe, afresh)

    @work(thread=True, exclusive=True, group="estimate", description="look ahead")
    def _look(self, recipe: Recipe, afresh: bool) -> None:
        # Imported here: it brings numpy and the table readers, and painting must not wait.
        from cxr_tui.recipe.estimate import DataAtHand, estimates

        worker = get_current_worker()
        if self._data is None:
            self._data = DataAtHand(self.workspace.cache)
        if afresh:
            self._data.look_for_images_again()
        for estimate in estimates(recipe, self.workspace.cache, self.workspace.device, self._data):
            if worker.is_cancelled:
                return
            self.post_message(self.Estimated(recipe, estimate))

    def on_look_ahead_estimated(self, message: Estimated) -> None:
        """Store it; while updating, the old estimate stays until the new one is complete."""
        is_less = bool(message.estimate.stage) and self.estimate and not self.estimate.stage
        if message.recipe is not self._looked_at or is_less:
            message.stop()
            return
        self.estimate = message.estimate


def _takes_the_same(before: Recipe | None, now: Recipe) -> bool:
    """Whether the estimate of one recipe holds for another."""
    if before is None:
        return False
    fields = ("dataset", "split", "subset", "image", "model")
    same = all(getattr(before, field) == getattr(now, field) for field in fields)
    return same and before.train.batch_size == now.train.batch_size
