"""The columns of the list of sessions: their cells, the sort order, and which ones fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from core.words import number_of
from cxr_tui.runs.health_text import GRAVE, sign_of
from cxr_tui.runs.state_marks import MARKS
from cxr_tui.sessions.listed import SearchRow
from cxr_tui.sessions.words import tags_of
from cxr_tui.terminal.safe_text import duration, shortened, visible

if TYPE_CHECKING:
    from cxr_tui.sessions.listed import Listed, Row

_PADDING, _SCROLL_BAR, _SHORTEST_NAME = 2, 1, 12
"""Padding of each column, width of the scroll bar, and minimum width of a name."""

_NAME_BESIDE_MORE = 16
"""Minimum width of a name if optional columns are shown."""

_LONGEST_TEXT = 14
"""Maximum length of a finding or a device."""

_WIDE_FROM, _LIST_NEEDS, _NARROWEST, _WIDEST = 164, 124, 40, 64
"""Cells: of the terminal from which there is a preview, of the list beside it, of the preview."""

_LONGEST_TAGS = 30


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        cell: its text for a session.
        value: its sort key, ascending; None is always last.
        left: whether it is left-aligned.
        more: whether it is only shown on wide terminals.
    """

    name: str
    cell: Callable[[Listed], str]
    value: Callable[[Listed], Any]
    left: bool = False
    more: bool = False

    def text(self, summary: Listed) -> Text:
        """The aligned cell."""
        return Text(self.cell(summary), justify=self.justify, no_wrap=True)

    @property
    def justify(self) -> Any:
        """Rich's name of the alignment."""
        return "left" if self.left else "right"


def age_of(summary: Listed) -> str:
    """The time since the session's last sign of activity."""
    return duration(max(0.0, time.time() - summary.updated))


def findings_in_words(findings: Sequence[str]) -> str:
    """The finding if there is only one, else their number."""
    if len(findings) == 1:
        return shortened(visible(findings[0]), _LONGEST_TEXT)
    return number_of(len(findings), "finding") if findings else "–"


def _state(summary: Listed) -> str:
    """The state, with a mark if there is more to read below the list; of a search its trials."""
    if isinstance(summary, SearchRow):
        return f"{MARKS[summary.state]} {summary.trials}"
    state = f"silent {age_of(summary)}" if summary.state == "silent" else summary.state
    mark = f" {sign_of(summary.health)}" if summary.health in GRAVE else ""
    return f"{MARKS[summary.state]} {state}{mark}"


def _epoch(summary: Listed) -> str:
    return "" if isinstance(summary, SearchRow) else f"{summary.epoch}/{summary.epochs}"


def _place_of_state(summary: Listed) -> int:
    return list(MARKS).index(summary.state)


def _age(summary: Listed) -> float:
    """The age for sorting; running sessions count as new, so that they don't keep changing
    places."""
    return 0.0 if summary.state == "running" else time.time() - summary.updated


def _device(summary: Listed) -> str:
    """A GPU's model, or just ``cpu``."""
    name = summary.device
    if name.endswith("(cpu)"):
        return "cpu"
    model = name.removeprefix("NVIDIA ").removeprefix("AMD ").partition(" (")[0]
    return shortened(visible(model), _LONGEST_TEXT) or "–"


def _known(value: object, text: str) -> str:
    return "–" if value is None else text


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


