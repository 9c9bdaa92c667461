"""Images side by side in one row or two, each with a line below it, as large as the room allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.xray_picture import Look, Shown
from cxr_tui.widgets.xray_view import XrayView

COLUMNS, _ROWS = 4, 2

_LEAST_LINES = 5
"""Of an image; with less there is no second row."""


@dataclass(frozen=True, eq=False)
class Captioned:
    """An image and the line below it; ``problem`` is why there is none."""

    image: str
    caption: str
    shown: Shown | None
    problem: str = ""


class XrayRows(Vertical):
    """Two rows of four; the second is hidden where the room is better used by a larger first one.

    With titles a row is a kind of its own, and there are always two.
    """

    DEFAULT_CSS = """
    XrayRows { height: 1fr; }
    XrayRows > Static { height: 1; text-style: bold; padding: 0 1; }
    XrayRows > Horizontal { height: auto; }
    XrayRows .picture { width: 1fr; height: auto; margin-right: 1; }
    XrayRows .caption { height: 1; padding: 0 1; text-overflow: ellipsis; text-wrap: nowrap; }
    """

    class Chosen(Message):
        """A click on an image."""

        def __init__(self, image: str) -> None:
            super().__init__()
            self.image = image

    def __init__(self, *, ascii_only: bool, titles: Sequence[str] = (), id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ascii_only, self._titles = ascii_only, tuple(titles)
        self._rows: list[list[Captioned]] = []

    def compose(self) -> ComposeResult:
        """Titles, and below each four pictures above their captions."""
        for row in range(_ROWS):
            if self._titles:
                yield Static(Text(self._titles[row]))
            with Horizontal():
                for _ in range(COLUMNS):
                    with Vertical(classes="picture"):
                        yield XrayView(ascii_only=self._ascii_only)
                        yield Static(classes="caption")

    def put(self, rows: Sequence[Sequence[Captioned]]) -> None:
        """Show these; what is missing is empty."""
        self._rows = [list(row) for row in rows]
        for place, picture in enumerate(self.query(".picture")):
            one = self._at(place)
            shown, problem = (one.shown, one.problem) if one else (None, "")
            picture.query_one(XrayView).show(shown, (Look(),), visible(problem))
            caption = Text(visible(one.caption), style="dim") if one else Text("")
            picture.query_one(Static).update(caption)

    def _at(self, place: int) -> Captioned | None:
        row, column = divmod(place, COLUMNS)
        in_row = self._rows[row] if row < len(self._rows) else []
        return in_row[column] if column < len(in_row) else None

    def on_resize(self) -> None:
        """Square pictures, two pixels in a cell, no higher than there is room for."""
        above = 1 if self._titles else 0
        square = max(1, (self.size.width // COLUMNS - 1) // 2)
        halves = self.size.height // 2 - above - 1
        is_double = bool(self._titles) or halves >= max(_LEAST_LINES, square * 3 // 4)
        room = halves if is_double else self.size.height - above - 1
        for view in self.query(XrayView):
            view.styles.height = max(1, min(square, room))
        for row, pictures in enumerate(self.query(Horizontal)):
            pictures.display = row == 0 or is_double

    def on_click(self, event: events.Click) -> None:
        """The image under the mouse."""
        for place, picture in enumerate(self.query(".picture")):
            if picture.region.contains(*event.screen_offset) and (one := self._at(place)):
                self.post_message(self.Chosen(one.image))
