"""Why a file gives no pixels."""

from __future__ import annotations

from collections.abc import Mapping

_NO_PICTURE = "no picture: "


class UndecodableImage(Exception):  # noqa: N818 - caught and counted, never shown as an error
    """The file can't be decoded; ``reason`` is a few words for the quarantine list.

    ``for_now`` is true if the file may be read by the next run, once a package is installed.
    """

    def __init__(self, name: str, reason: str, *, for_now: bool = False) -> None:
        self.name = name
        self.reason = reason
        self.for_now = for_now
        super().__init__(f"{name}: {reason}")


def no_picture(what: str) -> str:
    """The reason for a file that is intact and holds no picture, such as a structured report."""
    return f"{_NO_PICTURE}{what}"


def told_apart(reasons: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Files that can't be used, and intact ones that hold no picture, by name and reason."""
    passed_by = {name: reason for name, reason in reasons.items() if is_no_picture(reason)}
    return {name: why for name, why in reasons.items() if name not in passed_by}, passed_by


def is_no_picture(reason: str) -> bool:
    """Whether the file was passed by because it is something else than a picture."""
    return reason.startswith(_NO_PICTURE)
