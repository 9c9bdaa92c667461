"""Published AUROC figures, each beside the split that it was measured on.

Comparing across splits is the field's commonest mistake: the official test part has another
prevalence and other views than a random draw. So a figure is shown only where the user's
figures were measured on the same images; elsewhere it stays blank, with a warning.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from core.data.tables.label_version import version_named
from core.errors import RecipeError
from core.findings import FINDINGS, did_you_mean

NO_REFERENCE = "none"
OFFICIAL = "official"
OFFICIAL_TEST_IMAGES = 25_596

UNKNOWN_LABELS = "unknown"

_SPLITS = {
    "lists": "its lists are not NIH's own",
    "patient": "drawn by patient",
    "unknown": "how it was drawn is not known",
}
"""What else a split can be than NIH's; a set of its own has lists of its own."""

_NEARLY_ALL = 0.99  # a few quarantined images don't make it another test part


@dataclass(frozen=True)
class Reference:
    """One published column.

    Attributes:
        split_kind: ``official`` or ``random-by-patient``.
        measured_on: the test images, in words.
        source: where the figures were read; ``read second-hand`` and ``as … quotes it`` where the
            publication itself was not.
        label_table: the version of NIH's labels that it was measured on, or ``unknown``.
    """

    column: str
    model: str
    split_kind: str
    measured_on: str
    source: str
    auroc_by_finding: dict[str, float]
    label_table: str


@dataclass(frozen=True)
class ReferenceShown:
    """What is printed beside a user's figures; ``auroc_by_finding`` is None where blank.

    ``no_difference`` says why no difference from them may be taken, though they are shown.
    """

    reference: Reference
    auroc_by_finding: dict[str, float] | None
    warning: str | None
    no_difference: str | None = None


@cache
def load_references() -> dict[str, Reference]:
    """Every published column we ship, by name, in the table's order."""
    text = (files(__package__) / "published_auroc.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    cells = {row[0]: row[1:] for row in rows}
    return {
        column: Reference(
            column=column,
            model=cells["model"][position],
            split_kind=cells["split_kind"][position],
            measured_on=cells["measured_on"][position],
            source=cells["source"][position],
            auroc_by_finding={finding: float(cells[finding][position]) for finding in FINDINGS},
            label_table=cells["label_table"][position],
        )
        for position, column in enumerate(header[1:])
    }


def known_reference(column: str) -> Reference | None:
    """The published column of that name; None for ``none``.

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
) -> ReferenceShown | None:
    """The published figures to print beside a user's, or None where none were asked for.

    Figures are given only where both are of the official test part; elsewhere they are blank
    and the warning says where the reference was measured. A random split isn't the same as
    another random split. The difference from them stays blank where they were measured on
    another version of the labels, or on one that nobody knows.

    Args:
        column: a name of ``load_references()``, or ``none``.
        split_kind: how the user's split was drawn; ``official`` is NIH's own.
        part: the part scored.
        num_images: images scored; a fraction of the official test part is another test set.
        label_table: the labels that were scored against, as a report names them.

    Raises:
        RecipeError: no such column; the message names the nearest one.
    """
    reference = known_reference(column)
    if reference is None:
        return None
    difference = _difference(reference, split_kind, part, num_images)
    if difference is None:
        no_difference = why_no_difference(reference, label_table)
        return ReferenceShown(reference, dict(reference.auroc_by_finding), None, no_difference)
    warning = (
        f"reference {column} is left blank: it was measured on {reference.measured_on}, "
        f"and these figures {difference}"
    )
    return ReferenceShown(reference, None, warning)


def why_no_difference(reference: Reference, label_table: str | None) -> str | None:
    """Why ours less the published figure would compare two label tables; None where it doesn't.

    NIH labelled 181 images of the official test part anew: 555 of its images are positive for
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


def _difference(reference: Reference, split_kind: str, part: str, num_images: int) -> str | None:
    if reference.split_kind != OFFICIAL:
        return "are of other images: no random split is the same as another"
    if split_kind != OFFICIAL:
        return f"are of another split ({_SPLITS.get(split_kind, f'split.by is {split_kind}')})"
    if part != "test":
        return f"are of the {part} part"
    if num_images < _NEARLY_ALL * OFFICIAL_TEST_IMAGES:
        return f"are of {num_images:,} of its {OFFICIAL_TEST_IMAGES:,} images"
    return None
