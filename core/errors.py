"""The errors for refused input, refused data and failed runs.

An error says what is wrong, where, why it matters and what to do about it, and has the exit code
for scripts. Any other exception is a bug in cxr-tui (exit code 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class CxrError(Exception):
    """The base class.

    Args:
        what: what is wrong, one sentence without a full stop.
        where: the file, line or key at fault, as the user wrote it.
        why: why it matters, unless that is obvious.
        remedy: what to do about it.
        changes: of the recipe, as ``key=value``, where these would be enough.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        why: str = "",
        remedy: str = "",
        changes: Sequence[str] = (),
    ) -> None:
        self.what = _shortened(what)
        self.where = None if where is None else _shortened(str(where))
        self.why = _shortened(why)
        self.remedy = _shortened(remedy)
        self.changes = tuple(changes)
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return " ".join(_sentence(part) for part in (head, self.why, self.remedy) if part)


_LONGEST = 6_000
"""A name or a cell of a damaged file can have a million characters; both ends are shown."""


def _shortened(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", "\n")) else text + "."


class UsageError(CxrError):
    """Invalid command-line arguments."""

    exit_code = 2


class RecipeError(CxrError):
    """A recipe has an unknown key, a wrong type or a value out of bounds."""

    exit_code = 2


class SessionError(CxrError):
    """A session can't be created, found, opened or written."""

    exit_code = 2


class DataError(CxrError):
    """Tables, lists, images or weights that can't be used as they are."""

    exit_code = 3


class UntrainedError(DataError):
    """A session without an intact checkpoint, and thus without a network to inspect."""


class NoRoomError(DataError):
    """A disk has less free space than will be needed; refused before the start."""


class RunFailedError(CxrError):
    """The run could not continue (not finite, out of memory, ...)."""

    exit_code = 4


class StoppedError(CxrError):
    """Stopped on request before the run's first checkpoint; run it again to continue."""

    exit_code = 75


def internal_error(error: BaseException) -> str:
    """The message for an error that is not a ``CxrError``; its traceback goes to a log."""
    return f"internal error (a bug in cxr-tui): {type(error).__name__}: {error}"
