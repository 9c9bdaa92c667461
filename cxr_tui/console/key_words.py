"""Keys named in a dialog: a click on one is the key."""

from __future__ import annotations

from textual.content import Content
from textual.style import Style

_KEYS = {"esc": "escape", "/": "slash", "^l": "ctrl+l"}
"""Textual's name of a key that is written otherwise."""

_NO_KEY = "↑ ↓"
"""What only a keyboard has."""


def key_words(*keys: tuple[str, str], apart: str = "   ", width: int = 0) -> Content:
    """Keys, as they are written, and what each does; ``width``: cells of the column of keys."""
    parts: list[Content | str] = []
    for key, what in keys:
        words = f"{key:<{width}} {what}"
        parts += [apart, words if key == _NO_KEY else _clickable(words, _KEYS.get(key, key))]
    return Content.assemble(*parts[1:])


def _clickable(words: str, key: str) -> Content:
    return Content.styled(words, Style.from_meta({"@click": f"app.simulate_key({key!r})"}))
