"""MIMIC-CXR-JPG's tables beside each other: which there are, and whether they belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

from core.data.collections.collection import named_in
from core.data.tables.text_file import Count, FileText, read_text
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError

_OF_LABELS = {"study_id", "Atelectasis", "Pleural Other", "Support Devices"}
_OF_METADATA = {"dicom_id", "subject_id", "study_id", "ViewPosition"}
_OF_SPLIT = {"dicom_id", "subject_id", "study_id", "split"}
_OF_PATIENTS = {"subject_id", "gender", "anchor_age", "anchor_year"}
_NOT_NEEDED_STARTS = ("Procedure", "PerformedProcedure", "ViewCode", "PatientOrientation")
_NOT_NEEDED = ("Rows", "Columns", "StudyTime", "anchor_year_group", "dod")


def role_of(header: Sequence[str]) -> str | None:
    """``metadata``, ``split`` or ``labels``."""
    names = set(header)
    roles = {"metadata": _OF_METADATA, "split": _OF_SPLIT, "labels": _OF_LABELS}
    return next((role for role, columns in roles.items() if columns <= names), None)


def wants(name: str) -> bool:
    """Whether a column of any of the tables is read."""
    return not name.startswith(_NOT_NEEDED_STARTS) and name not in _NOT_NEEDED


class Beside:
    """MIMIC's other tables beside a named one. Those that don't fit it are told, not joined."""

    def __init__(self, table: TextTable, with_others: bool) -> None:
        self.table, self.with_others = table, with_others
        self.counts: list[Count] = list(table.counts)
        self.digests: dict[str, str] = {}
        column = columns_of(table)
        self.subject_of = dict(
            zip(column["study_id"], column.get("subject_id", column["study_id"]), strict=True)
        )
        self.names_subjects = "subject_id" in column
        self._texts: dict[Path, Future[FileText]] = {}

    def read_ahead(self, pool: Executor, names: Sequence[str]) -> None:
        """Unpack the tables of these names while others are parsed."""
        for name in names:
            for path in named_in(self.table.path.parent, name):
                if path != self.table.path:
                    self._texts[path] = pool.submit(read_text, path)
                break

    def found(
        self,
        role: str,
        folders: Sequence[Path],
        names: Sequence[str],
        images: TextTable | None = None,
        refuse: Callable[[TextTable], None] | None = None,
    ) -> TextTable | None:
        """The first table of these names that fits; None if there is none.

        ``refuse`` raises for a table whose cells can't be read: one that was not asked for is then
        told, not joined.

        Raises:
            DataError: one doesn't fit, though all tables of the folder are to be read.
        """
        for path in (path for folder in folders for path in named_in(folder, *names)):
            try:
                unpacked = self._texts.pop(path, None)
                other = read_table(path, wants, text=None if unpacked is None else unpacked.result)
                self._check(role, other, images)
                if refuse is not None and not self.with_others:
                    refuse(other)
            except DataError as error:
                if self.with_others:
                    raise
                place = (error.where or "").rpartition(" line ")
                line = f" (line {place[2]})" if place[0] else ""
                self.counts.append(Count(f"{path.name} is not joined: {error.what}{line}", 0))
                continue
            self.counts += other.counts
            self.digests[path.name.partition(".csv")[0]] = other.digest
            return other
        return None

    def _check(self, role: str, other: TextTable, images: TextTable | None) -> None:
        if images is not None:
            _check_patients(other, images)
            return
        if role_of(other.header) != role:
            raise DataError("its columns are not MIMIC-CXR's", where=other.path)
        column = columns_of(other)
        studies = column["study_id"]
        if role == "split" and not self.subject_of.keys().isdisjoint(studies):
            return  # its parts are those of images, whose names it has
        expected = list(map(self.subject_of.get, studies))
        if expected.count(None) == len(expected):
            raise DataError(
                f"it has no study of {self.table.path.name}",
                where=other.path,
                remedy="Fetch the tables of one edition again.",
            )
        subjects = column.get("subject_id")
        if not self.names_subjects or subjects is None or expected == list(subjects):
            return
        for row, (subject, found) in enumerate(zip(expected, subjects, strict=True)):
            if subject is not None and subject != found:
                raise DataError(
                    f"study {studies[row]} is subject {found}'s on line {other.line(row)}, and "
                    f"{subject}'s in {self.table.path.name}",
                    where=other.path,
                    why="Tables of two editions don't belong together",
                    remedy="Fetch the tables of one edition again.",
                )


def _check_patients(patients: TextTable, images: TextTable) -> None:
    """Raises DataError if a table isn't MIMIC-IV's, or of none of the subjects."""
    if not set(patients.header) >= _OF_PATIENTS:
        raise DataError("its columns are not those of MIMIC-IV's patients", where=patients.path)
    if set(columns_of(patients)["subject_id"]).isdisjoint(columns_of(images)["subject_id"]):
        raise DataError(f"it has no subject of {images.path.name}", where=patients.path)


def columns_of(table: TextTable) -> dict[str, Sequence[str]]:
    """A table's columns by their names."""
    return dict(zip(table.header, table.columns, strict=True))
