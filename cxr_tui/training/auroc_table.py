"""The AUROC of each finding during training: positives, last, best, trend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.lists import ListTable

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-~=+*#"
_TREND_WIDTH, _NARROW_TREND_WIDTH = 12, 6
_NARROW_COLUMNS = 110

SORTS = ("recipe", "finding", "positives", "last", "best", "interval", "trend")
"""Sort orders of the table, in the order of the key.

By trend: by the change since the first epoch.
"""

MEAN = "mean"
"""The key of the last row, also among intervals."""

_Interval = tuple[float, float]


def sparkline(
    values: Sequence[float], width: int = _TREND_WIDTH, *, ascii_only: bool = False
) -> str:
    """The last values as bars between 0.5 and 1; a gap if undefined."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    cells = []
    for value in values[-width:]:
        if math.isnan(value):
            cells.append(" ")
        else:
            share = min(1.0, max(0.0, (value - 0.5) / 0.5))
            cells.append(blocks[min(len(blocks) - 1, int(share * len(blocks)))])
    return "".join(cells)


class AurocTable(ListTable):
    """One row per finding and one for the mean; the cursor stays in place when rows change."""

    DEFAULT_CSS = """
    AurocTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,g", "scroll_top", "first finding", id="training.first", show=False),
        Binding("end,G", "scroll_bottom", "last finding", id="training.last", show=False),
    ]

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._ascii_only = ascii_only
        self._seen: tuple[object, ...] = ()
        self.sort_by = SORTS[0]
        self._intervals: Mapping[str, _Interval] = {}
        self._is_narrow = True

    def words_at_hand(self) -> str:
        """What the figures are; the heads don't say it."""
        return f"AUROC  {super().words_at_hand()}"

    def next_order(self) -> None:
        """Sort by the next column; by the interval only if there is one."""
        orders = [name for name in SORTS if name != "interval" or self._intervals]
        at = orders.index(self.sort_by) if self.sort_by in orders else 0
        self.sort_by = orders[(at + 1) % len(orders)]
        self._seen = ()

    def show(self, view: RunView, intervals: Mapping[str, _Interval]) -> None:
        """Fill the rows; nothing is redrawn without a new epoch.

        ``intervals`` are of the best epoch's val AUROC; without any there is no column for them.
        """
        last, is_narrow = view.last, self.app.size.width < _NARROW_COLUMNS
        seen = (view.findings, tuple(view.epochs_done), self.sort_by, last, is_narrow, intervals)
        if seen == self._seen:
            return
        self._seen, self._intervals, self._is_narrow = seen, intervals, is_narrow
        row = self.cursor_row
        rows = {name: self._cells(view, name) for name in self._ordered(view)}
        if view.findings:
            mean = [done.mean_auroc for _, done in sorted(view.epochs_done.items())]
            best = view.best.mean_auroc if view.best else None
            values = [math.nan if value is None else value for value in mean]
            rows[MEAN] = self._row(MEAN, "", last.mean_auroc if last else None, best, values)
        self.clear(columns=True)
        self._add_columns(list(rows.values()))
        for name, cells in rows.items():
            self.add_row(*cells, key=name)
        self.move_cursor(row=min(row, max(0, self.row_count - 1)), scroll=False)

    def _shown_columns(self) -> list[str]:
        """The trend is dropped for the interval if both don't fit."""
        names = ["finding", "positives", "last", "best"]
        if self._intervals:
            names.append("interval")
        if not (self._intervals and self._is_narrow):
            names.append("trend")
        return names

    def _add_columns(self, rows: Sequence[Sequence[Text]]) -> None:
        """Each as wide as needed: the table's own measuring comes later, and may cut digits."""
        mark = "v" if self._ascii_only else "▾"
        labels = {"interval": "95 % val" if self._is_narrow else "95 % of best"}
        for place, name in enumerate(self._shown_columns()):
            label = labels.get(name, name) + (mark if name == self.sort_by else "")
            title = Text(label, justify="left" if name == "finding" else "right")
            width = max([title.cell_len, *(row[place].cell_len for row in rows)])
            self.add_column(title, key=name, width=width)

    def _ordered(self, view: RunView) -> list[str]:
        names = list(view.findings)
        if self.sort_by == "recipe":
            return names
        if self.sort_by == "finding":
            return sorted(names)
        return sorted(names, key=lambda name: self._sort_value(view, name), reverse=True)

    def _sort_value(self, view: RunView, name: str) -> float:
        if self.sort_by == "positives":
            return _positives(view, name)
        if self.sort_by == "interval":
            return self._intervals.get(name, (-1.0, 0.0))[0]
        if self.sort_by == "trend":
            known = [value for value in view.trend(name) if not math.isnan(value)]
            return known[-1] - known[0] if known else -2.0
        done = view.last if self.sort_by == "last" else view.best
        value = done.auroc.get(name) if done else None
        return -1.0 if value is None else value

    def _cells(self, view: RunView, name: str) -> list[Text]:
        positives = _positives(view, name)
        last = view.last.auroc.get(name) if view.last else None
        best = view.best.auroc.get(name) if view.best else None
        return self._row(name, f"{positives:,}", last, best, view.trend(name))

    def _row(
        self, name: str, positives: str, last: float | None, best: float | None, trend: list[float]
    ) -> list[Text]:
        width = _NARROW_TREND_WIDTH if self._is_narrow else _TREND_WIDTH
        bounds = self._intervals.get(name)
        cells = {
            "positives": positives,
            "last": _number(last),
            "best": _number(best),
            "interval": "–" if bounds is None else f"{bounds[0]:.3f}–{bounds[1]:.3f}",
            "trend": sparkline(trend, width, ascii_only=self._ascii_only),
        }
        shown = [Text(cells[column], justify="right") for column in self._shown_columns()[1:]]
        return [Text(visible(name).replace("\n", " ")), *shown]


def _positives(view: RunView, name: str) -> int:
    """Positives in val; 0 if the events file doesn't have them."""
    return view.dataset.positives.get("val", {}).get(name, 0) if view.dataset else 0


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
