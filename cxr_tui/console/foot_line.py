"""The line at the bottom: the few keys that matter here, then `q` and `?`."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual import events, getters
from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.screen import Screen
from textual.widgets import Static

from cxr_tui.console.console import Console

_ALWAYS = ("quit", "keys")
"""Ids of the bindings at the end: quit, and help on all keys."""


_PLACES = {
    "sessions.open": 0,
    "sessions.filter": 2,
    **dict.fromkeys([f"sessions.{key}" for key in ("rename", "tags", "note", "sort")], 3),
}
"""Ids of bindings that stand before or after those of their screen."""


class FootLine(Static):
    """The shown keys of the focused screen; those that don't fit are in the help (`?`)."""

    DEFAULT_CSS = """
    FootLine { dock: bottom; height: 1; background: $panel; color: $text-muted; }
    """

    console = getters.app(Console)

    _instead = ""
    _clickable: tuple[tuple[int, str], ...] = ()
    """First cells of the keys shown, from left to right, each with its key; '' where none is."""

    def on_mount(self) -> None:
        """Subscribe to the bindings, which change with the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._on_bindings)
        self._draw()

    async def on_click(self, event: events.Click) -> None:
        """A click on a key is the key."""
        key = next((key for start, key in reversed(self._clickable) if event.x >= start), "")
        if key and not self._instead:
            await self.app.run_action(f"simulate_key({key!r})")

    def on_resize(self) -> None:
        """Redraw: the width decides which keys fit."""
        self._draw()

    def _on_bindings(self, _screen: Screen[object]) -> None:
        self._draw()

    def show_instead(self, words: str) -> None:
        """These words for now; '' shows the keys again."""
        self._instead = words
        self._draw()

    def _draw(self) -> None:
        if self._instead:
            self.update(Text(f" {self._instead}", no_wrap=True, overflow="ellipsis"), layout=False)
            return
        bindings = [b for b in self.screen.active_bindings.values() if b.binding.show and b.enabled]
        bindings.sort(key=_place_of(bindings))
        said = {id(entry): self.console.words_of(entry.binding) for entry in bindings}
        mine = [b for b in bindings if b.binding.id not in _ALWAYS and said[id(b)]]
        mine.sort(key=lambda entry: _PLACES.get(entry.binding.id or "", 1))
        last = Text(no_wrap=True)
        clickable = []
        ends = {entry.binding.id: entry for entry in reversed(bindings)}
        for name in _ALWAYS:
            if (entry := ends.get(name)) is not None:
                clickable.append((last.cell_len + 1, entry.binding.key))
                last.append("  ").append(_key(self.app, entry), style="bold")
        text = Text(" ", no_wrap=True)
        room = self.size.width - last.cell_len - 1
        described: set[str] = set()
        bare: list[ActiveBinding] = []
        at_left: list[tuple[int, str]] = []
        for entry in mine:
            part = Text(f"{_key(self.app, entry)}", style="bold")
            same = said[id(entry)] in described
            if not same:
                part.append(f" {said[id(entry)]}", style="not bold")
            part.append("  ")
            if text.cell_len + part.cell_len > room:
                if not same:
                    bare.append(entry)
                continue
            described.add(said[id(entry)])
            if not same:
                at_left.append((text.cell_len, entry.binding.key))
                text.append_text(part)
        for entry in bare:  # there is a word for it under `?`
            key = _key(self.app, entry)
            if len(key) == 1 and text.cell_len + 2 <= room:  # a word like space would say nothing
                at_left.append((text.cell_len, entry.binding.key))
                text.append(f"{key} ", style="bold")
        at_left.append((text.cell_len, ""))
        text.append(" " * max(0, self.size.width - text.cell_len - last.cell_len - 1))
        clicked = [(text.cell_len + start, key) for start, key in clickable]
        self._clickable = (*at_left, *clicked)
        text.append_text(last)
        self.update(text, layout=False)


def _place_of(bindings: list[ActiveBinding]) -> Callable[[ActiveBinding], tuple[int, int]]:
    """As they are declared: one that was given another key keeps its place."""
    nodes = list(dict.fromkeys(entry.node for entry in bindings))
    declared = {
        node: [b.id for b in type(node).BINDINGS if isinstance(b, Binding)] for node in nodes
    }

    def place(entry: ActiveBinding) -> tuple[int, int]:
        ids, name = declared[entry.node], entry.binding.id
        return nodes.index(entry.node), ids.index(name) if name in ids else len(ids)

    return place


def _key(app: App[object], entry: ActiveBinding) -> str:
    return app.get_key_display(entry.binding)
