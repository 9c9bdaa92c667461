"""Limits for pickles whose cost in time is out of proportion to their size."""

from __future__ import annotations

from typing import Any

MAX_OPCODES = 1_000_000
"""A module of 1,000 tensors takes about 60,000; this many take one to three seconds."""

MAX_OTHER_KEYS = 20_000
"""Keys that are not text, in the whole pickle. An optimiser has one for each tensor."""

_LARGEST_KEY = 2**64


class BrokenPickleError(ValueError):
    """The bytes are not a pickle that can be followed."""


class KeyBounds:
    """Counts the keys of a pickle's dictionaries.

    Hashes of numbers are predictable, unlike those of text. If all collide, each new key is
    compared with all earlier ones, so that a megabyte of keys would take hours.
    """

    def __init__(self) -> None:
        self._keys = self._others = 0

    def count(self, key: Any) -> None:
        """Count a key before it is hashed; a tuple counts by its parts.

        Raises:
            BrokenPickleError: there are too many keys, or a number exceeds 64 bits.
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
    """Check a memo index; picklers count from 0.

    Raises:
        BrokenPickleError: no pickler would use it.
    """
    if not 0 <= place <= MAX_OPCODES:
        raise BrokenPickleError("a malformed pickle: a memo index that no pickler uses")
    return place
