"""Published AUROC figures, each with the split it was measured on.

Comparing across splits is the field's commonest mistake: the official test part has a different
prevalence and different views from a random draw. So a figure is shown only if the user's figures
were measured on the same images; otherwise it stays blank, with a warning.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from core.data.tables.label_version import version_named
from core.errors import RecipeError
from core.findings import did_you_mean

NO_REFERENCE = "none"
OFFICIAL = "official"
OFFICIAL_TEST_IMAGES = 25_596

UNKNOWN_LABELS = "unknown"

_SPLITS = {
    "lists": "its lists are not NIH's own",
    "patient": "drawn by patient",
    "unknown": "how it was drawn is not known",
}
"""Splits other than NIH's; a data set of one's own has its own lists."""

_NEARLY_ALL = 0.99  # a few quarantined images don't make it another test part


@dataclass(frozen=True)
class Reference:
    """One published column.

    Attributes:
        split_kind: ``official`` or ``random-by-patient``.
        measured_on: the test images, in words.
        source: where the figures were read; ``read second-hand`` and ``as … quotes it`` if the
            publication itself was not read.
        auroc_by_finding: of the findings that were published.
        label_table: the version of NIH's labels, or the collection, that it was measured on; or
            ``unknown``.
        kind: the data set of the test images, as in ``dataset.kind``.
        official_part: its part, such as ``valid`` of CheXpert; '' if none.
        num_images: images or studies of that part; 0 if none.
        labels: the label policy of its authors, in words.
    """

    column: str
    model: str
    split_kind: str
    measured_on: str
    source: str
    auroc_by_finding: dict[str, float]
    label_table: str
    kind: str = "nih"
    official_part: str = ""
    num_images: int = 0
    labels: str = ""


@dataclass(frozen=True)
class ReferenceShown:
    """The published figures next to a user's; ``auroc_by_finding`` is None if blank.

    ``no_difference`` says why the difference from them is not given, though they are shown.
    """

    reference: Reference
    auroc_by_finding: dict[str, float] | None
    warning: str | None
    no_difference: str | None = None


_TABLES = ("published_auroc.csv", "published_auroc_more.csv")
_NOT_FINDINGS = frozenset(
    (
        *("row", "kind", "model", "split_kind", "official_part", "images", "measured_on"),
        *("source", "label_table", "labels"),
    )
)


@cache
def load_references() -> dict[str, Reference]:
    """Every published column we ship, by name, in the tables' order: NIH's own first."""
    return {reference.column: reference for name in _TABLES for reference in _read(name)}


def references_of(kind: str) -> tuple[str, ...]:
    """The published columns that were measured on this data set."""
    return tuple(name for name, known in load_references().items() if known.kind == kind)


def _read(name: str) -> Iterator[Reference]:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    cells = {row[0]: row[1:] for row in rows}
    nothing = [""] * len(header)
    for position, column in enumerate(header[1:]):
        yield Reference(
            column=column,
            model=cells["model"][position],
            split_kind=cells["split_kind"][position],
            measured_on=cells["measured_on"][position],
            source=cells["source"][position],
            auroc_by_finding={
                finding: float(figures[position])
                for finding, figures in cells.items()
                if finding not in _NOT_FINDINGS and figures[position]
            },
            label_table=cells["label_table"][position],
            kind=cells.get("kind", nothing)[position] or "nih",
            official_part=cells.get("official_part", nothing)[position],
            num_images=int(cells.get("images", nothing)[position] or 0),
            labels=cells.get("labels", nothing)[position],
        )


def known_reference(column: str) -> Reference | None:
    """The published column with that name; None for ``none``.

    Raises:
        RecipeError: no such column; the message names the nearest one.
    """
    if column == NO_REFERENCE:
        return None
    known = load_references()
    if column not in known:
        raise RecipeError(
            f"unknown reference {column!r}; allowed are {NO_REFERENCE}, {', '.join(known)}",
            where="evaluate.reference",
            remedy=did_you_mean(column, known),
        )
    return known[column]


def reference_for(
    column: str,
    split_kind: str,
    *,
    part: str = "test",
    num_images: int = OFFICIAL_TEST_IMAGES,
    label_table: str | None = None,
    official_part: str | None = None,
) -> ReferenceShown | None:
    """The published figures to print next to a user's, or None if none were requested.

    Figures are given only if both are of the official test part; otherwise they are blank and the
    warning says where the reference was measured. A random split isn't the same as another random
    split. The difference from them stays blank if they were measured on another or an unknown
    version of the labels.
    Args:
        column: a name of ``load_references()``, or ``none``.
        split_kind: how the user's split was drawn; ``official`` is NIH's own.
        part: the part scored.
        num_images: images scored; part of the official test part is another test set.
        label_table: the labels used for scoring, as a report names them.
        official_part: the data set and its official part that all images are of, such as
            ``chexpert valid``; None: NIH's, if the split is its own.

    Raises:
        RecipeError: no such column; the message names the nearest one.
    """
    reference = known_reference(column)
    if reference is None:
        return None
    if reference.kind == "nih":
        difference = _difference(reference, split_kind, part, num_images, official_part)
        no_difference = why_no_difference(reference, label_table)
    else:
        difference = _difference_of_collection(reference, split_kind, num_images, official_part)
        no_difference = _other_units(reference, num_images)
    if difference is None:
        return ReferenceShown(reference, dict(reference.auroc_by_finding), None, no_difference)
    warning = (
        f"reference {column} is left blank: it was measured on {reference.measured_on}, "
        f"and these figures {difference}"
    )
    return ReferenceShown(reference, None, warning)


def why_no_difference(reference: Reference, label_table: str | None) -> str | None:
    """Why our AUROC minus the published one would compare two label tables; None if it doesn't.

    NIH relabelled 181 images of the official test part: 555 of its images are positive for
    Pneumonia in v2020, 477 in the table of 2017.
    """
    ours, theirs = version_named(label_table), reference.label_table
    if ours is not None and ours == theirs:
        return None
    begin = f"no difference from {reference.column} is given: it was measured on "
    if theirs == UNKNOWN_LABELS:
        return f"{begin}labels of a version that is not known"
    if ours is None:
        return f"{begin}the labels of {theirs}, and these are {label_table or 'not known'}"
    return f"{begin}the labels of {theirs}, and these are {ours}: 181 images of test differ"


def is_official_test(split_kind: str, part: str, num_images: int) -> bool:
    """Whether these are (nearly) all images of NIH's official test part."""
    enough = num_images >= _NEARLY_ALL * OFFICIAL_TEST_IMAGES
    return split_kind == OFFICIAL and part == "test" and enough


