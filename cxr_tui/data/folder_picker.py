"""Choosing a data set: a recent one, the synthetic one, or a folder or table on the disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Input, OptionList, Static
from textual.widgets.option_list import Option

from cxr_tui.console.line_input import LineInput
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.terminal.safe_text import visible

_ENTRIES_LOOKED_AT = 5_000
_PLACE_WIDTH = 58


class FolderNames(Suggester):
    """Completes a path by the names in its folder."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The first folder or table that begins like what was typed."""
        # On a network disk a folder can take a while to list; typing must not wait for it.
        return await asyncio.to_thread(completion_of, value)


def completion_of(typed: str) -> str | None:
    """The whole path of the first folder or CSV that ``typed`` is the beginning of."""
    head, _, begun = typed.rpartition("/")
    if not head and not typed.startswith("/"):
        return None
    try:
        with os.scandir(Path(f"{head}/").expanduser()) as entries:
            names = [
                entry.name + ("/" if entry.is_dir() else "")
                for _, entry in zip(range(_ENTRIES_LOOKED_AT), entries, strict=False)
                if entry.name.startswith(begun)
                and not entry.name.startswith(".")
                and (entry.name.endswith(".csv") or entry.is_dir())
            ]
    except (OSError, ValueError, RuntimeError):
        return None
    return f"{head}/{min(names)}" if names else None


class Folders(DirectoryTree):
    """Folders and tables; file names are shown as plain text."""

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "open", id="picker.open"),
        Binding("backspace", "up", "folder above", id="picker.up", show=False),
    ]

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Not the hidden ones, nor 112,120 images."""
        return [
            path
            for path in paths
            if not path.name.startswith(".") and (path.suffix == ".csv" or _is_folder(path))
        ]

    def process_label(self, label: object) -> Text:
        """No markup, no control character; Textual's own breaks on a name with ``[/``."""
        plain = label.plain if isinstance(label, Text) else str(label)
        return Text(visible(plain).replace("\n", "␊"))

    def action_open(self) -> None:
        """Take what is under the cursor."""
        if self.cursor_node is not None and self.cursor_node.data is not None:
            self.post_message(self.FileSelected(self.cursor_node, self.cursor_node.data.path))

    def action_up(self) -> None:
        """Show the folder above."""
        self.path = Path(self.path).absolute().parent


class DataSetPicker(ModalScreen[DataSet | None]):
    """Dismissed with the data set that was chosen; Escape answers None."""

    CSS = """
    DataSetPicker { align: center middle; background: $background 60%; }
    DataSetPicker > Vertical {
        width: 90; max-width: 100%; height: 90%; padding: 0 1;
        border: round $primary; background: $surface;
    }
    DataSetPicker .title { text-style: bold; }
    DataSetPicker OptionList { height: auto; max-height: 40%; border: none; padding: 0; }
    DataSetPicker Input { border: none; height: 1; padding: 0 1; background: $boost; }
    DataSetPicker Folders { height: 1fr; background: $surface; }
    DataSetPicker #fault { color: $text-error; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="picker.back", show=False)
    ]

    def __init__(self, recent: Sequence[DataSet], synthetic: DataSet, start: Path) -> None:
        super().__init__()
        self._offered = (*recent, synthetic)
        self._start = start
        self._is_typing = False

    def compose(self) -> ComposeResult:
        """What is at hand, a path to type, the folders."""
        with Vertical():
            yield Static("Open a data set", classes="title")
            yield OptionList(
                *(Option(Content(_line(offered))) for offered in self._offered), id="offered"
            )
            yield Static("A folder or label table: type (→ completes, enter opens) or look below")
            yield LineInput(
                f"{self._start}/", id="path", suggester=FolderNames(), select_on_focus=False
            )
            yield Static(id="fault")
            yield Folders(self._start, id="folders")
            yield Static("tab next list   enter choose, look inside   o open   esc back")

    def on_key(self, event: events.Key) -> None:
        """Whoever types a path without looking for its field first gets it written there."""
        typed, focused = event.character or "", self.focused
        is_path = isinstance(focused, OptionList) or (
            isinstance(focused, Folders) and typed in ("/", "~")
        )
        if event.is_printable and is_path and typed != " ":
            event.stop()
            self._begin_typing(typed)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Back among the lists, the next path is typed anew."""
        self._is_typing = self._is_typing and isinstance(event.widget, Input)

    def on_paste(self, event: events.Paste) -> None:
        """The same of a path that is pasted."""
        if not isinstance(self.focused, Input):
            event.stop()
            self._begin_typing(event.text.strip().partition("\n")[0])

    def _begin_typing(self, typed: str) -> None:
        field = self.query_one(Input)
        begins = typed.startswith(("/", "~")) and not self._is_typing
        field.value = typed if begins else f"{field.value}{typed}"
        self._is_typing = True  # what comes before the field has the focus goes on there
        field.focus()
        field.action_end()

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """One of those at hand."""
        self.dismiss(self._offered[message.option_index])

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """The path that was typed."""
        if message.value.strip():
            self._take(Path(message.value.strip()))

    @on(DirectoryTree.FileSelected)
    def _on_taken(self, message: DirectoryTree.FileSelected) -> None:
        self._take(message.path)

    @on(Folders.NodeHighlighted)
    def _on_highlighted(self, message: Folders.NodeHighlighted[object]) -> None:
        path = getattr(message.node.data, "path", None)
        if path is not None and self.query_one(Folders).has_focus:
            self.query_one(Input).value = visible(str(path))

    def _take(self, path: Path) -> None:
        try:
            path = path.expanduser()
            there = path.exists()
        except (OSError, ValueError, RuntimeError):
            there = False
        if there:
            self.dismiss(DataSet.at(path))
            return
        self.query_one("#fault", Static).update(Content(visible(f"✗ {path} is not there")))

    def action_leave(self) -> None:
        """Leave the data set as it is."""
        self.dismiss(None)


def _line(data_set: DataSet) -> str:
    if data_set.phantom is not None:
        return "the synthetic set        made once, nothing to download"
    place = visible(data_set.place)
    if len(place) > _PLACE_WIDTH:
        place = "…" + place[1 - _PLACE_WIDTH :]
    return f"{visible(data_set.name)[:24]:<24} {place}"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
