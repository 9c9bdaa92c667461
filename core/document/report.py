"""Write the report of one or several sessions: one HTML file, or the tables alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from core.document.checklists import answered, checklists
from core.document.comparison_blocks import comparison_sections
from core.document.facts import Facts, read_facts
from core.document.page import Chapter, Page, html_of
from core.document.plain_tables import latex_of, markdown_of, tables_of
from core.document.result_tables import headline
from core.document.sections import sections_of
from core.errors import DataError, UsageError
from core.store.files import is_folder, write_whole
from core.store.session import Session

Format = Literal["html", "markdown", "latex"]

SUFFIXES: dict[Format, str] = {"html": ".html", "markdown": ".md", "latex": ".tex"}


_IMAGE_NAME = re.compile(r"[\w./-]+\.(?:png|jpe?g|dcm|dicom|tiff?)\b", re.IGNORECASE)


@dataclass(frozen=True)
class WrittenReport:
    """What was written."""

    path: Path
    size_bytes: int


def default_path(sessions: Sequence[Session], form: Format = "html") -> Path:
    """``NAME-report.html`` in the session's folder, the first one's for several."""
    first = sessions[0]
    more = f"-and-{len(sessions) - 1}-more" if len(sessions) > 1 else ""
    return first.path / f"{first.name}{more}-report{SUFFIXES[form]}"


def write_report(
    sessions: Sequence[Session],
    path: Path,
    cache: Path,
    form: Format = "html",
    *,
    with_images: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> WrittenReport:
    """Write the report of these sessions to ``path``, whole or not at all.

    Args:
        sessions: finished ones, at least one.
        path: the file; an older one is replaced.
        cache: the folder of caches, where decoded images are.
        form: the whole report as HTML, or its tables alone.
        with_images: False leaves out pictures and names of images.
        told: called with each stage in words.

    Raises:
        UsageError: the folder of ``path`` isn't there, ``path`` is a folder, or a session is named
            twice.
        SessionError: a session is still going, or a file of it is damaged.
        DataError: a session has no test figures, or the file can't be written.
    """
    _refuse_place(path)
    _refuse_twice(sessions)
    read = []
    for session in sessions:
        told(f"reading {session.name}")
        read.append(read_facts(session, cache))
        if read[-1].looks.warning is not None:
            told(read[-1].looks.warning)
    told("drawing")
    chapters = [
        _chapter(facts, f"s{place}-" if len(read) > 1 else "", with_images=with_images)
        for place, facts in enumerate(read, start=1)
    ]
    if len(read) > 1:
        told("comparing")
        lead = "The same test images, seen by each of them."
        chapters.insert(0, Chapter("Comparison", lead, comparison_sections(read)))
    text = _content(read, chapters, form)
    if not with_images:
        text = _IMAGE_NAME.sub("(an image)", text)  # a warning may name some
    content = text.encode(errors="backslashreplace")
    _write(path, content)
    return WrittenReport(path, len(content))


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content, follow=True)
    except OSError as error:
        raise DataError(
            f"the report can't be written ({error.strerror})",
            where=path,
            remedy="Free some space there, or name another file with --out.",
        ) from error


def _chapter(facts: Facts, prefix: str, *, with_images: bool) -> Chapter:
    sections = sections_of(facts, prefix=prefix, with_images=with_images)
    return Chapter(facts.name, headline(facts.report), sections)


def _content(read: Sequence[Facts], chapters: Sequence[Chapter], form: Format) -> str:
    title = ", ".join(facts.name for facts in read)
    if form != "html":
        tables = tables_of(section for chapter in chapters for section in chapter.sections)
        return (markdown_of if form == "markdown" else latex_of)(tables, title)
    prefix = "s1-" if len(read) > 1 else ""
    present = [section.anchor for chapter in chapters for section in chapter.sections]
    page = Page(
        title=title,
        subtitle=headline(read[0].report) if len(read) == 1 else f"{len(read)} sessions",
        chapters=chapters,
        checklists=[answered(one, present, prefix=prefix) for one in checklists()],
        written=f"Written {datetime.now().astimezone():%Y-%m-%d %H:%M %Z} by cxr-tui {_version()}",
    )
    return html_of(page)


def _version() -> str:
    try:
        return version("cxr-tui")
    except PackageNotFoundError:  # run from a checkout
        return "from source"


def _refuse_place(path: Path) -> None:
    if is_folder(path):
        raise UsageError(
            "is a folder", where=f"--out {path}", remedy="Name the file that the report will be."
        )
    if not is_folder(path.parent):
        raise UsageError(
            "its folder isn't there", where=f"--out {path}", remedy=f"Make it: mkdir {path.parent}"
        )


def _refuse_twice(sessions: Sequence[Session]) -> None:
    paths = [session.path for session in sessions]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise UsageError(
            "is named twice", where=twice.name, remedy="Name each session of a report once."
        )
