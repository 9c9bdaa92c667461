"""Throughput of a recipe here: a few real steps on a thread, on request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual import work
from textual.message import Message

from core.errors import CxrError
from core.recipe import Recipe
from cxr_tui.console.background import Background
from cxr_tui.terminal.key_names import key_of

if TYPE_CHECKING:
    from core.bench.throughput import Throughput


class Measurement(Background):
    """One at a time; its result is stored for recipes that train equally fast."""

    class Ended(Message):
        """A throughput, or why there is none; neither if it was cancelled."""

        def __init__(
            self, recipe: Recipe, throughput: Throughput | None, refusal: str = ""
        ) -> None:
            super().__init__()
            self.recipe, self.throughput, self.refusal = recipe, throughput, refusal

    def __init__(self) -> None:
        super().__init__()
        self.doing = ""
        """What it is doing; '' if nothing is measured."""
        # Not the worker's own cancelling: a worker cancelled before it starts never answers.
        self._is_broken_off = threading.Event()
        self._measured: tuple[tuple[object, ...], Throughput] | None = None

    def throughput(self, recipe: Recipe) -> Throughput | None:
        """The recipe's throughput; None if no similar one was measured."""
        if self._measured is None:
            return None
        from core.bench.throughput import throughput_depends_on

        known_for, throughput = self._measured
        return throughput if known_for == throughput_depends_on(recipe) else None

    def begin(self, recipe: Recipe) -> None:
        """Measure it."""
        self.doing = f"measuring: a few steps, {key_of('recipe.measure')} stops"
        self._is_broken_off = threading.Event()
        self._measure(recipe, self._is_broken_off)

    def break_off(self) -> None:
        """Measure no more steps after the current one."""
        self.doing = "stopping after this step"
        self._is_broken_off.set()

    def on_unmount(self) -> None:
        """The process must not wait for steps that nobody needs."""
        self._is_broken_off.set()

    @work(thread=True, group="measure", description="measure the throughput")
    def _measure(self, recipe: Recipe, is_broken_off: threading.Event) -> None:
        from core.bench.throughput import measured_throughput

        try:
            throughput = measured_throughput(recipe, self.workspace.device, is_broken_off.is_set)
        except CxrError as error:
            self.post_message(self.Ended(recipe, None, str(error)))
        else:
            self.post_message(self.Ended(recipe, throughput))

    def on_measurement_ended(self, message: Ended) -> None:
        """Store the result."""
        self.doing = ""
        if message.throughput is not None:
            from core.bench.throughput import throughput_depends_on

            self._measured = (throughput_depends_on(message.recipe), message.throughput)
