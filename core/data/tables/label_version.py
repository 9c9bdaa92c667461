"""Whose labels a table holds: NIH's first ones of 2017, those of 2020, or others.

NIH changed the labels of 181 images in 2020, all of them in the official test part: 78 became
positive for Pneumonia, 36 for Mass. A re-saved table may look like either version, so its labels of
those images decide.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.findings import ABSENT, PRESENT

NIH_V2020 = "NIH v2020"
NIH_2017 = "NIH 2017"
NIH_EITHER = "NIH, either version"
SYNTHETIC = "synthetic"
OTHER = "other"


@cache
def relabelled_images() -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
    """Each of the 181 images, with its findings of 2017 and those of 2020."""
    text = (files(__package__) / "nih_relabelled.csv").read_text(encoding="utf-8")
    _, *rows = csv.reader(text.splitlines())
    return {
        name: (frozenset(first.split("|")), frozenset(later.split("|")))
        for name, first, later in rows
    }


def label_version_of(
    images: Sequence[str],
    findings: Sequence[str],
    labels_NA: npt.NDArray[np.float32],
    *,
    written_as: str,
) -> str:
    """Whose labels these are, from the images that NIH relabelled.

    Args:
        images: N file names.
        findings: A findings of the table.
        labels_NA: 1 present, 0 absent, NaN unknown.
        written_as: the version of the table's format, used for a table without any of the
            relabelled images, such as the official train_val part.

    Returns:
        NIH's version if every row of those images agrees with it in each known label; ``NIH, either
        version`` if both do, and the table is in neither's format; ``other`` if none does.
    """
    relabelled = relabelled_images()
    rows = [row for row, name in enumerate(images) if name in relabelled]
    agrees = [
        all(_agrees(labels_NA[row], findings, relabelled[images[row]][version]) for row in rows)
        for version in (0, 1)
    ]
    if all(agrees):
        is_nihs = written_as in (NIH_2017, NIH_V2020)
        return written_as if is_nihs else (NIH_EITHER if rows else OTHER)
    return NIH_2017 if agrees[0] else (NIH_V2020 if agrees[1] else OTHER)


def _agrees(
    labels_A: npt.NDArray[np.float32], findings: Sequence[str], present: frozenset[str]
) -> bool:
    expected_A = np.array([PRESENT if finding in present else ABSENT for finding in findings])
    return bool(((labels_A == expected_A) | np.isnan(labels_A)).all())


def label_table_name(version: str, path: Path) -> str:
    """The version and the file, as in reports; a phantom's ground truth is next to its table."""
    version = SYNTHETIC if (path.parent / "truth.csv").is_file() else version
    return f"{version} ({path.name})"


def version_named(label_table: str | None) -> str | None:
    """The version in such a name; None if it is not one of NIH's."""
    version = (label_table or "").partition(" (")[0]
    return version if version in (NIH_V2020, NIH_2017) else None
