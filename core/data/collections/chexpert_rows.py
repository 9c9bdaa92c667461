"""What the rows of CheXpert's and CheXpert Plus's tables have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.data.tables.cells import read_ages, read_sexes, views_of
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable
from core.errors import DataError
from core.findings import NO_FINDING

FINDINGS = (
    *(NO_FINDING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)
"""In the order of the published table, whose ``Pleural Effusion`` is ``Effusion``."""

_PATHS = re.compile(
    r"^((?:.*?/)??)((?:(train|valid|val|test)/)?(((patient\d+)/study\d+)/[^/\n]+))$", re.MULTILINE
)
"""In paths, one a line: edition, key, part, path from the patient on, study, patient."""


def parts_of_paths(table: TextTable, paths: Sequence[str]) -> list[tuple[str, ...]]:
    """Editions (folders above the part), keys, parts, paths from the patient on, studies, patients.

    Raises:
        DataError: a path that doesn't lead to an image of CheXpert's.
    """
    found = _PATHS.findall("\n".join(paths))
    if len(found) != len(paths):
        cells = [cell.strip() for cell in paths]
        found = _PATHS.findall("\n".join(cells))
    if len(found) != len(paths):
        row = next(row for row, cell in enumerate(cells) if not _PATHS.fullmatch(cell))
        raise DataError(
            f"{paths[row]!r} does not lead to an image of CheXpert's",
            where=table.where(row),
            why="Its paths end like train/patient00001/study1/view1_frontal.jpg",
            remedy="Correct the row, or choose dataset.kind=table for a table of your own.",
        )
    return list(zip(*found, strict=True))


def views_in(
    projections: Sequence[str] | None, sides: Sequence[str] | None, images: Sequence[str]
) -> npt.NDArray[np.object_]:
    """From the column of projections; where it says nothing, frontal or lateral from that of sides,
    or from the file's name."""
    views = np.full(len(images), "unknown", dtype=object)
    if projections is not None:
        views = views_of(projections)
    said = images if sides is None else sides
    for row in np.flatnonzero(views == "unknown").tolist():
        views[row] = "lateral" if "lateral" in said[row].lower() else "frontal"
    return views


def ages_and_sexes(
    ages: Sequence[str] | None,
    sexes: Sequence[str] | None,
    images: Sequence[str],
    counts: list[Count],
) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.object_] | None]:
    """Age in years and sex of N images; what was repaired is added to the counts."""
    ages_N = sexes_N = None
    if ages is not None:
        read = read_ages(ages, images)
        ages_N = read.values_N
        missing_N = ages_N == 0
        ages_N[missing_N] = np.nan
        if missing_N.any():
            names = np.array(images, dtype=object)[missing_N]
            counts.append(count_of("age 0 means missing in CheXpert", names))
        counts += read.counts
    if sexes is not None:
        read = read_sexes(sexes, images)
        sexes_N = read.values_N
        counts += read.counts
    return ages_N, sexes_N
