"""Reporting checklists: which items this report answers, and which stay for its author.

An item counts as answered only by a section that the report has. Nothing is filled in by guess.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Status = Literal["answered here", "answered in part", "yours to write"]

NAMES = ("claim_2024", "tripod_ai")


@dataclass(frozen=True)
class ChecklistItem:
    """One item, in our own words.

    Attributes:
        number: as in the publication, such as ``12c``.
        group: the part of a paper that it belongs to.
        asks: what it asks for.
        sections: anchors of the sections that hold an answer; () if none can.
        answer: what they say of it.
        left: what only the author knows; '' if nothing is left.
    """

    number: str
    group: str
    asks: str
    sections: tuple[str, ...] = ()
    answer: str = ""
    left: str = ""


@dataclass(frozen=True)
class Checklist:
    """A published checklist, with where it is from."""

    name: str
    source: str
    items: tuple[ChecklistItem, ...]


@dataclass(frozen=True)
class AnsweredItem:
    """An item beside this report.

    Attributes:
        links: anchors of sections that this report has.
    """

    item: ChecklistItem
    status: Status
    links: tuple[str, ...]


@dataclass(frozen=True)
class AnsweredChecklist:
    """A checklist beside this report."""

    checklist: Checklist
    items: tuple[AnsweredItem, ...]

    def number_of(self, status: Status) -> int:
        """How many items have this status."""
        return sum(one.status == status for one in self.items)


@cache
def checklists() -> tuple[Checklist, ...]:
    """CLAIM 2024 and TRIPOD+AI."""
    return tuple(map(_read, NAMES))


def answered(
    checklist: Checklist, present: Collection[str], *, prefix: str = ""
) -> AnsweredChecklist:
    """The checklist beside a report with these sections.

    Args:
        present: anchors of the report's sections that have content.
        prefix: begins the anchors of the session whose sections answer, if there are several.
    """
    items = tuple(_answered(item, present, prefix) for item in checklist.items)
    return AnsweredChecklist(checklist, items)


def _answered(item: ChecklistItem, present: Collection[str], prefix: str) -> AnsweredItem:
    of_it = [{prefix + anchor, anchor} & {*present} for anchor in item.sections]
    links = tuple(anchor for found in of_it for anchor in found)
    if not links:
        return AnsweredItem(item, "yours to write", ())
    return AnsweredItem(item, "answered in part" if item.left else "answered here", links)


def _read(name: str) -> Checklist:
    text = (files(__package__) / "checklists" / f"{name}.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    items = tuple(
        ChecklistItem(**{**item, "sections": tuple(item.get("sections", ()))})
        for item in read["items"]
    )
    return Checklist(read["name"], read["source"], items)
