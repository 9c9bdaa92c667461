"""The AUROC of each finding while a run trains: positives, last, best, trend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text
from textual.widgets import DataTable

from cxr_tui.run_view import RunView

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-~=+*#"
_TREND_WIDTH, _NARROW_TREND_WIDTH = 12, 6
_NARROW_COLUMNS = 60

SORTS = ("recipe", "last", "best", "positives")
"""Orders of the table, in the order in which the key goes through them."""


def sparkline(
    values: Sequence[float], width: int = _TREND_WIDTH, *, ascii_only: bool = False
) -> str:
    """The last values as bars between 0.5 and 1; a gap where one is undefined."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    cells = []
    for value in values[-width:]:
        if math.isnan(value):
            cells.append(" ")
        else:
            share = min(1.0, max(0.0, (value - 0.5) / 0.5))
            cells.append(blocks[min(len(blocks) - 1, int(share * len(blocks)))])
    return "".join(cells)


class AurocTable(DataTable[Text]):
    """One row a finding and one for the mean; the cursor stays where it is when rows change."""

    DEFAULT_CSS = """
    AurocTable { height: 1fr; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._ascii_only = ascii_only
        self._seen: tuple[object, ...] = ()
        self.sort_by = SORTS[0]

    def on_mount(self) -> None:
        """Columns are the same for every run."""
        for label in ("finding", "positives", "last", "best", "trend"):
            self.add_column(
                Text(label, justify="left" if label == "finding" else "right"), key=label
            )

    def next_order(self) -> str:
        """Sort by the next column."""
        self.sort_by = SORTS[(SORTS.index(self.sort_by) + 1) % len(SORTS)]
        self._seen = ()
        return self.sort_by

    def show(self, view: RunView) -> None:
        """Fill the rows; nothing is redrawn where no epoch was added."""
        last = view.last
        seen = (view.findings, tuple(view.epochs_done), self.sort_by, last, self.size.width)
        if seen == self._seen:
            return
        self._seen = seen
        row = self.cursor_row
        self.clear()
        for name in self._ordered(view):
            self.add_row(*self._cells(view, name), key=name)
        if view.findings:
            mean = [done.mean_auroc for _, done in sorted(view.epochs_done.items())]
            best = view.best.mean_auroc if view.best else None
            values = [math.nan if value is None else value for value in mean]
            self.add_row(*self._row("mean", "", last.mean_auroc if last else None, best, values))
        self.move_cursor(row=min(row, max(0, self.row_count - 1)), scroll=False)

    def _ordered(self, view: RunView) -> list[str]:
        names = list(view.findings)
        if self.sort_by == "recipe":
            return names
        return sorted(names, key=lambda name: self._sort_value(view, name), reverse=True)

    def _sort_value(self, view: RunView, name: str) -> float:
        if self.sort_by == "positives":
            return view.dataset.positives["val"].get(name, 0) if view.dataset else 0
        done = view.last if self.sort_by == "last" else view.best
        value = done.auroc.get(name) if done else None
        return -1.0 if value is None else value

    def _cells(self, view: RunView, name: str) -> list[Text]:
        positives = view.dataset.positives["val"].get(name, 0) if view.dataset else 0
        last = view.last.auroc.get(name) if view.last else None
        best = view.best.auroc.get(name) if view.best else None
        return self._row(name, f"{positives:,}", last, best, view.trend(name))

    def _row(
        self, name: str, positives: str, last: float | None, best: float | None, trend: list[float]
    ) -> list[Text]:
        width = _NARROW_TREND_WIDTH if self.size.width < _NARROW_COLUMNS else _TREND_WIDTH
        shown = sparkline(trend, width, ascii_only=self._ascii_only)
        cells = (positives, _number(last), _number(best), shown)
        return [Text(name), *(Text(cell, justify="right") for cell in cells)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
