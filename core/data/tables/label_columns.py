"""A label table in memory, column by column."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.data.tables.label_version import OTHER
from core.data.tables.states import LabelPolicy, Moved, States, moved_by
from core.data.tables.text_file import Count
from core.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

PLAIN_CSV = "plain CSV"
MINED = "Labels were mined from reports; some are wrong."
DRAWN = "Labels are exact: the images were drawn with them."
NOT_RECORDED = "The table doesn't say who labelled the images, or how."

_OPTIONAL = ("age_years_N", "sex_N", "view_N", "follow_up_N")
_PER_IMAGE = (
    *("images_N", "patients_N", "labels_NA", "train_labels_NA", "states_NA"),
    *("studies_N", "official_N", "source_N", *_OPTIONAL),
)


@dataclass(frozen=True)
class FileNames:
    """How a table's keys become files: the end of a file's path -> key.

    An end without a suffix stands for a file of any image kind.
    """

    key_of: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A label table of N images and A findings, with everything it contains.

    Arrays rather than a data frame: an audit of NIH's 112,120 rows takes 1.06 s of processor time,
    and would take 0.23 more with pandas loaded and a frame built. ``frame`` builds one on request.

    Attributes:
        images_N: file names (NIH's Image Index).
        patients_N: patient numbers.
        findings: the A findings that the table knows.
        labels_NA: 1 present, 0 absent, NaN unknown; an uncertain label is unknown here.
        train_labels_NA: what train learns where it differs: uncertain labels under the policy;
            None: the same.
        states_NA: as they stand in the table, see ``core.data.tables.states``; None: as the labels.
        policy: what uncertain labels and blank cells became.
        studies_N: study numbers, for labels that belong to a study.
        official_N: ``train``, ``valid``, ``val``, ``test`` or '' of the collection's own split.
        age_years_N: NaN where missing; None if the table has no such column, like the other three.
        sex_N: ``M``, ``F`` or ''.
        view_N: one of ``VIEW_CLASSES``, or '' for unknown.
        follow_up_N: number of the image in its patient's series, -1 unknown.
        patient_names: the table's own text for patients that are not numbers there.
        path: the file.
        digest: its SHA-256.
        version: its format: ``NIH v2020``, ``NIH 2017`` or ``plain CSV``.
        label_version: whose labels it holds, detected from the labels themselves; see
            ``core.data.tables.label_version``.
        counts: what was repaired or dropped, each with its reason.
        kind: as in ``dataset.kind``.
        patients_are_known: false if each image counts as its own patient.
        patients_of: the collection whose patient numbers these are; '' if only this table's.
        other_digests: SHA-256 of other tables that were read, by their role.
        files: how keys become files; None: a key is the end of a file's path.
        notes: what every result says about the table.
        labels_note: where its labels come from.
        patients_from_header: whether DICOM headers name the patients.
        images_from_header: whether ``images_N`` are what DICOM headers name images or their studies
            by, and not yet files.
        kept_views: those that are kept; () if all are.
        source_N: which of several data sets each image is from; None: there is one.
        policies: source -> its label policy.
    """

    images_N: npt.NDArray[np.object_]
    patients_N: npt.NDArray[np.int64]
    findings: tuple[str, ...]
    labels_NA: npt.NDArray[np.float32]
    age_years_N: npt.NDArray[np.float64] | None = None
    sex_N: npt.NDArray[np.object_] | None = None
    view_N: npt.NDArray[np.object_] | None = None
    follow_up_N: npt.NDArray[np.int64] | None = None
    patient_names: Mapping[int, str] = field(default_factory=dict)
    path: Path = Path()
    digest: str = ""
    version: str = PLAIN_CSV
    label_version: str = OTHER
    counts: tuple[Count, ...] = ()
    kind: str = "table"
    train_labels_NA: npt.NDArray[np.float32] | None = None
    states_NA: States | None = None
    policy: LabelPolicy = field(default_factory=LabelPolicy)
    studies_N: npt.NDArray[np.int64] | None = None
    official_N: npt.NDArray[np.object_] | None = None
    patients_are_known: bool = True
    patients_of: str = ""
    other_digests: Mapping[str, str] = field(default_factory=dict)
    files: FileNames | None = None
    notes: tuple[str, ...] = ()
    labels_note: str = MINED
    patients_from_header: bool = False
    images_from_header: bool = False
    kept_views: tuple[str, ...] = ()
    source_N: npt.NDArray[np.object_] | None = None
    policies: Mapping[str, LabelPolicy] = field(default_factory=dict)

    def take(self, rows: npt.NDArray[np.int64] | Sequence[int]) -> LabelTable:
        """The table of some of the images, in the order of ``rows``."""
        columns: dict[str, Any] = {
            name: values[rows] for name in _PER_IMAGE if (values := getattr(self, name)) is not None
        }
        return dataclasses.replace(self, **columns)

    def labels_of(self, finding: str) -> npt.NDArray[np.float32]:
        """N labels of a finding.

        Raises:
            DataError: the table doesn't know it.
        """
        if finding not in self.findings:
            raise DataError(
                f"the label table has no labels of {finding}",
                remedy=f"It has {', '.join(self.findings)}.",
            )
        labels_N: npt.NDArray[np.float32] = self.labels_NA[:, self.findings.index(finding)]
        return labels_N

    def patient_text(self, patient: int) -> str:
        """A patient's name or number in the table."""
        return self.patient_names.get(int(patient), str(patient))

    @cached_property
    def moved(self) -> Mapping[str, Moved]:
        """Finding -> how many labels the policy decided, for findings with any."""
        return {} if self.states_NA is None else moved_by(self.states_NA, self.findings)

    @property
    def training_labels_NA(self) -> npt.NDArray[np.float32]:  # noqa: N802 - it ends in its axes
        """The labels that train learns: uncertain ones are decided by the policy."""
        return self.labels_NA if self.train_labels_NA is None else self.train_labels_NA

    def frame(self) -> DataFrame:
        """As a data frame, one row per image; the index is the image.

        Columns: Patient ID, age_years, sex, view and follow_up if the table has them, then one
        column per finding (1, 0, NaN unknown).
        """
        import pandas as pd

        columns: dict[str, Any] = {"Patient ID": self.patients_N}
        columns |= {name.removesuffix("_N"): getattr(self, name) for name in _OPTIONAL}
        columns |= {finding: self.labels_of(finding) for finding in self.findings}
        there = {name: values for name, values in columns.items() if values is not None}
        return pd.DataFrame(there, index=pd.Index(self.images_N, name="Image Index"))
