"""Text from files and people, made safe to print."""

from __future__ import annotations

import codecs
import json
import math
import unicodedata

CLOSEST = "cxr-tui-closest"
"""For ``errors=``: what an encoding lacks becomes the closest ASCII, one sign for one."""

_NOT_SEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories: controls, formats such as direction marks, halves of characters, separators."""

_ASCII = {
    "–": "-", "−": "-", "—": "-", "·": ".", "•": "*", "✓": "+", "✗": "x", "■": "#", "●": "*",
    "○": "o", "▲": "!", "▸": ">", "▾": "v", "‖": "=", "→": ">", "←": "<", "×": "x", "─": "-",
    "│": "|", "┄": "-", "━": "=", "╌": "-", "█": "#", "«": "<", "»": ">", "‹": "<", "›": ">",
}  # fmt: skip


_ROOM_FOR_BOTH_ENDS = 20


def counted(reason: str, images: int) -> str:
    """Such as ``34 × box cut off at the image's edge``; what is not about images has no number."""
    return f"{images:,} × {reason}" if images else reason


def shortened(text: str, cells: int) -> str:
    """The text, or as much as fits before an ellipsis."""
    return text if len(text) <= cells else f"{text[: max(0, cells - 1)]}…"


def name_shortened(name: str, cells: int) -> str:
    """A session's name, or what tells it from others: the end, and of its start what fits.

    Names begin with the date; the time, the recipe and a seed stand at the end.
    """
    if len(name) <= cells:
        return name
    head = cells // 3 if cells >= _ROOM_FOR_BOTH_ENDS else 0
    tail = max(0, cells - 1 - head)
    return f"{name[:head]}…{name[len(name) - tail :]}"


def visible(text: str) -> str:
    """The text with control characters made visible, so that none of them reaches a terminal.

    Newlines stay; ESC becomes ``␛``, other C0 controls their symbols, C1 controls and
    direction marks (which could reorder what is read) their code points.
    """
    return "".join(_shown(character) for character in text)


def visible_json(text: str) -> str:
    """JSON of the same meaning in which no character can steer a terminal or reorder what is read.

    ``json.dumps`` escapes C0 controls alone. DEL, C1 controls, direction marks and line separators
    become escapes too; half a character, which no encoding has, becomes ``?``.
    """
    if text.isascii() and "\x7f" not in text:
        return text  # nearly every line of a run
    whole = text.encode(errors="replace").decode()
    return "".join(_escaped(character) for character in whole)


def closest_ascii(text: str) -> str:
    """The text in as many ASCII signs, each alike where there is one, else ``?``."""
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
    """A length of time with its unit: ``14 s``, ``14 min``, ``4 h 41``, ``2 d 3 h``."""
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
