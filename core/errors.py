"""Every way in which a user's input, data or run can be refused.

An error says what is wrong, where, why it matters and what to do about it, and
carries the exit code that a script sees. Anything else that escapes is a defect
of ours (exit code 1).
"""

from __future__ import annotations

from typing import ClassVar


class CxrError(Exception):
    """The root of the tree.

    Args:
        what: what is wrong, one sentence without a full stop at its end.
        where: the file, line or key at fault, as the user knows it.
        why: why it matters, where that isn't plain.
        remedy: what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: object = None, why: str = "", remedy: str = "") -> None:
        self.what = _shortened(what)
        self.where = None if where is None else _shortened(str(where))
        self.why = _shortened(why)
        self.remedy = _shortened(remedy)
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return " ".join(_sentence(part) for part in (head, self.why, self.remedy) if part)


_LONGEST = 6_000
"""A name or a cell of a damaged file can have a million letters, and the last ones matter too."""


def _shortened(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", "\n")) else text + "."


class UsageError(CxrError):
    """The command line asks for something that can't be."""

    exit_code = 2


class RecipeError(CxrError):
    """A recipe has a wrong key, type or bound."""

    exit_code = 2


class SessionError(CxrError):
    """A session can't be created, found, opened or written by us."""

    exit_code = 2


class DataError(CxrError):
    """Tables, lists, images or weights that can't be used as they are."""

    exit_code = 3


class UntrainedError(DataError):
    """A session that has kept no whole checkpoint, so that there is no network to look into."""


class NoRoomError(DataError):
    """A disk has less room than will be needed; refused before the start."""


class RunFailedError(CxrError):
    """The run itself could not go on (not finite, out of memory, ...)."""

    exit_code = 4


class StoppedError(CxrError):
    """Stopped on request before the run's first checkpoint; run it again to go on."""

    exit_code = 75


def internal_error(error: BaseException) -> str:
    """What a user is told of an error that is none of ``CxrError``; its traceback is for a log."""
    return f"internal error (a bug in cxr-tui): {type(error).__name__}: {error}"
