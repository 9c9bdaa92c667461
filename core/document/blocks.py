"""What a report is made of: sections of tables, charts, pairs, pictures and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from core.document.flow import Flow


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: its caption.
        head: the names of the columns.
        rows: as many cells each; a row of one cell is a heading inside the table.
        left: number of columns, from the first, that are words and not figures.
        notes: what is needed to read it.
        strong_last: whether the last row is a summary.
    """

    kind: ClassVar[str] = "table"

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    notes: tuple[str, ...] = ()
    strong_last: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes:
        svg: the element, with text escaped and without references to anything outside.
        caption: what it shows, and how to read it.
        alt: the same for those who can't see it.
        title: stands above, if there are several.
    """

    kind: ClassVar[str] = "chart"

    svg: str
    caption: str
    alt: str
    title: str = ""


@dataclass(frozen=True)
class Pairs:
    """Names and values."""

    kind: ClassVar[str] = "pairs"

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Words:
    """Sentences, a paragraph or a list."""

    kind: ClassVar[str] = "words"

    lines: tuple[str, ...]
    title: str = ""
    is_list: bool = False


@dataclass(frozen=True)
class Picture:
    """A small image.

    Attributes:
        data_uri: None if the image can't be shown; ``lines`` say why.
        lines: what stands below.
    """

    data_uri: str | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """A row of pictures under a heading."""

    kind: ClassVar[str] = "pictures"

    title: str
    pictures: tuple[Picture, ...]
    note: str = ""
    large: bool = False


@dataclass(frozen=True)
class FlowChart:
    """The flow of images and patients."""

    kind: ClassVar[str] = "flow"

    flow: Flow


Block = Table | Chart | Pairs | Words | Pictures | FlowChart


@dataclass(frozen=True)
class Section:
    """A part of the report with an anchor that others link to."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""
