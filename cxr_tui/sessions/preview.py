"""Beside the list: the selected session's curves, how its recipe differs, what was noted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from cxr_tui.runs.state_marks import MARKS
from cxr_tui.sessions.columns import findings_in_words
from cxr_tui.sessions.words import notes_of
from cxr_tui.terminal.hanging import hanging
from cxr_tui.terminal.safe_text import name_shortened, shortened, visible
from cxr_tui.widgets.line_chart import Chart, Line
from cxr_tui.widgets.titled_chart import TitledChart

if TYPE_CHECKING:
    from core.events import EpochDone
    from core.recipe import Recipe
    from core.store.summary import SessionDetails, SessionSummary


_EDGES = 3
"""Cells of the preview that are not for text: its border and padding."""

_LOW = 40
"""Lines of the preview below which it has one chart."""

_MOST_CHANGES = 12
_LONGEST_KEY = 26


class Preview(Vertical):
    """The selected session at a glance; its test figures are not shown."""

    DEFAULT_CSS = """
    Preview { display: none; border-left: solid $panel-lighten-2; padding: 0 1; }
    Preview > Static { height: auto; }
    Preview > TitledChart { height: 1fr; max-height: 18; padding: 0; margin-top: 1; }
    Preview > #changes { margin-top: 1; }
    Preview > #notes { margin-top: 1; max-height: 6; }
    Preview.-low > #loss, Preview.-empty > #loss { display: none; }
    Preview.-empty > #auroc { height: 3; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        """The head, two charts, the changes, the notes."""
        yield Static(id="title")
        yield TitledChart(ascii_only=self._ascii_only, id="auroc")
        yield TitledChart(ascii_only=self._ascii_only, id="loss")
        yield Static(id="changes")
        yield Static(id="notes")

    def on_resize(self) -> None:
        """One chart is enough where both would be too low to read."""
        self.set_class(self.size.height < _LOW, "-low")

    def show(self, summary: SessionSummary, details: SessionDetails, width: int) -> None:
        """Show this session, in so many cells."""
        self.styles.width = width
        width -= _EDGES
        self.set_class(not details.epochs, "-empty")
        self.query_one("#title", Static).update(_title(summary, details.recipe, width))
        self.query_one("#auroc", TitledChart).show(
            ("mean val AUROC over epochs", "val AUROC"), _auroc_chart(details.epochs)
        )
        self.query_one("#loss", TitledChart).show(
            ("loss over epochs: ─ train  • val", "loss"),
            _loss_chart(details.epochs, details.base_rate_loss),
        )
        self.query_one("#changes", Static).update(_changes(details.recipe, width))
        notes = hanging(Text("\n").join(notes_of(summary)), self.app.console, width)
        self.query_one("#notes", Static).update(notes)


def _title(summary: SessionSummary, recipe: Recipe | None, width: int) -> Text:
    """Name and state; what was trained; on what."""
    name = name_shortened(visible(summary.name), max(1, width - len(summary.state) - 4))
    text = Text(name, style="bold", no_wrap=True)
    text.append(f"  {MARKS[summary.state]} {summary.state}", style="not bold")
    trained = [findings_in_words(summary.findings), f"{summary.size_px} px"]
    if recipe is not None:
        lines = [" · ".join([visible(recipe.name), *trained]), _device(summary)]
        for line in filter(None, lines):
            text.append(f"\n{shortened(line, width)}", style="not bold")
    return text


def _device(summary: SessionSummary) -> str:
    rate = summary.images_per_second
    rate_words = "" if rate is None else f"{rate:,.0f} images/s"
    return " · ".join(filter(None, (visible(summary.device), rate_words)))


def _auroc_chart(epochs: Sequence[EpochDone]) -> Chart:
    values = [math.nan if one.mean_auroc is None else one.mean_auroc for one in epochs]
    line = Line("mean val AUROC", _numbers(epochs), tuple(values), "orange")
    return Chart(
        (line,),
        x_limits=_limits(epochs),
        whole_x=True,
        level=0.5,
        level_label="chance 0.5",
        empty="no epoch yet" if not epochs else "undefined in every epoch",
    )


def _loss_chart(epochs: Sequence[EpochDone], base: float | None) -> Chart:
    train = Line("train", _numbers(epochs), tuple(one.train_loss for one in epochs), "blue")
    val = Line("val", _numbers(epochs), tuple(one.val_loss for one in epochs), "orange", dots=True)
    return Chart(
        (train, val),
        x_limits=_limits(epochs),
        whole_x=True,
        level=base,
        level_label="" if base is None else f"base rate {base:.3f}",
        empty="no epoch yet",
    )


def _numbers(epochs: Sequence[EpochDone]) -> tuple[float, ...]:
    return tuple(float(one.epoch) for one in epochs)


def _limits(epochs: Sequence[EpochDone]) -> tuple[float, float]:
    return 0.0, max([1.0, *_numbers(epochs)])


def _changes(recipe: Recipe | None, width: int) -> Text:
    """How the recipe differs from the preset of its name, or from what a recipe is by default."""
    if recipe is None:
        return Text("")
    from core.recipe import PATH_KEYS
    from core.recipe_toml import differences

    preset = _preset(recipe.name)
    of = f"preset {visible(recipe.name)}" if preset is not None else "the defaults"
    changed = differences(preset or _defaults(), recipe)
    changed.pop("name", None)
    if not changed:
        return Text(f"The recipe is {of}, unchanged.", style="dim")
    lines = [Text(f"The recipe differs from {of} in", style="dim")]
    longest = min(_LONGEST_KEY, max(map(len, changed)))
    for key, (before, after) in list(changed.items())[:_MOST_CHANGES]:
        values = (after,) if key in PATH_KEYS else (before, after)
        words = " → ".join(map(_in_words, values))
        room = max(8, width - longest - 3)
        lines.append(Text(f" {key:<{longest}}  ").append(_cut(words, room, key in PATH_KEYS)))
    if len(changed) > _MOST_CHANGES:
        lines.append(Text(f" and {len(changed) - _MOST_CHANGES} more", style="dim"))
    return Text("\n", no_wrap=True).join(lines)


def _cut(words: str, room: int, is_path: bool) -> str:
    return name_shortened(words, room) if is_path else shortened(words, room)


def _in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else visible(" ".join(str(value).splitlines()))


@lru_cache(maxsize=32)
def _preset(name: str) -> Recipe | None:
    """The recipe that comes with the program under that name."""
    from core.recipe_toml import load_recipe
    from core.shipped_recipes import broken_recipes, shipped_recipes

    return load_recipe(name) if name in shipped_recipes() | broken_recipes() else None


@lru_cache(maxsize=1)
def _defaults() -> Recipe:
    from core.recipe import Recipe

    return Recipe()
