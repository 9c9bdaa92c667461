"""Text from files, without characters that control a terminal or reorder what is read."""

from __future__ import annotations

import unicodedata

_NOT_SEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Controls, formats such as direction marks, surrogates, private use, line separators."""


def printable(text: str) -> str:
    """The text with every control character replaced by a symbol of it; newlines become spaces.

    ESC becomes ``␛``, other C0 controls their symbols, the rest their code points.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _NOT_SEEN:
        return f"\\u{code:04x}"
    return character
