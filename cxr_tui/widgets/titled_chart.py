"""A chart with a title line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from cxr_tui.widgets.line_chart import Chart, LineChart


class TitledChart(Vertical):
    """A chart under one line that names its axes."""

    DEFAULT_CSS = """
    TitledChart { height: 1fr; padding: 0 1; }
    TitledChart Static { height: 1; color: $text-muted; }
    """

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ascii_only = ascii_only
        self._titles: tuple[str, ...] = ("",)

    def compose(self) -> ComposeResult:
        """The title, the chart."""
        yield Static()
        yield LineChart(ascii_only=self._ascii_only)

    def show(self, titles: Sequence[str], chart: Chart) -> None:
        """Draw the chart under the longest of the titles that fits."""
        self._titles = tuple(titles)
        self._show_title()
        self.query_one(LineChart).show(chart)

    def on_resize(self) -> None:
        """Choose the title that fits."""
        self._show_title()

    def _show_title(self) -> None:
        width = self.size.width
        fitting = [title for title in self._titles if len(title) <= width]
        title = fitting[0] if fitting else self._titles[-1]
        text = Text(title, no_wrap=True, overflow="ellipsis")
        self.query_one(Static).update(text, layout=False)
