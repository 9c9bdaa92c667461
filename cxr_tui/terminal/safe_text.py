"""Make text from files and people safe to print."""

from __future__ import annotations

import codecs
import json
import math
import re
import unicodedata

CLOSEST = "cxr-tui-closest"
"""For ``errors=``: replace characters that an encoding lacks by the closest ASCII, one for one."""

_NOT_SEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: controls, formats such as direction marks, surrogates, separators."""

_ASCII = {
    "–": "-", "−": "-", "—": "-", "·": ".", "•": "*", "✓": "+", "✗": "x", "■": "#", "●": "*",
    "○": "o", "▲": "!", "▸": ">", "▾": "v", "‖": "=", "→": ">", "←": "<", "×": "x", "─": "-",
    "│": "|", "┄": "-", "━": "=", "╌": "-", "█": "#", "«": "<", "»": ">", "‹": "<", "›": ">",
    "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+",
    "┤": "+", "┬": "+", "┴": "+", "┼": "+", "┃": "|", "║": "|", "═": "=", "╸": "-", "╺": "-",
    "╴": "-", "╶": "-", "▼": "v", "◀": "<", "▶": ">", "🔎": ">", "≥": ">", "≤": "<", "±": "~",
    "“": '"', "”": '"', "‘": "'", "’": "'", "↑": "^", "↓": "v", "∞": "~", "°": "o",
    "▏": "|", "▕": "|",
}  # fmt: skip


_ROOM_FOR_BOTH_ENDS = 20


def counted(reason: str, images: int) -> str:
    """Such as ``34 × box cut off at the image's edge``; without a number if not about images."""
    return f"{images:,} × {reason}" if images else reason


def shortened(text: str, cells: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= cells else f"{text[: max(0, cells - 1)]}…"


def name_shortened(name: str, cells: int) -> str:
    """A session's name, or its end and as much of its start as fits.

    Names begin with the date; the time, the recipe and a seed at the end distinguish them.
    """
    if len(name) <= cells:
        return name
    head = cells // 3 if cells >= _ROOM_FOR_BOTH_ENDS else 0
    tail = max(0, cells - 1 - head)
    return f"{name[:head]}…{name[len(name) - tail :]}"


def broken_at_slashes(text: str, width: int) -> str:
    """The text with words wider than ``width`` broken after a slash, where they have one."""

    from rich.cells import cell_len  # what only prints does without

    def broken(word: str) -> str:
        lines = [""]
        for part in re.findall(r"[^/]*/|[^/]+", word):
            if lines[-1] and cell_len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
        return "\n".join(lines)

    return re.sub(r"\S+", lambda word: broken(word[0]), text)


def visible(text: str) -> str:
    """The text with control characters made visible, so that none reaches a terminal.

    Newlines stay; ESC becomes ``␛``, other C0 controls their symbols, C1 controls and direction
    marks (which could reorder the text) their code points.
    """
    return "".join(_shown(character) for character in text)


def visible_json(text: str) -> str:
    """Equivalent JSON in which no character can control a terminal or reorder text.

    ``json.dumps`` escapes C0 controls alone. DEL, C1 controls, direction marks and line separators
    become escapes too; a lone surrogate, which can't be encoded, becomes ``?``.
    """
    if text.isascii() and "\x7f" not in text:
        return text  # the common case
    whole = text.encode(errors="replace").decode()
    return "".join(_escaped(character) for character in whole)


def closest_ascii(text: str) -> str:
    """The text in as many ASCII characters, the closest for each, else ``?``."""
    return "".join(_ascii(character) for character in text)


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    bare = unicodedata.normalize("NFKD", character)[0]  # é -> e
    return _ASCII.get(character) or (bare if bare.isascii() else "?")


def _closest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return closest_ascii(error.object[error.start : error.end]), error.end


codecs.register_error(CLOSEST, _closest)


def _escaped(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _NOT_SEEN:
        return character
    return json.dumps(character)[1:-1]


def _shown(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _NOT_SEEN:
        return f"\\u{code:04x}"
    return character


def duration(seconds: float) -> str:
    """A duration with its unit: ``14 s``, ``14 min``, ``4 h 41``, ``2 d 3 h``."""
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
