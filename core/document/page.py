"""The report as one HTML file: no script, no font, no request; what files say is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from core.document.blocks import Block, Section
from core.document.checklists import AnsweredChecklist
from core.document.plain_text import printable

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Chapter:
    """A session, or the comparison of several."""

    title: str
    lead: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Page:
    """What the file holds.

    Attributes:
        title: the browser's.
        subtitle: what is reported, below the title.
        chapters: at least one.
        checklists: beside this report.
        written: when, and by which version.
    """

    title: str
    subtitle: str
    chapters: Sequence[Chapter]
    checklists: Sequence[AnsweredChecklist]
    written: str


def html_of(page: Page) -> str:
    """The page as text."""
    titles = {one.anchor: one.title for chapter in page.chapters for one in chapter.sections}
    style = (files(__package__) / "templates" / "style.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(page=page, titles=titles, style=_ours(style))
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("core.document"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ours"] = _ours
    environment.tests["of_kind"] = _is_of_kind
    return environment


def _shown(value: object) -> object:
    """Text without control characters; our own markup as it is."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else printable(value)


def _ours(text: str) -> object:
    """Markup that we wrote ourselves, such as a chart, whose text is escaped already."""
    from markupsafe import Markup

    return Markup(text)


def _is_of_kind(block: Block, kind: str) -> bool:
    return block.kind == kind
