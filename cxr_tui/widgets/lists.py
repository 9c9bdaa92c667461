"""The keys that every list has: j k g G move in it, / searches it, n and N go from hit to hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import DataTable, OptionList, Static

from cxr_tui.terminal.safe_text import visible

_HIT = Style(reverse=True)


class ListKeys(Widget):
    """A list with a place in it. Subclasses say what its rows are and where it is.

    It stands after Textual's class among their bases, whose styles come from the first base, and
    so its bindings have to be theirs too.

    What is looked for is typed into the list itself, not into a field: of a burst of keys, as a
    slow line delivers it, none goes elsewhere while a field is put up.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "list_move(1)", "down", id="list.down", show=False),
        Binding("k", "list_move(-1)", "up", id="list.up", show=False),
        Binding("home,g", "list_first", "first row", id="list.first", show=False),
        Binding("end,G", "list_last", "last row", id="list.last", show=False),
        Binding("slash", "search", "search", id="list.search", key_display="/", show=False),
        Binding("n", "hit(1)", "next hit", id="list.next-hit", show=False),
        Binding("N", "hit(-1)", "previous hit", id="list.previous-hit", show=False),
    ]

    class Searched(Message):
        """What stands at the foot of the screen meanwhile; '' where its own words do again."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    pattern = ""
    """What was looked for last, in any case of letters."""

    _is_typing = False
    _began_at = 0
    _has_words = False

    def list_lines(self) -> Sequence[str]:
        """The rows as text."""
        raise NotImplementedError

    def list_at(self) -> int:
        """The row at the cursor."""
        raise NotImplementedError

    def list_go(self, row: int) -> None:
        """The cursor to that row, which there is."""
        raise NotImplementedError

    def words_at_hand(self) -> str:
        """The row at the cursor, of which the glossary may explain terms."""
        lines = self.list_lines()
        return lines[self.list_at()] if lines else ""

    def action_list_move(self, by: int) -> None:
        """So many rows down."""
        if rows := len(self.list_lines()):
            self.list_go(min(rows - 1, max(0, self.list_at() + by)))

    def action_list_first(self) -> None:
        """The first row."""
        self.action_list_move(-len(self.list_lines()))

    def action_list_last(self) -> None:
        """The last row."""
        self.action_list_move(len(self.list_lines()))

    def action_search(self) -> None:
        """Look for what is typed from now on."""
        self._is_typing, self._began_at = True, self.list_at()
        self._look_for("")

    def action_hit(self, by: int) -> None:
        """The next row that has it, or the one before; from the last on to the first."""
        hits = self.list_hits()
        at = self.list_at()
        if hits:
            beyond = [hit for hit in hits if (hit > at if by > 0 else hit < at)]
            self.list_go((beyond or hits)[0 if by > 0 else -1])
        self._tell(self._standing(hits) if self.pattern else "/ looks for something first")

    def list_hits(self) -> list[int]:
        """The rows that have what was looked for."""
        wanted = self.pattern.casefold()
        if not wanted:
            return []
        return [row for row, line in enumerate(self.list_lines()) if wanted in line.casefold()]

    def on_key(self, event: events.Key) -> None:
        """While something is looked for, letters are part of it."""
        if not self._is_typing:
            active = self.screen.active_bindings.get(event.key)
            mine = active.binding.action if active is not None and active.node is self else ""
            if self._has_words and not mine.startswith("hit("):
                self._tell("")
            if mine == "search":  # at once: what comes after it is to be looked for
                self._take(event)
                self.action_search()
            return
        if event.is_printable and event.character:
            self._look_for(self.pattern + event.character)
        elif event.key == "backspace" and self.pattern:
            self._look_for(self.pattern[:-1])
        elif event.key == "ctrl+u":
            self._look_for("")
        elif event.key in ("escape", "backspace"):
            self._leave_search("")
            self._go_if_there(self._began_at)
        elif event.key == "enter":
            self._leave_search(self._standing(self.list_hits()) if self.pattern else "")
        else:
            self._leave_search("")
            return
        self._take(event)

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is looked for too."""
        if self._is_typing:
            event.stop()
            self._look_for(self.pattern + event.text.partition("\n")[0])

    def on_blur(self) -> None:
        """Whoever goes elsewhere looks for nothing any more."""
        if self._is_typing and self.app.app_focus:
            self._leave_search("")

    def _look_for(self, pattern: str) -> None:
        """The first row that has it, from where the search began."""
        self.pattern = pattern
        hits = self.list_hits()
        beyond = [hit for hit in hits if hit >= self._began_at]
        self._go_if_there((beyond or hits or [self._began_at])[0])
        self._tell(f"{self._standing(hits)}   enter stays, esc goes back")

    def _leave_search(self, words: str) -> None:
        self._is_typing = False
        self._tell(words)

    def _standing(self, hits: Sequence[int]) -> str:
        at = self.list_at()
        which = f"{hits.index(at) + 1} of {len(hits)}" if at in hits else "nothing has it"
        return f"/{visible(self.pattern)}" + (f"   {which}" if self.pattern else "")

    def _go_if_there(self, row: int) -> None:
        if row < len(self.list_lines()):
            self.list_go(row)

    def _tell(self, words: str) -> None:
        self._has_words = bool(words)
        self.post_message(self.Searched(words))

    def _take(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()


class ListTable(DataTable[Text], ListKeys):
    """A table whose cursor goes over rows, each of one line."""

    BINDINGS: ClassVar[list[BindingType]] = ListKeys.BINDINGS

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The head and the rows that there are.

        Textual's counts them only when it is idle: on a busy machine a table whose height follows
        its rows was laid out without any, and stayed so.
        """
        return (self.header_height if self.show_header else 0) + self.row_count

    def list_lines(self) -> Sequence[str]:
        """The cells of each row."""
        rows = (self.get_row_at(row) for row in range(self.row_count))
        return [" ".join(cell.plain for cell in row) for row in rows]

    def words_at_hand(self) -> str:
        """The columns' heads: names in a row are people's own."""
        return "  ".join(str(column.label) for column in self.ordered_columns)

    def list_at(self) -> int:
        """The row at the cursor."""
        return self.cursor_row

    def list_go(self, row: int) -> None:
        """The cursor to that row."""
        self.move_cursor(row=row)


class Options(OptionList, ListKeys):
    """A list of options."""

    BINDINGS: ClassVar[list[BindingType]] = ListKeys.BINDINGS

    def list_lines(self) -> Sequence[str]:
        """What stands for each."""
        options = (self.get_option_at_index(row) for row in range(self.option_count))
        return [str(option.prompt) for option in options]

    def list_at(self) -> int:
        """The highlighted one."""
        return self.highlighted or 0

    def list_go(self, row: int) -> None:
        """Highlight that one."""
        self.highlighted = row


class SearchedText(Static):
    """Text whose hits are marked, where it stands in a :class:`TextScroll`."""

    def render_line(self, y: int) -> Strip:
        """The line, what is looked for in it reversed."""
        line = super().render_line(y)
        wanted = getattr(self.parent, "pattern", "").casefold()
        if not wanted:
            return line
        text = line.text.casefold()
        start, parts, done = text.find(wanted), [], 0
        while start >= 0 and len(text) == line.cell_length:  # else letters are no cells
            parts += [
                line.crop(done, start),
                line.crop(start, start + len(wanted)).apply_style(_HIT),
            ]
            done = start + len(wanted)
            start = text.find(wanted, done)
        return Strip.join([*parts, line.crop(done)]) if parts else line


class TextScroll(VerticalScroll, ListKeys):
    """Text to scroll; its rows are the lines as they are broken on the screen."""

    BINDINGS: ClassVar[list[BindingType]] = ListKeys.BINDINGS
    # Without a gutter, text that just fits is drawn either way: at full width without a
    # scroll bar, or broken into more lines by the scroll bar that those lines then need.
    DEFAULT_CSS = "TextScroll { scrollbar-gutter: stable; scrollbar-size-vertical: 1; }"

    _hit: int | None = None

    def list_lines(self) -> Sequence[str]:
        """The lines of the parts that are shown."""
        lines = [""] * self.virtual_size.height
        for part in self.children:
            at = part.virtual_region
            if part.display and at.height:
                strips = part.render_lines(Region(0, 0, at.width, at.height))
                lines[at.y : at.bottom] = [strip.text for strip in strips]
        return lines

    def words_at_hand(self) -> str:
        """The hit that was gone to, and what stands below it."""
        return " ".join(" ".join(self.list_lines()[self.list_at() :]).split())

    def list_at(self) -> int:
        """The hit that was gone to, while it is in sight; else the line on top."""
        top = round(self.scroll_target_y)
        hit = self._hit
        return hit if hit is not None and top <= hit < top + self.size.height else top

    def list_go(self, row: int) -> None:
        """That line in sight."""
        self._hit = row
        if not self.scroll_offset.y <= row < self.scroll_offset.y + self.size.height:
            self.scroll_to(y=row, animate=False)
        for part in self.children:
            part.refresh()

    def action_list_move(self, by: int) -> None:
        """So many lines down."""
        self._hit = None
        self.scroll_relative(y=by, animate=False)
