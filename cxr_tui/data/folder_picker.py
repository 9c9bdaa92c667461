"""Choosing a data set: a recent one, the synthetic one, or a folder or table on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DirectoryTree, Input, OptionList, Static
from textual.widgets.option_list import Option

from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.console.path_input import PathInput
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.lists import ListKeys, Options

_PLACE_WIDTH = 58
_KEYS_OF_LISTS = (
    *(("enter", "choose"), ("o", "open"), ("/", "search")),
    *(("^l", "path"), ("tab", "next"), ("esc", "back")),
)
_KEYS_OF_THE_PATH = (
    *(("enter", "open"), ("tab", "complete")),
    *(("→", "take what is shown"), ("esc", "back")),
)


class Folders(DirectoryTree, ListKeys):
    """Folders and tables; file names are shown as plain text."""

    ICON_NODE, ICON_NODE_EXPANDED, ICON_FILE = "▸ ", "▾ ", "  "
    BINDINGS: ClassVar[list[BindingType]] = [
        *ListKeys.BINDINGS,
        Binding("o", "open", "open", id="picker.open"),
        Binding("backspace", "up", "folder above", id="picker.up", show=False),
    ]

    def list_lines(self) -> Sequence[str]:
        """The folders and tables that are unfolded."""
        nodes = (self.get_node_at_line(line) for line in range(self.last_line + 1))
        return [str(node.label) if node is not None else "" for node in nodes]

    def list_at(self) -> int:
        """The line at the cursor."""
        return max(0, self.cursor_line)

    def list_go(self, row: int) -> None:
        """The cursor to that line."""
        self.cursor_line = row

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Without hidden files and 112,120 images."""
        return [
            path
            for path in paths
            if not path.name.startswith(".") and (path.suffix == ".csv" or _is_folder(path))
        ]

    def process_label(self, label: object) -> Text:
        """No markup, no control characters; Textual's own fails on a name with ``[/``."""
        plain = label.plain if isinstance(label, Text) else str(label)
        return Text(visible(plain).replace("\n", "␊"))

    def action_open(self) -> None:
        """Choose what is under the cursor."""
        if self.cursor_node is not None and self.cursor_node.data is not None:
            self.post_message(self.FileSelected(self.cursor_node, self.cursor_node.data.path))

    def action_up(self) -> None:
        """Show the folder above."""
        self.path = Path(self.path).absolute().parent


class DataSetPicker(Dialog[DataSet | None]):
    """Returns the data set chosen; Escape returns None."""

    CSS = """
    DataSetPicker > Vertical { width: 90; height: 90%; padding: 0 1; }
    DataSetPicker OptionList { height: auto; max-height: 40%; border: none; padding: 0; }
    DataSetPicker Input { border: none; height: 1; padding: 0 1; background: $boost; }
    DataSetPicker Folders { height: 1fr; background: $surface; }
    DataSetPicker #fault { min-height: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="picker.back", show=False),
        Binding("ctrl+l", "path", "type a path", id="picker.path", show=False),
    ]

    def __init__(self, recent: Sequence[DataSet], synthetic: DataSet, start: Path) -> None:
        super().__init__()
        self._offered = (*recent, synthetic)
        self._start = start
        self._is_typing = False

    def compose(self) -> ComposeResult:
        """The data sets at hand, a path to type, the folders."""
        with Vertical():
            yield Static("Open a data set", classes="title")
            yield Options(
                *(Option(Content(_line(offered))) for offered in self._offered), id="offered"
            )
            yield Static("A folder or label table: type it (tab completes) or look below")
            yield PathInput(f"{self._start}/", ending=".csv", id="path")
            yield Static(id="fault")
            yield Folders(self._start, id="folders")
            yield Static(key_words(*_KEYS_OF_LISTS), id="keys")

    def on_mount(self) -> None:
        """Without a data set that was opened before, one is typed or looked for."""
        if len(self._offered) == 1:
            self.action_path()

    def action_path(self) -> None:
        """The field, what is typed there to take the place of what it has."""
        for field in self.query(Input):  # none if the dialog was left as it opened
            field.focus()
            field.select_all()

    def on_key(self, event: events.Key) -> None:
        """A path typed without focusing its field first is written there."""
        typed, focused = event.character or "", self.focused
        is_path = typed == "~" or (self._is_typing and typed != " ")
        if event.is_printable and is_path and isinstance(focused, (Options, Folders)):
            event.stop()
            self._begin_typing(typed)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """After returning to the lists, the next path starts empty."""
        is_path = isinstance(event.widget, Input)
        self._is_typing = self._is_typing and is_path
        self.query_one("#keys", Static).update(
            key_words(*(_KEYS_OF_THE_PATH if is_path else _KEYS_OF_LISTS))
        )

    def on_paste(self, event: events.Paste) -> None:
        """The same for a pasted path."""
        if not isinstance(self.focused, Input):
            event.stop()
            self._begin_typing(event.text.strip().partition("\n")[0])

    def _begin_typing(self, typed: str) -> None:
        field = self.query_one(Input)
        begins = typed.startswith(("/", "~")) and not self._is_typing
        field.value = typed if begins else f"{field.value}{typed}"
        self._is_typing = True  # text typed before the field has the focus is added there
        field.focus()
        field.action_end()

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """One of the data sets at hand."""
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
        self.query_one("#fault", Static).update(Content(visible(f"✗ {path} does not exist")))


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
