"""Images by error: the worst scores of one finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import DataTable, Static

from core.errors import CxrError
from core.evaluation.part_scores import WrongImage
from core.store.csv_frames import write_frame
from core.store.session import Session
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.console.workspace import ImageToLookAt
from cxr_tui.reports.notes import WRONG_CAUTION
from cxr_tui.results.report_at_hand import is_external
from cxr_tui.terminal.safe_text import shortened, visible
from cxr_tui.widgets.lists import ListTable

_OTHERS_FROM_WIDTH = 56
"""A list this wide has space for an image's other findings."""

_LONGEST_PATIENT, _SHORTEST_IMAGE, _SCROLLBAR = 16, 14, 1
_IMAGE, _OTHERS = " image", "  other findings"
_NUMBERS = ("patient", "score", "label")


class WrongList(ListTable):
    """Images, the worst first: name, patient, score, label."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "look at it", id="images.look", key_display="enter"),
        Binding("home,g", "scroll_top", "first image", id="images.first", show=False),
        Binding("end,G", "scroll_bottom", "last image", id="images.last", show=False),
    ]

    class LookedAt(Message):
        """Enter on an image."""

        def __init__(self, image: str) -> None:
            super().__init__()
            self.image = image

    def __init__(self, images: Sequence[WrongImage], id: str) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self._images = tuple(images)
        self._columns: list[tuple[str, int]] = []

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click."""
        event.stop()
        self.post_message(self.LookedAt(self._images[event.cursor_row].image))

    def on_resize(self) -> None:
        """Refit the columns."""
        columns = self._fitting(self.size.width) if self.size.width else []
        if columns == self._columns:
            return
        self._columns = columns
        row = self.cursor_row
        self.clear(columns=True)
        for head, width in columns:
            side: Literal["left", "right"] = "right" if head in _NUMBERS else "left"
            self.add_column(Text(head, justify=side), width=width)
        for image in self._images:
            cells = _cells(image)
            self.add_row(*(cells[head] for head, _ in columns))
        self.move_cursor(row=row)

    def _fitting(self, width: int) -> list[tuple[str, int]]:
        """Heads and widths; no number is cut, and the image's name takes what they leave.

        The label is dropped first, since the list's title has it too, then the patient.
        """
        longest = 1 + min(40, max([5, *(len(visible(image.image)) for image in self._images)]))
        patient = 1 + max([7, *(len(_patient(image)) for image in self._images)])
        numbers = {"patient": min(patient, 1 + _LONGEST_PATIENT), "score": 7, "label": 6}
        room = width - _SCROLLBAR
        for head in ("label", "patient"):
            if room - sum(numbers.values()) < min(longest, _SHORTEST_IMAGE):
                del numbers[head]
        left = room - sum(numbers.values())
        columns = [(_IMAGE, min(longest, left)), *numbers.items()]
        if width >= _OTHERS_FROM_WIDTH:
            columns.append((_OTHERS, max(16, left - longest)))
        return columns


class MostWrong(ConsoleScreen):
    """The lowest-scored positives, which are missed, next to the highest-scored negatives."""

    MODE = "results"
    AUTO_FOCUS = "#lowest"
    CSS = """
    MostWrong Horizontal { height: 1fr; }
    MostWrong Horizontal > Vertical { width: 1fr; }
    MostWrong .kind { height: auto; padding: 0 1; text-style: bold; }
    MostWrong DataTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    MostWrong #hint { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "other list", id="images.next"),
        Binding("e", "export", "export", id="images.export"),
        Binding("escape,backspace", "app.step_out", "back", id="images.back", key_display="esc"),
    ]

    def __init__(
        self,
        finding: str,
        part: str,
        folder: Path,
        highest: Sequence[WrongImage],
        lowest: Sequence[WrongImage],
    ) -> None:
        super().__init__()
        self._finding, self._part, self._folder = finding, part, folder
        self._highest, self._lowest = highest, lowest

    def compose_parts(self) -> ComposeResult:
        """A head, two lists, a word of caution."""
        head = (
            f" {visible(self._finding)} · {visible(self._part)} · images by error, the worst first"
        )
        yield Static(Text(head, no_wrap=True, overflow="ellipsis"), classes="head")
        with Horizontal():
            for title, images, name in (
                ("labelled present, scored lowest", self._lowest, "lowest"),
                ("labelled absent, scored highest", self._highest, "highest"),
            ):
                with Vertical():
                    yield Static(Text(f"{title} ({len(images)})"), classes="kind")
                    yield WrongList(images, name)
        yield Static(Text(WRONG_CAUTION), id="hint")

    def refresh_view(self) -> None:
        """Another session may be shown by now: then these are not its images."""
        shown = self.workspace.shown
        if self.is_current and (shown is None or shown.session.path != self._folder):
            self.dismiss(None)

    def on_wrong_list_looked_at(self, message: WrongList.LookedAt) -> None:
        """Show the image with its map; Escape returns here."""
        self.workspace.image_to_look_at = ImageToLookAt(
            self._folder,
            message.image,
            self._finding,
            back_to=self.MODE,
            part=self._part if is_external(self._part) else "",
        )
        self.console.action_mode("cams")

    def step_out(self) -> bool:
        """Back to the figures."""
        self.dismiss(None)
        return True

    def action_export(self) -> None:
        """Write both lists as CSV and the worst images as one picture to the session directory."""
        self.console.say("collecting the images")
        self._export(self.workspace.cache)

    @work(thread=True, exclusive=True, group="export", description="export images by error")
    def _export(self, cache: Path) -> None:
        stem = self._folder / f"images-by-error-{self._finding}-{self._part.replace('/', '-')}"
        table, picture = (stem.with_name(stem.name + suffix) for suffix in (".csv", ".png"))
        try:
            self._write_table(table)
        except OSError as error:
            self.console.say(f"{table} can't be written ({error.strerror})")
            return
        from core.evaluation.wrong_sheet import save_wrong_sheet

        lists = self._highest, self._lowest
        session = Session(self._folder)
        try:
            save_wrong_sheet(session, cache, self._finding, self._part, *lists, picture)
        except (CxrError, OSError) as error:
            self.console.say(f"written: {table}; there is no picture: {error}")
        else:
            self.console.say(f"written: {table} and {picture.name}")

    def _write_table(self, path: Path) -> None:
        import pandas as pd

        columns = ("Image Index", "Patient ID", "score", "label", "other findings")
        rows = [
            (image.image, image.patient, image.score, image.label, "|".join(image.others))
            for image in (*self._highest, *self._lowest)
        ]
        write_frame(path, pd.DataFrame(rows, columns=columns, dtype=object))


def _patient(image: WrongImage) -> str:
    return "–" if image.patient is None else visible(str(image.patient))


def _cells(image: WrongImage) -> dict[str, Text]:
    others = ", ".join(image.others) or "–"
    return {
        _IMAGE: Text(f" {visible(image.image)}", no_wrap=True, overflow="ellipsis"),
        "patient": Text(shortened(_patient(image), _LONGEST_PATIENT), justify="right"),
        "score": Text(f"{image.score:.4f}", justify="right"),
        "label": Text(str(image.label), justify="right"),
        _OTHERS: Text(f"  {others}", no_wrap=True, overflow="ellipsis"),
    }
