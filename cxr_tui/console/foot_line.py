"""The line at the bottom: the few keys that matter here, `q` and `?` always last."""

from __future__ import annotations

from rich.text import Text
from textual import getters
from textual.app import App
from textual.binding import ActiveBinding
from textual.screen import Screen
from textual.widgets import Static

from cxr_tui.console.console import Console

_ALWAYS = ("quit", "keys")
"""Ids of the bindings at the end: the way out, and the way to all other keys."""


class FootLine(Static):
    """Keys of the focused screen that want to be shown; what doesn't fit is under `?`."""

    DEFAULT_CSS = """
    FootLine { dock: bottom; height: 1; background: $panel; color: $text-muted; }
    """

    console = getters.app(Console)

    def on_mount(self) -> None:
        """Follow the bindings, which change with the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._on_bindings)
        self._draw()

    def on_resize(self) -> None:
        """Another width shows other keys."""
        self._draw()

    def _on_bindings(self, _screen: Screen[object]) -> None:
        self._draw()

    def _draw(self) -> None:
        bindings = [b for b in self.screen.active_bindings.values() if b.binding.show and b.enabled]
        said = {id(entry): self.console.words_of(entry.binding) for entry in bindings}
        mine = [b for b in bindings if b.binding.id not in _ALWAYS and said[id(b)]]
        last = Text(no_wrap=True)
        ends = {entry.binding.id: entry for entry in reversed(bindings)}
        for name in _ALWAYS:
            if (entry := ends.get(name)) is not None:
                last.append("  ").append(_key(self.app, entry), style="bold")
        text = Text(" ", no_wrap=True)
        room = self.size.width - last.cell_len - 1
        described: set[str] = set()
        for entry in mine:
            part = Text(f"{_key(self.app, entry)}", style="bold")
            same = said[id(entry)] in described
            if not same:
                part.append(f" {said[id(entry)]}", style="not bold")
            part.append("  ")
            if text.cell_len + part.cell_len > room:
                break
            described.add(said[id(entry)])
            if not same:
                text.append_text(part)
        text.append(" " * max(0, self.size.width - text.cell_len - last.cell_len - 1))
        text.append_text(last)
        self.update(text, layout=False)


def _key(app: App[object], entry: ActiveBinding) -> str:
    return app.get_key_display(entry.binding)
