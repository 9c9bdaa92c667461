"""Checks of the labels that scores are compared with: which images, and which table version.

NIH published its label table twice. The later one, v2020, adds 188 labels to 181 images of the
official test part, all of findings with boxes there: Pneumonia has 555 positive images instead of
477. Figures from the two tables are not comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.tables.label_columns import LabelTable
from core.data.tables.label_table import is_of_phantom, read_label_table
from core.data.tables.label_version import NIH_2017, NIH_V2020
from core.errors import DataError
from core.evaluation.joining import JoinedPredictions
from core.findings import PRESENT
from core.health.diagnosis import Diagnosis, Severity

_TABLE_NAMES = {NIH_2017: "Data_Entry_2017.csv", NIH_V2020: "Data_Entry_2017_v2020.csv"}
_ADDED_IN_V2020 = {
    "Atelectasis": 24,
    "Cardiomegaly": 4,
    "Effusion": 10,
    "Infiltration": 24,
    "Mass": 36,
    "Nodule": 8,
    "Pneumonia": 78,
    "Pneumothorax": 4,
}
"""Labels that the later table added; none was removed."""

_MANY_WITHOUT, _HARDLY_ANY, _ENOUGH_PATIENTS = 0.1, 0.05, 20
_OF_OTHER_ROWS = 0.02


def were_mined(table: LabelTable) -> bool:
    """Whether the labels are NIH's, mined from reports; those of a synthetic set are true."""
    return _version(table) in _TABLE_NAMES and not is_of_phantom(table.path)


def check_scored_labels(joined: JoinedPredictions, table: LabelTable) -> list[Diagnosis]:
    """Check for labels that make the figures mean something else than they seem to."""
    return [
        *_without_healthy(joined, table),
        *_against_the_files_own(joined, table),
        *_against_the_other_table(joined, table),
    ]


def _without_healthy(joined: JoinedPredictions, table: LabelTable) -> Iterator[Diagnosis]:
    nothing_N = (table.labels_NA != PRESENT).all(axis=1)
    in_table = float(nothing_N.mean())
    scored = float(nothing_N[joined.table_rows].mean())
    patients = len(np.unique(joined.predictions.patients))
    if in_table < _MANY_WITHOUT or scored > _HARDLY_ANY * in_table or patients < _ENOUGH_PATIENTS:
        return
    how = "Every scored image shows" if scored == 0 else "Nearly every scored image shows"
    yield Diagnosis(
        check="scored-without-healthy",
        severity=Severity.WARNING,
        text=f"{how} some finding, but {in_table:.0%} of the label table's images show none: each "
        "AUROC compares a finding with other findings, not with chests without any, and each "
        "prevalence, AUPRC and PPV applies to patients with findings only.",
        evidence={"share_without_a_finding": round(scored, 4), "in_the_table": round(in_table, 4)},
        remedy="Score the images labelled No Finding too, or state with every figure that they "
        "were left out.",
    )


def _against_the_files_own(joined: JoinedPredictions, table: LabelTable) -> Iterator[Diagnosis]:
    """Compare the labels in the file with those in the label table."""
    ours = {
        finding: table.labels_NA[joined.table_rows, place]
        for place, finding in enumerate(table.findings)
    }
    differing = _Differing(joined.file_labels, ours)
    if not differing.num_images:
        return
    other = _other_version(table) if differing.is_of_versions(_version(table)) else None
    if other is not None:
        text = (
            f"The labels in the file are those of {other}, but the label table is "
            f"{_version(table)}: "
        )
    elif differing.share > _OF_OTHER_ROWS:
        text = "The labels in the file don't match these images in the label table, as if its rows "
        text += "were misaligned: "
    else:
        text = "Some labels in the file differ from the label table: "
    yield Diagnosis(
        check="labels-disagree",
        severity=Severity.WARNING,
        text=f"{text}{differing.words}.",
        evidence=differing.evidence,
        remedy="Use the table that the labels come from, and state its version with the figures.",
    )