COLUMNS = (
    Column("name", lambda s: visible(s.name), lambda s: s.name, left=True),
    Column("state", _state, _place_of_state, left=True),
    Column("epoch", _epoch, lambda s: -s.epoch),
    Column(
        "val AUROC",
        lambda s: _known(s.best_val_auroc, f"{s.best_val_auroc or 0.0:.3f}"),
        lambda s: _negative(s.best_val_auroc),
    ),
    Column("best at", lambda s: _known(s.best_epoch, f"{s.best_epoch}"), lambda s: s.best_epoch),
    Column("age", age_of, _age),
    Column("size", lambda s: f"{s.num_bytes / 1e6:,.0f} MB", lambda s: -s.num_bytes),
    Column(
        "trials",
        lambda s: s.counts if isinstance(s, SearchRow) else "",
        lambda s: s.counts if isinstance(s, SearchRow) else None,
        left=True,
        more=True,
    ),
    Column(
        "findings",
        lambda s: findings_in_words(s.findings),
        lambda s: (len(s.findings), s.findings) if s.findings else None,
        left=True,
        more=True,
    ),
    Column("px", lambda s: _known(s.size_px, f"{s.size_px}"), lambda s: s.size_px, more=True),
    Column(
        "images/s",
        lambda s: _known(s.images_per_second, f"{s.images_per_second or 0.0:,.0f}"),
        lambda s: _negative(s.images_per_second),
        more=True,
    ),
    Column("device", _device, lambda s: s.device or None, left=True, more=True),
    Column(
        "tags",
        lambda s: shortened(tags_of(s), _LONGEST_TAGS),
        lambda s: s.tags or None,
        left=True,
        more=True,
    ),
)
"""From left to right."""


@dataclass(frozen=True)
class Order:
    """The sort order of the list: newest first by default, or by a column."""

    column: Column | None = None
    is_turned: bool = False

    @classmethod
    def of(cls, text: str) -> Order:
        """What was remembered; the default where no column has that name."""
        name = text.removeprefix("-")
        column = next((column for column in COLUMNS if column.name == name), None)
        return cls(column, text.startswith("-")) if column or not name else cls()

    def __str__(self) -> str:
        return ("-" if self.is_turned else "") + (self.column.name if self.column else "")

    def next(self, shown: Sequence[Column]) -> Order:
        """Sort by the next column shown; after the last one by age again."""
        after = shown[shown.index(self.column) + 1 :] if self.column in shown else shown
        return Order(after[0] if after else None)

    def by(self, column: Column) -> Order:
        """By that column; if it is by that one already, the other way round."""
        return self.turned() if column == self.column else Order(column)

    def turned(self) -> Order:
        """The reverse order."""
        return Order(self.column, not self.is_turned)

    def ordered(self, summaries: Sequence[Row]) -> list[Row]:
        """The sorted sessions; those without a value in the column are always last."""
        if self.column is None:
            return list(reversed(summaries) if self.is_turned else summaries)
        valued = [(self.column.value(summary), summary) for summary in summaries]
        known = [pair for pair in valued if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=self.is_turned)
        return [summary for _, summary in known] + [s for value, s in valued if value is None]

    def head(self, column: Column, *, ascii_only: bool) -> Text:
        """The column's head, with a mark if the list is sorted by it."""
        up, down = "^v" if ascii_only else "▴▾"
        sign = (up if self.is_turned else down) if column == self.column else ""
        return Text(column.name + sign, justify=column.justify)

    def in_words(self) -> str:
        """A description for the footer; empty for the default order."""
        if self.column is None:
            return "the oldest first" if self.is_turned else ""
        return f"by {self.column.name}" + (", turned round" if self.is_turned else "")


def columns_that_fit(
    shown: Sequence[Listed], width: int, head: Callable[[Column], Text]
) -> tuple[list[Column], int]:
    """The columns that fit next to names of reasonable length, and the width left for a name."""
    columns = [column for column in COLUMNS if not column.more]
    room = width - _SCROLL_BAR - _PADDING
    room -= sum(_width(column, shown, head) for column in columns[1:])
    for column in (column for column in COLUMNS if column.more):
        if shown and not any(column.cell(summary) for summary in shown):
            continue
        takes = _width(column, shown, head)
        if room - takes < _NAME_BESIDE_MORE:
            break
        columns.append(column)
        room -= takes
    return columns, max(_SHORTEST_NAME, room)


def _width(column: Column, shown: Sequence[Listed], head: Callable[[Column], Text]) -> int:
    cells = [column.text(summary).cell_len for summary in shown]
    return max([head(column).cell_len, *cells]) + _PADDING


def preview_width(width: int) -> int:
    """Cells of the preview in a terminal of that width; 0: the list has all of it."""
    if width < _WIDE_FROM:
        return 0
    return max(_NARROWEST, min(_WIDEST, width - _LIST_NEEDS))
