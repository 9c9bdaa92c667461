"""The trials of a search, one row each, and the chart of how it went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from cxr_tui.reports.search_table import value_in_words
from cxr_tui.terminal.safe_text import shortened, visible
from cxr_tui.widgets.line_chart import Chart, Line
from cxr_tui.widgets.lists import ListTable

if TYPE_CHECKING:
    from core.search.watching import SearchSeen, TrialSeen

_OWN = ("trial", "val AUROC", "state")
_LONGEST_STATE, _LONGEST_VALUE = 22, 16
_ORDER = ("running", "interrupted", "complete", "pruned", "failed")


class TrialsTable(ListTable):
    """What runs first, then the best; the first columns stay while the keys are scrolled."""

    def __init__(self) -> None:
        super().__init__(id="trials", cursor_type="row")
        self._trials: Sequence[TrialSeen] = ()
        self._heads: tuple[str, ...] = ()

    @property
    def chosen(self) -> TrialSeen | None:
        """The trial under the cursor."""
        return self._trials[self.cursor_row] if 0 <= self.cursor_row < len(self._trials) else None

    def show(self, seen: SearchSeen) -> None:
        """Show these; the cursor and the scrolled place stay."""
        chosen, at = self.chosen, (self.scroll_x, self.scroll_y)
        self._trials = sorted(
            seen.trials,
            key=lambda one: (_ORDER.index(one.state), -(one.val_auroc or 0.0), one.number),
        )
        heads = (*_OWN, *_short(seen.keys))
        if heads != self._heads:
            self._heads = heads
            self.clear(columns=True)
            self.fixed_columns = 0  # Textual's, which must not be more than there are
            for head in heads:
                self.add_column(Text(head, justify="left" if head == "state" else "right"))
            self.fixed_columns = len(_OWN)
        else:
            self.clear()
        for one in self._trials:
            values = [
                value_in_words(one.values[key]) if key in one.values else "" for key in seen.keys
            ]
            cells = [f"{one.number:02d}", _figure(one), *values]
            texts = [
                Text(shortened(visible(cell), _LONGEST_VALUE), justify="right", no_wrap=True)
                for cell in cells
            ]
            state = Text(shortened(visible(state_in_words(one)), _LONGEST_STATE), no_wrap=True)
            self.add_row(*texts[:2], state, *texts[2:])
        numbers = [one.number for one in self._trials]
        if chosen is not None and chosen.number in numbers:
            self.move_cursor(row=numbers.index(chosen.number), scroll=False)
        self.call_after_refresh(self.scroll_to, *at, animate=False, immediate=True)


def state_in_words(one: TrialSeen) -> str:
    """Such as ``running, epoch 2``, ``pruned at epoch 1``."""
    if one.state == "complete":
        return "complete"
    if one.state in ("pruned", "failed"):
        return f"{one.state} at epoch {one.epoch}" if one.epoch else one.state
    return f"{one.state}, epoch {one.epoch}" if one.epoch else one.state


def trials_chart(seen: SearchSeen) -> Chart:
    """Every trial's val AUROC, and the best of the complete ones so far."""
    drawn = sorted(seen.trials, key=lambda one: one.number)
    lines = [
        _best_so_far(drawn),
        _dots("complete", "#3a8fcc", [one for one in drawn if one.state == "complete"], "o"),
        _dots("others", "#767676", [one for one in drawn if one.state != "complete"], "x"),
    ]
    last = max([1, (seen.limit or 0) - 1, *(one.number for one in drawn)])
    return Chart(
        tuple(lines),
        x_limits=(0.0, float(last)),
        whole_x=True,
        empty="no trial has ended an epoch yet",
        across="trial",
        up="val AUROC",
    )


CHART_TITLES = (
    "val AUROC by trial   o complete  x the last epoch of others  ━ best so far",
    "val AUROC by trial, best so far",
    "val AUROC",
)
"""The longest first."""


def _dots(label: str, colour: str, trials: Sequence[TrialSeen], sign: str) -> Line:
    known = [(one.number, one.val_auroc) for one in trials if one.val_auroc is not None]
    xs, ys = [float(number) for number, _ in known], [figure for _, figure in known]
    return Line(label, xs, ys, colour, dots=True, marker=sign)


def _best_so_far(trials: Sequence[TrialSeen]) -> Line:
    """In steps: it rises at the trial that was better."""
    xs: list[float] = []
    ys: list[float] = []
    for one in trials:
        if one.state != "complete" or one.val_auroc is None:
            continue
        before = ys[-1] if ys else one.val_auroc
        xs += [float(one.number)] * 2
        ys += [before, max(before, one.val_auroc)]
    return Line("best so far", xs, ys, "#d07a00")


def _figure(one: TrialSeen) -> str:
    return "–" if one.val_auroc is None else f"{one.val_auroc:.3f}"


def _short(keys: Sequence[str]) -> list[str]:
    """Keys without their section, where that leaves them apart."""
    last = [key.rpartition(".")[2] for key in keys]
    return [short if last.count(short) == 1 else key for short, key in zip(last, keys, strict=True)]
