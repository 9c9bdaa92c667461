"""How spreadsheets outside England and America save a table: encoding and separators."""

from __future__ import annotations

import re

_WESTERN = frozenset(
    "äöüÄÖÜßáéíóúàèìòùâêîôûãõëïñçåæøœÁÉÍÓÚÀÈÂÊÎÔÛÃÕËÏÑÇÅÆØŒ"
    "\xa0°ºª²³µ·±×§«»¿¡´€\u2013\u2014\u2018\u2019\u201c\u201d\u201e\u2026"
)
_IN_UTF_8 = tuple(letter.encode() for letter in "äöüÄÖÜßáéíóúñç")


def from_windows(raw: bytes) -> bytes | None:
    """UTF-8 from Windows-1252, in which spreadsheets of Western Europe save.

    None if it can't be: a letter of none of its languages, or letters in UTF-8 beside it.
    """
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return None
    others = {letter for letter in set(text) if not letter.isascii()}
    is_mixed = any(letter in raw for letter in _IN_UTF_8)
    return text.encode() if others <= _WESTERN and not is_mixed else None


def separator_of(header: str) -> str:
    """What separates the columns: ``;`` or a tab where a header has more of them than commas."""
    outside = re.sub(r'"[^"]*"', "", header)
    mark = max(";\t", key=outside.count)
    return mark if outside.count(mark) > outside.count(",") else ","
