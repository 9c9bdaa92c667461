"""Prevalence of each finding as bars, side by side for train, val and test."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from core.data.study.audit_report import AuditReport
from core.recipe import PARTS
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.lists import ListTable

_EIGHTHS = " ▏▎▍▌▋▊▉"
_NAME_WIDTH, _LONGEST_NAME = 18, 30
_PERCENT_WIDTH = 6
_COUNT_WIDTH = 8
_BOX_WIDTH = 10
_SHIFT_WIDTH = 10
_WIDE = 104
_PADDING = 2
_SHORTEST_BAR, _WIDEST_BAR = 3, 24


def bar(share: float, greatest: float, width: int, *, ascii_only: bool = False) -> str:
    """A bar for ``share``; ``greatest`` fills the width, and anything above 0 is visible."""
    if share <= 0 or greatest <= 0:
        return ""
    eighths = max(1, round(8 * width * min(1.0, share / greatest)))
    if ascii_only:
        return "#" * max(1, eighths // 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


class BalanceChart(ListTable, inherit_bindings=False):
    """One row per finding, the most frequent in train first; the cursor stays on its finding."""

    DEFAULT_CSS = """
    BalanceChart { height: 1fr; }
    BalanceChart > .datatable--cursor, BalanceChart:focus > .datatable--cursor {
        background: $panel-lighten-2; text-style: bold;
    }
    """
    # Not DataTable's own bindings: here left, right and Enter belong to the screen's fields.
    BINDINGS: ClassVar[list[BindingType]] = [
        *ListTable.BINDINGS,
        Binding("up", "cursor_up", "finding above", id="data.up", show=False),
        Binding("down", "cursor_down", "finding below", id="data.down", show=False),
        Binding("pageup", "page_up", "page up", id="data.page_up", show=False),
        Binding("pagedown", "page_down", "page down", id="data.page_down", show=False),
        Binding("ctrl+home", "scroll_top", "first finding", id="data.first", show=False),
        Binding("ctrl+end", "scroll_bottom", "last finding", id="data.last", show=False),
    ]

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(
            id=id, cursor_type="row", cell_padding=1, cursor_foreground_priority="renderable"
        )
        self._ascii_only = ascii_only
        self._report: AuditReport | None = None
        self._drawn: tuple[int, int] | None = None

    def on_mount(self) -> None:
        """Bars use the theme's colours."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw(self.finding))

    @property
    def finding(self) -> str:
        """The finding under the cursor, or nothing."""
        names = self._names()
        return names[self.cursor_row] if 0 <= self.cursor_row < len(names) else ""

    def words_at_hand(self) -> str:
        """What the bars are."""
        return "prevalence"

    def show(self, report: AuditReport) -> None:
        """Draw this report."""
        chosen = self.finding
        self._report = report
        self._draw(chosen)

    def on_resize(self) -> None:
        """Bars and columns depend on the width."""
        if self._drawn is not None and self._drawn[0] != self.size.width:
            self._draw(self.finding)

    def _names(self) -> list[str]:
        if self._report is None:
            return []
        figures = self._report["parts"]["train"]["findings"]
        return sorted(figures, key=lambda name: -(figures[name]["prevalence"] or 0.0))

    def _draw(self, chosen: str) -> None:
        report = self._report
        if report is None:
            return
        self._drawn = (self.size.width, id(report))
        wide = self.size.width >= _WIDE
        name_width, width = self._widths(wide=wide)
        self.clear(columns=True)
        self.add_column("finding", width=name_width)
        for part in PARTS:
            head = f"{part}: positives, %" if wide else part
            self.add_column(head, width=width)
        if wide:
            self.add_column(Text("test/train", justify="right"), width=_SHIFT_WIDTH)
        box = f"box at {report['input_size_px']}"
        self.add_column(Text(box, justify="right"), width=max(_BOX_WIDTH, len(box)))
        names = self._names()
        for name in names:
            self.add_row(*self._cells(report, name, width, wide=wide))
        row = names.index(chosen) if chosen in names else 0
        self.move_cursor(row=row, scroll=False)
        self.refresh(layout=True)  # its height may follow its rows

    def _widths(self, *, wide: bool) -> tuple[int, int]:
        """Widths of names and of a part's column: longer names shorten the bars, to a few cells."""
        taken = _BOX_WIDTH + 5 * _PADDING + 2
        if wide:
            taken += _SHIFT_WIDTH + _PADDING
        least = _PERCENT_WIDTH + (_COUNT_WIDTH + 2 if wide else 0) + 1
        longest = max((len(visible(name)) for name in self._names()), default=0)
        room = self.size.width - taken - len(PARTS) * (least + _SHORTEST_BAR)
        name = max(_NAME_WIDTH, min(longest, _LONGEST_NAME, room))
        part = max(0, self.size.width - taken - name) // len(PARTS)
        return name, max(least, min(least + _WIDEST_BAR, part))

    def _cells(self, report: AuditReport, name: str, width: int, *, wide: bool) -> list[Text]:
        greatest = max(
            (figures["prevalence"] or 0.0)
            for part in PARTS
            for figures in report["parts"][part]["findings"].values()
        )
        variables = self.app.theme_variables
        colours = [variables.get(name, "") for name in ("primary", "secondary", "success")]
        cells = [Text(visible(name), no_wrap=True, overflow="ellipsis")]
        for part, colour in zip(PARTS, colours, strict=True):
            figures = report["parts"][part]["findings"][name]
            text = Text(f"{figures['positives']:>{_COUNT_WIDTH},}" if wide else "", no_wrap=True)
            share = figures["prevalence"]
            shown = "–" if share is None else f"{100 * share:.1f} %"
            text.append(f"{shown:>{_PERCENT_WIDTH + 2 * wide}} ")
            room = width - text.cell_len
            text.append(bar(share or 0.0, greatest, room, ascii_only=self._ascii_only), colour)
            cells.append(text)
        if wide:
            shift = report["shift"][name]
            cells.append(Text("–" if shift is None else f"{shift:.2f}", justify="right"))
        lesion = report["lesions"].get(name)
        median = "–"
        if lesion:
            median = "×".join(f"{side:.0f}" for side in lesion["median_px_at_input"])
        cells.append(Text(median, justify="right"))
        return cells
