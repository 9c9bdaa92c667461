"""The patients that a label table names, by a column, by the images' names, or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.data.tables import column_names as names
from core.data.tables.column_names import missing_column
from core.data.tables.label_columns import LabelTable
from core.data.tables.table_roles import TableRoles
from core.errors import DataError

_PATIENT_IN_PATH = re.compile(r"(^|/)(patient|subject|p)[-_]?[0-9]+(/|_)", re.IGNORECASE)


def patient_cells(
    roles: TableRoles, images: Sequence[str], patient_from: str
) -> Sequence[str] | None:
    """The text that names each image's patient; None: the table names none."""
    if patient_from == "study":
        studies = roles.cells(names.STUDY)
        if studies is None:
            raise missing_column(roles.table, "of studies, which dataset.patient_from needs")
        return studies
    if patient_from == "dicom":
        return None
    if patient_from != "table":
        return patients_of_names(images, patient_from)
    return None if roles.patient is None else roles.table.columns[roles.patient]


def patients_of_names(images: Sequence[str], patient_from: str) -> Sequence[str]:
    """Patients from image names: each its own, its folder, or its prefix up to the first ``_``.

    Raises:
        DataError: a name without a folder or prefix.
    """
    if patient_from == "image":
        return images
    split = [image.rpartition("/") for image in images]
    if patient_from == "folder":
        cut, part = [folder for folder, _, _ in split], "folder before it"
    else:
        cut, part = [last.partition("_")[0] if "_" in last else "" for *_, last in split], "_ in it"
    if "" in cut:
        raise DataError(
            f"{images[cut.index('')]!r} has no {part}",
            where=f"dataset.patient_from = {patient_from!r}",
            why="Images of one patient must not be in two parts",
            remedy="Choose image if no patient has two, or add a column of patients.",
        )
    return cut


def refuse_unknown_patients(table: LabelTable, patient_from: str) -> None:
    """Raises DataError if a split by patient is wanted and the table names no patients."""
    if table.patients_are_known or patient_from != "table":
        return
    first = str(table.images_N[0])
    hints = [f"{first!r} seems to name the patient in its path"] * bool(
        _PATIENT_IN_PATH.search(first)
    )
    choices = ["image, if no patient has two images", "dicom, if the images are DICOM files"]
    if "/" in first:
        choices.append(f"folder, which is {first.rpartition('/')[0]!r} for {first!r}")
    if "_" in first.rpartition("/")[2]:
        prefix = first.rpartition("/")[2].partition("_")[0]
        choices.append(f"prefix, which is {prefix!r} for {first!r}")
    raise DataError(
        "no column 'Patient ID', nor another that names the patients",
        where=table.path,
        why="Images of one patient must not be in two parts" + (f"; {hints[0]}" if hints else ""),
        remedy="Name the column as dataset.columns.patient, or set dataset.patient_from to "
        f"{'; or to '.join(choices)}.",
    )
