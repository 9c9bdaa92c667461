"""Following the draft: what it would take here, and, when asked, how fast it trains."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from core.errors import CxrError
from core.recipe import Recipe
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.top_line import TopLine

if TYPE_CHECKING:
    from core.bench.throughput import Throughput
    from cxr_tui.recipe.estimate import DataAtHand, Estimate


class LookingAheadScreen(ConsoleScreen):
    """Threads look at the data set and measure; their messages are dropped once out of date."""

    class Estimated(Message):
        """What is known of a recipe so far."""

        def __init__(self, recipe: Recipe, estimate: Estimate) -> None:
            super().__init__()
            self.recipe, self.estimate = recipe, estimate

    class Measured(Message):
        """A throughput, or why there is none; neither where it was broken off."""

        def __init__(
            self, recipe: Recipe, throughput: Throughput | None, refusal: str = ""
        ) -> None:
            super().__init__()
            self.recipe, self.throughput, self.refusal = recipe, throughput, refusal

    def __init__(self) -> None:
        super().__init__()
        self.estimate: Estimate | None = None
        self.measuring = ""
        self._is_measuring = False
        # Not the worker's own cancelling: one that is cancelled before it begins never answers.
        self._is_broken_off = threading.Event()
        self._measured: tuple[tuple[object, ...], Throughput] | None = None
        self._looked_at: Recipe | None = None
        self._data: DataAtHand | None = None

    @property
    def has_parts(self) -> bool:
        """Whether there is anything to show it on: the app's timer also runs while they go."""
        return bool(self.query(TopLine))

    def show_running(self) -> None:
        """Name the running session on top."""
        if self.has_parts:
            super().show_running()

    def show_estimate(self) -> None:
        """Show what is known."""

    @property
    def throughput(self) -> Throughput | None:
        """How fast the draft trains; None where a recipe like it wasn't measured."""
        if self._measured is None:
            return None
        from core.bench.throughput import throughput_depends_on

        known_for, throughput = self._measured
        return throughput if known_for == throughput_depends_on(self.workspace.draft) else None

    def look_ahead(self, *, afresh: bool = False) -> None:
        """See what the draft takes; where that is known, only if ``afresh``."""
        draft = self.workspace.draft
        is_known = _takes_the_same(self._looked_at, draft)
        if not is_known:
            self.estimate = None
        if afresh or not is_known:
            self._looked_at = draft
            self._look(draft, afresh)
        if not self._is_measuring:
            self.measuring = ""
        self.show_estimate()

    @work(thread=True, exclusive=True, group="estimate", description="look ahead")
    def _look(self, recipe: Recipe, afresh: bool) -> None:
        # Loaded here: it brings numpy and the readers of tables, and painting must not wait.
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

    @on(Estimated)
    def _take_estimate(self, message: Estimated) -> None:
        if message.recipe is not self._looked_at:
            return
        known = self.estimate
        if known is not None and message.estimate.stage and not known.stage:
            return  # looked at before: what was known stays until all is known anew
        self.estimate = message.estimate
        self.show_estimate()

    def action_measure(self) -> None:
        """A few real steps; again: break that off."""
        if self._is_measuring:
            self._break_off()
            return
        if self.workspace.running is not None:
            self.console.say(f"{self.workspace.running.name} is running: both would be measured")
            return
        self._is_measuring, self._is_broken_off = True, threading.Event()
        self.measuring = "measuring: a few steps, m stops"
        self.show_estimate()
        self._measure(self.workspace.draft, self._is_broken_off)

    def on_screen_suspend(self) -> None:
        """A run that is started now must not share the machine with a measurement."""
        self._break_off()

    def on_unmount(self) -> None:
        """The process must not wait for steps that nobody wants."""
        self._break_off()

    def _break_off(self) -> None:
        if self._is_measuring:
            self.measuring = "stopping after this step"
            self._is_broken_off.set()
            if self.is_current:
                self.show_estimate()

    @work(thread=True, group="measure", description="measure the throughput")
    def _measure(self, recipe: Recipe, is_broken_off: threading.Event) -> None:
        from core.bench.throughput import measured_throughput

        try:
            throughput = measured_throughput(recipe, self.workspace.device, is_broken_off.is_set)
        except CxrError as error:
            self.post_message(self.Measured(recipe, None, str(error)))
        else:
            self.post_message(self.Measured(recipe, throughput))

    @on(Measured)
    def _take_throughput(self, message: Measured) -> None:
        from core.bench.throughput import throughput_depends_on

        self._is_measuring = False
        self.measuring = ""
        if message.throughput is not None:
            self._measured = (throughput_depends_on(message.recipe), message.throughput)
        elif message.refusal:
            self.console.say(message.refusal)
        self.show_estimate()


def _takes_the_same(before: Recipe | None, now: Recipe) -> bool:
    """Whether what was found out about one recipe holds for another."""
    if before is None:
        return False
    fields = ("dataset", "split", "subset", "image", "model")
    same = all(getattr(before, field) == getattr(now, field) for field in fields)
    return same and before.train.batch_size == now.train.batch_size
