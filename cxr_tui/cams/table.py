"""The viewer's list of images; arrows move in it, or over the image while that is zoomed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate

from cxr_tui.cams.map_picture import MapPicture
from cxr_tui.cams.rows import CamRow
from cxr_tui.widgets.lists import ListTable

_COLUMNS = ((" image", 15), ("prob", 5), ("lab", 4), ("peak", 8), ("IoU", 5))
"""Heads and widths: with the scroll bar 38 cells."""


class CamTable(ListTable):
    """Rows that stay in place while their maps arrive."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "large", id="cams.large", key_display="enter"),
        Binding("up", "arrow('up')", "up", id="cams.up", show=False),
        Binding("down", "arrow('down')", "down", id="cams.down", show=False),
        Binding("left", "arrow('left')", "left", id="cams.left", show=False),
        Binding("right", "arrow('right')", "right", id="cams.right", show=False),
        Binding("home,g", "scroll_top", "first image", id="cams.first", show=False),
        Binding("end,G", "scroll_bottom", "last image", id="cams.last", show=False),
    ]

    def __init__(self, picture: MapPicture) -> None:
        super().__init__(cursor_type="row", cell_padding=0)
        self._picture = picture
        self._keys: list[tuple[str, str]] = []
        self._shown: list[list[str]] = []

    def on_mount(self) -> None:
        """The columns."""
        for name, width in _COLUMNS:
            side: Literal["left", "right"] = "left" if name == " image" else "right"
            self.add_column(Text(name, justify=side), key=name, width=width)

    def show(self, rows: Sequence[CamRow]) -> None:
        """Show these; only differences are written, and the cursor stays on its image."""
        keys = [(row.candidate.image, row.candidate.finding) for row in rows]
        cells = [row.cells() for row in rows]
        if keys != self._keys:
            at = self._keys[self.cursor_row] if 0 <= self.cursor_row < len(self._keys) else None
            self.clear()
            for row in cells:
                self.add_row(*row)
            self._keys = keys
            self.move_cursor(row=keys.index(at) if at in keys else 0)
        else:
            for number, row in enumerate(cells):
                if [cell.plain for cell in row] != self._shown[number]:
                    for column, cell in enumerate(row):
                        self.update_cell_at(Coordinate(number, column), cell)
        self._shown = [[cell.plain for cell in row] for row in cells]

    def words_at_hand(self) -> str:
        """The outcome of the image at the cursor, then the heads."""
        shown = self._shown[self.cursor_row] if 0 <= self.cursor_row < len(self._shown) else []
        return "  ".join([*shown[3:4], super().words_at_hand()])

    def go_to(self, image: str) -> None:
        """Put the cursor on the image, if it is listed."""
        at = next((row for row, (name, _) in enumerate(self._keys) if name == image), None)
        if at is not None:
            self.move_cursor(row=at)

    def action_arrow(self, where: str) -> None:
        """Move in the list, or over the image."""
        across, down = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[where]
        if self._picture.look.is_zoomed:
            self._picture.pan(across, down)
        elif down:
            self.move_cursor(row=self.cursor_row + down)