def _other_units(reference: Reference, num_images: int) -> str | None:
    """Why studies and images aren't compared to the third digit."""
    if num_images == reference.num_images:
        return None
    return (
        f"no difference from {reference.column} is given: it was measured on "
        f"{reference.num_images:,} studies, and these are {num_images:,} images"
    )


def _difference_of_collection(
    reference: Reference, split_kind: str, num_images: int, official_part: str | None
) -> str | None:
    if reference.split_kind != OFFICIAL:
        return _OTHER_IMAGES
    if split_kind != OFFICIAL:
        return f"are of another split ({_SPLITS.get(split_kind, f'split.by is {split_kind}')})"
    if official_part != f"{reference.kind} {reference.official_part}":
        return f"are of another part ({official_part or 'not an official one'})"
    if num_images < _NEARLY_ALL * reference.num_images:
        return f"are of {num_images:,} images"
    return None


_OTHER_IMAGES = "are of other images: no two random splits are the same"


def _difference(
    reference: Reference,
    split_kind: str,
    part: str,
    num_images: int,
    official_part: str | None,
) -> str | None:
    if reference.split_kind != OFFICIAL:
        return _OTHER_IMAGES
    if official_part is not None and not official_part.startswith("nih "):
        return f"are of another data set ({official_part.partition(' ')[0]})"
    if split_kind != OFFICIAL:
        return f"are of another split ({_SPLITS.get(split_kind, f'split.by is {split_kind}')})"
    if part != "test":
        return f"are of the {part} part"
    if num_images < _NEARLY_ALL * OFFICIAL_TEST_IMAGES:
        return f"are of {num_images:,} of its {OFFICIAL_TEST_IMAGES:,} images"
    return None