def _against_the_other_table(joined: JoinedPredictions, table: LabelTable) -> Iterator[Diagnosis]:
    """Compare with NIH's other version of the table, if it is in the same folder."""
    other = _other_version(table)
    if other is None or is_of_phantom(table.path):
        return
    path = table.path.parent / _TABLE_NAMES[other]
    if not path.is_file() or path.samefile(table.path):
        return
    try:
        beside = read_label_table(path)
    except DataError:
        return  # nobody asked about that table
    if _version(beside) != other:
        return
    row_of = {name: row for row, name in enumerate(beside.images_N)}
    rows = np.array([row_of.get(name, -1) for name in joined.predictions.images], dtype=np.int64)
    theirs_NA = np.where((rows >= 0)[:, None], beside.labels_NA[rows], np.nan)
    ours_NA = table.labels_NA[joined.table_rows]
    scored = joined.predictions.findings
    differing = _Differing(
        {name: theirs_NA[:, beside.findings.index(name)] for name in scored},
        {name: ours_NA[:, table.findings.index(name)] for name in scored},
    )
    if differing.num_images:
        yield Diagnosis(
            check="labels-version",
            severity=Severity.NOTE,
            text=f"The labels are {_version(table)}'s. {other}, in the same folder, has other "
            f"labels: {differing.words}.",
            evidence=differing.evidence,
            remedy=f"State {_version(table)} with these figures, and don't compare them with any "
            f"of {other}.",
        )


def _version(table: LabelTable) -> str:
    """The table's version by its labels or, if no differing image is in it, by its format."""
    return table.label_version if table.label_version in _TABLE_NAMES else table.version


def _other_version(table: LabelTable) -> str | None:
    return {NIH_2017: NIH_V2020, NIH_V2020: NIH_2017}.get(_version(table))


class _Differing:
    """Differences between two sources of labels for the same images; unknown labels don't count."""

    def __init__(
        self, theirs: Mapping[str, NDArray[Any]], ours: Mapping[str, NDArray[Any]]
    ) -> None:
        self._positives: dict[str, tuple[int, int]] = {}
        self._only_ours: dict[str, int] = {}
        self._only_theirs: dict[str, int] = {}
        images_N: NDArray[np.bool_] | None = None
        for finding, theirs_N in theirs.items():
            ours_N = ours[finding]
            known_N = ~np.isnan(theirs_N) & ~np.isnan(ours_N)
            differ_N = known_N & (theirs_N != ours_N)
            images_N = differ_N if images_N is None else images_N | differ_N
            if differ_N.any():
                is_ours, is_theirs = ours_N == PRESENT, theirs_N == PRESENT
                self._positives[finding] = int(is_theirs.sum()), int((is_ours & known_N).sum())
                self._only_ours[finding] = int((differ_N & is_ours).sum())
                self._only_theirs[finding] = int((differ_N & is_theirs).sum())
        self.num_images = 0 if images_N is None else int(images_N.sum())
        self.share = 0.0 if images_N is None else float(images_N.mean())

    def is_of_versions(self, version: str) -> bool:
        """Whether the later table's additions explain all differences; ``version`` is ours."""
        added, taken = self._only_ours, self._only_theirs
        if version == NIH_2017:
            added, taken = taken, added
        return not any(taken.values()) and all(
            number <= _ADDED_IN_V2020.get(finding, 0) for finding, number in added.items()
        )

    @property
    def words(self) -> str:
        """The number of images, and the finding that differs most."""
        theirs, ours = self._positives[self._most]
        images = f"{self.num_images:,} image{'' if self.num_images == 1 else 's'}"
        return (
            f"{images} differ{'s' if self.num_images == 1 else ''} (of {self._most} {theirs:,} "
            f"images are positive there, {ours:,} here)"
        )

    @property
    def evidence(self) -> dict[str, float | int | str | None]:
        """The same as numbers."""
        theirs, ours = self._positives[self._most]
        return {
            "images": self.num_images,
            "labels": sum(self._only_ours.values()) + sum(self._only_theirs.values()),
            "finding": self._most,
            "positives_there": theirs,
            "positives_here": ours,
        }

    @property
    def _most(self) -> str:
        return max(
            self._positives, key=lambda name: self._only_ours[name] + self._only_theirs[name]
        )
