"""What a pickle may ask for that costs more time than it has bytes."""

from __future__ import annotations

from typing import Any

MAX_OPCODES = 1_000_000
"""A module of 1,000 tensors takes about 60,000; so many take a second or three."""

MAX_OTHER_KEYS = 20_000
"""Keys that are not text, over the whole pickle. An optimizer has one a tensor."""

_LARGEST_KEY = 2**64


class BrokenPickleError(ValueError):
    """The bytes are not a pickle that can be followed."""


class KeyBounds:
    """Counts the keys of a pickle's dictionaries.

    Hashes of numbers can be foretold, unlike those of text. Where all are alike, each new key is
    compared with all before it, so that a megabyte of keys would take hours.
    """

    def __init__(self) -> None:
        self._keys = self._others = 0

    def count(self, key: Any) -> None:
        """One more key, before it is hashed; a tuple counts by its parts, as it is hashed by them.

        Raises:
            BrokenPickleError: there are too many, or it is a number beyond 64 bits.
        """
        parts = key if isinstance(key, tuple) else (key,)
        self._keys += 1
        if not (len(parts) == 1 and isinstance(parts[0], str)):
            self._others += max(1, len(parts))
        if self._keys > MAX_OPCODES or self._others > MAX_OTHER_KEYS:
            raise BrokenPickleError("its dictionaries have more keys than a checkpoint's")
        if any(isinstance(part, int) and abs(part) >= _LARGEST_KEY for part in parts):
            raise BrokenPickleError("a dictionary key of more than 64 bits")


def memo_place(place: int) -> int:
    """A place that a pickler can have given: they are counted from 0.

    Raises:
        BrokenPickleError: it is another.
    """
    if not 0 <= place <= MAX_OPCODES:
        raise BrokenPickleError("a malformed pickle: a place in the memo that no pickler gives")
    return place
