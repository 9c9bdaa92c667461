"""The label table's images with their labels, patients and files."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from core.data.images.image_file import ImageFile
from core.data.images.image_files import images_fingerprint
from core.data.tables.label_columns import LabelTable
from core.data.tables.text_file import Count
from core.findings import ABSENT


def distinct(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The distinct values, ascending.

    ``np.unique`` hashes integers unless counts are requested; sorting 112,120 of them is ten times
    as fast.
    """
    return np.unique(numbers, return_counts=True)[0]


@dataclass(frozen=True, eq=False)
class StudyIndex:
    """N images with their labels, patients and files.

    Attributes:
        table: the label table's rows of these images, with all its findings: splits are stratified
            by all of them, so that a recipe with fewer findings has the same patients in its parts.
        findings: the F findings of the recipe.
        files: name -> file; empty if only labels were requested.
        counts: what was repaired, dropped or missing, each with its reason.
        absent: names in the table without an image.
        missing_images, extra_images: their numbers; None if only labels were requested.
        each: the tables of several data sets by their names; empty if there is one.
        other_digests: SHA-256 of the other tables and lists by their role (``boxes``, …).
    """

    table: LabelTable
    findings: tuple[str, ...]
    files: Mapping[str, ImageFile] = field(default_factory=dict)
    counts: tuple[Count, ...] = ()
    absent: frozenset[str] = frozenset()
    missing_images: int | None = None
    extra_images: int | None = None
    other_digests: Mapping[str, str] = field(default_factory=dict)
    each: Mapping[str, LabelTable] = field(default_factory=dict)

    @property
    def images(self) -> npt.NDArray[np.object_]:
        """N file names."""
        return self.table.images_N

    @property
    def patients(self) -> npt.NDArray[np.int64]:
        """N patient numbers."""
        return self.table.patients_N

    @cached_property
    def labels_NF(self) -> npt.NDArray[np.float32]:  # noqa: N802 - it ends in its axes
        """1 present, 0 absent, NaN unknown."""
        labels_NF: npt.NDArray[np.float32] = self.table.labels_NA[:, self._places]
        return labels_NF

    @property
    def train_labels_NF(self) -> npt.NDArray[np.float32]:  # noqa: N802 - it ends in its axes
        """What train learns: uncertain labels are decided by the policy, some to values between
        0 and 1."""
        labels_NF: npt.NDArray[np.float32] = self.table.training_labels_NA[:, self._places]
        return labels_NF

    def labels_of_part(self, part: str) -> npt.NDArray[np.float32]:
        """N images × F findings: what train learns, or what the other parts are scored against."""
        return self.train_labels_NF if part == "train" else self.labels_NF

    @property
    def _places(self) -> list[int]:
        return [self.table.findings.index(finding) for finding in self.findings]

    @property
    def num_table_images(self) -> int:
        """Images that the table names."""
        return len(self.images) + len(self.absent)

    @cached_property
    def without_finding(self) -> npt.NDArray[np.bool_]:
        """Whether each finding of the table is known to be absent, for N images."""
        return np.asarray((self.table.labels_NA == ABSENT).all(axis=1))

    @cached_property
    def place_by_name(self) -> npt.NDArray[np.int64]:
        """Each image's rank by name, for draws that must not depend on the order of rows."""
        place_N = np.empty(len(self.images), dtype=np.int64)
        place_N[np.argsort(self.images, kind="stable")] = np.arange(len(self.images))
        return place_N

    def rows_by_name(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """These rows in the order of their images' names."""
        ordered: npt.NDArray[np.int64] = rows[np.argsort(self.place_by_name[rows])]
        return ordered

    @cached_property
    def num_patients(self) -> int:
        """Number of patients."""
        return len(distinct(self.patients))

    def fingerprint(self) -> str:
        """Identity of the data set, wherever it is stored: digests of tables, image names and
        sizes."""
        *tables, (_, images) = self.digests().items()
        text = "".join(f"{role} {table}\n" for role, table in tables) + images
        return hashlib.sha256(text.encode()).hexdigest()

    def digests(self) -> dict[str, str]:
        """What the fingerprint is made of: each table's digest by its role, and the images'."""
        tables = {"labels": self.table.digest, **self.other_digests}
        return dict(sorted(tables.items())) | {"images": images_fingerprint(self.files)}

    def take(self, rows: npt.NDArray[np.int64]) -> StudyIndex:
        """The index of some of the images, in the order of ``rows``."""
        table = self.table.take(rows)
        files = {name: self.files[name] for name in table.images_N if name in self.files}
        return dataclasses.replace(self, table=table, files=files)


def with_findings(index: StudyIndex, findings: Sequence[str]) -> StudyIndex:
    """The same images with the labels of other findings of the table, in this order.

    Raises:
        DataError: the table lacks one of them.
    """
    if tuple(findings) == index.findings:
        return index
    for finding in findings:
        index.table.labels_of(finding)
    return dataclasses.replace(index, findings=tuple(findings))
