"""The panel next to the form: steps, cache, device, time of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual import getters
from textual.app import ComposeResult
from textual.containers import VerticalGroup
from textual.widgets import Static

from core.recipe import Recipe
from core.store.disk import size_in_words
from cxr_tui.console.console import Console
from cxr_tui.recipe.look_ahead import LookAhead
from cxr_tui.recipe.measurement import Measurement
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import duration, visible

if TYPE_CHECKING:
    from core.bench.throughput import Throughput
    from cxr_tui.recipe.estimate import Estimate

UNKNOWN = "–"
_GIB = 2**30


class EstimatePanel(VerticalGroup):
    """What is known of the draft; its parts estimate, and measure on request."""

    console = getters.app(Console)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ahead, self._measurement, self._lines = LookAhead(), Measurement(), Static()

    def compose(self) -> ComposeResult:
        """The estimate, in lines."""
        yield self._ahead
        yield self._measurement
        yield self._lines

    def look(self, *, afresh: bool = False) -> None:
        """Estimate the draft; if it is already known, only if ``afresh``."""
        self._ahead.look(self.console.workspace.draft, afresh=afresh)
        self._show()

    def on_look_ahead_estimated(self) -> None:
        """More is known."""
        self._show()

    def measure(self) -> None:
        """Measure a few real steps; again: cancel."""
        running = self.console.workspace.running
        if self._measurement.doing:
            self.break_off()
        elif running is not None:
            self.console.say(f"{running.name} is running and would distort the measurement")
        else:
            self._measurement.begin(self.console.workspace.draft)
            self._show()

    def break_off(self) -> None:
        """Measure no more steps after the current one."""
        if self._measurement.doing:
            self._measurement.break_off()
            self._show()

    def on_measurement_ended(self, message: Measurement.Ended) -> None:
        """Show the throughput, or why it is unknown."""
        if message.refusal:
            self.console.say(message.refusal)
        self._show()

    def _show(self) -> None:
        draft, estimate = self.console.workspace.draft, self._ahead.estimate
        if estimate is not None and not estimate.stage:
            self.console.workspace.know_problem(draft, estimate.problem)
        throughput = self._measurement.throughput(draft)
        self._lines.update(estimate_lines(draft, estimate, throughput, self._measurement.doing))


def estimate_lines(
    recipe: Recipe, estimate: Estimate | None, throughput: Throughput | None, measuring: str
) -> Group:
    """Names and values, a dash if unknown; what needs attention below them.

    ``measuring`` is the state of a measurement, or why there is none; '' offers one.
    """
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold", ratio=1)
    for name, value in (
        ("per epoch", _steps(recipe, estimate)),
        ("images", _images(estimate)),
        ("cache", _cache(estimate)),
        ("disk", _disk(estimate)),
        ("device", visible(_device(estimate, throughput))),
        ("time", measuring or _time(recipe, estimate, throughput)),
    ):
        grid.add_row(name, Text(value))
    notes = Table.grid(padding=(0, 1), expand=True)
    notes.add_column(no_wrap=True)
    notes.add_column(overflow="fold", ratio=1)
    for mark, text in _attention(estimate):
        notes.add_row(mark, Text(visible(text)))
    return Group(grid, notes)


def _steps(recipe: Recipe, estimate: Estimate | None) -> str:
    if estimate is None or estimate.steps_per_epoch is None:
        return UNKNOWN
    epochs = recipe.train.epochs
    return f"{estimate.steps_per_epoch:,} steps; {epochs:,} epoch{'' if epochs == 1 else 's'}"


def _images(estimate: Estimate | None) -> str:
    if estimate is None or estimate.images is None:
        return UNKNOWN
    return ", ".join(f"{part} {count:,}" for part, count in estimate.images.items())


def _cache(estimate: Estimate | None) -> str:
    if estimate is None or estimate.cache_bytes is None:
        return UNKNOWN
    share = estimate.share_ready
    there = "" if share is None else f", {100 * share:.0f} % ready"
    return f"{size_in_words(estimate.cache_bytes)}{there}"


def _disk(estimate: Estimate | None) -> str:
    if estimate is None or estimate.disk_free_bytes is None:
        return UNKNOWN
    return f"{size_in_words(estimate.disk_free_bytes)} free"


def _device(estimate: Estimate | None, throughput: Throughput | None) -> str:
    if throughput is not None:
        memory = (
            ""
            if throughput.peak_bytes is None
            else f", {size_in_words(throughput.peak_bytes)} used"
        )
        return f"{throughput.device}, {throughput.precision}{memory}"
    return UNKNOWN if estimate is None else estimate.device or UNKNOWN


def _time(recipe: Recipe, estimate: Estimate | None, throughput: Throughput | None) -> str:
    if throughput is None:
        return f"{key_of('recipe.measure')} measures it"
    rate = f"{throughput.train_images_per_second:,.3g} images/s"
    if estimate is None or estimate.images is None:
        return rate
    seconds = throughput.epoch_seconds(estimate.images)
    whole = duration(seconds * recipe.train.epochs)
    return f"{duration(seconds)} per epoch, {whole} in total, at {rate}"


def _attention(estimate: Estimate | None) -> list[tuple[str, str]]:
    if estimate is None:
        return []
    lines = [("▲", estimate.problem)] if estimate.problem else []
    if estimate.lacks_disk:
        lines.append(("▲", "the cache does not fit: free some space, or use --cache DIR"))
    lines += [("·", estimate.note)] if estimate.note else []
    lines += [("·", f"{estimate.stage} …")] if estimate.stage else []
    return lines
