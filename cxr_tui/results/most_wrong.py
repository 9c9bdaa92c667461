"""Images by error: what the scores of one finding get most wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Static

from core.evaluation.part_scores import WrongImage
from core.store.files import write_whole
from core.store.formula_cells import escape_formula
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.terminal.safe_text import shortened, visible

_OTHERS_FROM_WIDTH = 56
"""A list this wide has room for an image's other findings."""

_LONGEST_PATIENT = 16


class WrongList(DataTable[Text]):
    """Images, the worst first: name, patient, score, label."""

    def __init__(self, images: Sequence[WrongImage], id: str) -> None:  # noqa: A002
        super().__init__(id=id, cursor_type="row", cell_padding=0)
        self._images = tuple(images)
        self._has_others: bool | None = None

    def on_resize(self) -> None:
        """Other columns fit."""
        has_others = self.size.width >= _OTHERS_FROM_WIDTH
        if has_others == self._has_others or not self.size.width:
            return
        self._has_others = has_others
        row = self.cursor_row
        self.clear(columns=True)
        longest = max([5, *(len(visible(image.image)) for image in self._images)])
        self.add_column(Text(" image"), width=1 + min(longest, 40))
        patients = max([7, *(len(_patient(image)) for image in self._images)])
        patients = min(patients, _LONGEST_PATIENT)
        for head, width in (("patient", 1 + patients), ("score", 7), ("label", 6)):
            self.add_column(Text(head, justify="right"), width=width)
        if has_others:
            others = max(16, self.size.width - 17 - patients - longest)
            self.add_column(Text("  other findings"), width=others)
        for image in self._images:
            self.add_row(*_cells(image)[: 5 if has_others else 4])
        self.move_cursor(row=row)


class MostWrong(ConsoleScreen):
    """The highest-scored negatives beside the lowest-scored positives."""

    MODE = "results"
    AUTO_FOCUS = "#highest"
    CSS = """
    MostWrong Horizontal { height: 1fr; }
    MostWrong Horizontal > Vertical { width: 1fr; }
    MostWrong .kind { height: 1; text-style: bold; }
    MostWrong DataTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    MostWrong #hint { height: auto; max-height: 2; color: $text-muted; }
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
        head = f" {visible(self._finding)} · {self._part} · images by error, the worst first"
        yield Static(Text(head, no_wrap=True, overflow="ellipsis"), classes="head")
        with Horizontal():
            for title, images, name in (
                ("labelled absent, scored highest", self._highest, "highest"),
                ("labelled present, scored lowest", self._lowest, "lowest"),
            ):
                with Vertical():
                    yield Static(Text(f" {title} ({len(images)})"), classes="kind")
                    yield WrongList(images, name)
        yield Static(
            Text(" Labels were mined from reports: look at the image before you call it an error."),
            id="hint",
        )

    def refresh_view(self) -> None:
        """Another session may be shown by now: then these are not its images."""
        shown = self.workspace.shown
        if self.is_current and (shown is None or shown.session.path != self._folder):
            self.dismiss(None)

    def step_out(self) -> bool:
        """Back to the figures."""
        self.dismiss(None)
        return True

    def action_export(self) -> None:
        """Both lists as CSV, in the session's directory."""
        path = self._folder / f"images-by-error-{self._finding}-{self._part}.csv"
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["Image Index", "Patient ID", "score", "label", "other findings"])
        for image in (*self._highest, *self._lowest):
            patient = "" if image.patient is None else image.patient
            others = "|".join(image.others)
            writer.writerow(
                [escape_formula(image.image), patient, image.score, image.label, others]
            )
        try:
            write_whole(path, text.getvalue().encode())
        except OSError as error:
            self.console.say(f"{path} can't be written ({error.strerror})")
            return
        self.console.say(f"written: {path}")


def _patient(image: WrongImage) -> str:
    return "–" if image.patient is None else visible(str(image.patient))


def _cells(image: WrongImage) -> list[Text]:
    return [
        Text(f" {visible(image.image)}", no_wrap=True, overflow="ellipsis"),
        Text(shortened(_patient(image), _LONGEST_PATIENT), justify="right"),
        Text(f"{image.score:.4f}", justify="right"),
        Text(str(image.label), justify="right"),
        Text("  " + (", ".join(image.others) or "–"), no_wrap=True, overflow="ellipsis"),
    ]
