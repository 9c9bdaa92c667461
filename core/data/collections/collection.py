"""What a collection's module says about its tables, and the rows that it reads from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.tables.label_columns import MINED, FileNames
from core.data.tables.states import LabelPolicy, States
from core.data.tables.text_file import Count
from core.data.tables.text_table import TextTable
from core.errors import DataError
from core.store.files import is_file

Corners = npt.NDArray[np.float64]

FRONTAL = ("PA", "AP", "frontal")


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of a collection: one image each, in any order.

    Attributes:
        images: keys: safe relative paths or names.
        patients: the table's text for each patient; None: none are known.
        findings: the A findings that the tables have.
        states_NA: see ``core.data.tables.states``.
        where: file and line of a row, for messages.
        studies: the study of each image.
        age_years_N: NaN where missing.
        sex_N: ``M``, ``F`` or ''.
        view_N: one of ``VIEW_CLASSES``; None: the table has no views.
        official_N: ``train``, ``val``, ``test`` or '' of the collection's own split.
        train_shares_NA: labels to train on in place of the states' where they are not NaN.
        files: how keys become files; None: a key is the end of a file's path.
        counts: what was repaired or dropped.
        digests: SHA-256 of other tables that were read, by their role.
        patients_of: the data set whose patient numbers these are.
        notes: what every result says about these rows.
    """

    images: Sequence[str]
    patients: Sequence[str] | None
    findings: tuple[str, ...]
    states_NA: States
    where: Callable[[int], str]
    studies: Sequence[str] | None = None
    age_years_N: npt.NDArray[np.float64] | None = None
    sex_N: npt.NDArray[np.object_] | None = None
    view_N: npt.NDArray[np.object_] | None = None
    official_N: npt.NDArray[np.object_] | None = None
    train_shares_NA: npt.NDArray[np.float32] | None = None
    files: FileNames | None = None
    counts: tuple[Count, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    patients_of: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DrawnBoxes:
    """B boxes that radiologists drew: image key, finding, and x, y, w, h in a row of ``at_B4``.

    ``frame_px``: the side of the image that they are drawn on, whatever its real size; None: the
    pixels of each image's own original.
    """

    images: Sequence[str]
    findings: Sequence[str]
    at_B4: npt.NDArray[np.float64]
    frame_px: int | None


@dataclass(frozen=True)
class ReadingSettings:
    """What a reader is told.

    ``with_others``: other tables of the collection in the same folder are read too; if not, the
    named table alone is, with what can only be joined to it.
    """

    findings: tuple[str, ...] = ()
    readers: str = "majority"
    with_others: bool = False


@dataclass(frozen=True)
class Collection:
    """A public collection.

    Attributes:
        kind: its name in ``dataset.kind``.
        title: its name in messages.
        licence: the publisher's terms in a line.
        table_names: names of label tables, the preferred one first.
        recognises: whether a header is one of its tables'.
        read: reads a table.
        policy: the default of its authors.
        labels_note: where its labels come from.
        wants: whether a column of this name is read; None: all are.
        views: those that are kept by default; None: all but lateral and other ones.
        boxes: reads the boxes that belong to a label table; None: there are none.
    """

    kind: str
    title: str
    licence: str
    table_names: tuple[str, ...]
    recognises: Callable[[Sequence[str]], bool]
    read: Callable[[TextTable, ReadingSettings], Rows]
    policy: LabelPolicy
    views: tuple[str, ...] | None = FRONTAL
    labels_note: str = MINED
    wants: Callable[[str], bool] | None = None
    boxes: Callable[[Path], DrawnBoxes] | None = None


def named_in(folder: Path, *names: str) -> Iterator[Path]:
    """The files of these names in a folder, as they are or compressed (``.gz``, ``.zip``)."""
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz", folder / f"{name}.zip"):
            if is_file(candidate):
                yield candidate


def box_corners(table: TextTable, names: Sequence[str], rows: Sequence[int]) -> Corners:
    """The numbers in four columns of these rows, B × 4.

    Raises:
        DataError: a cell that is no number, or a column that is missing.
    """
    missing = [name for name in names if name not in table.header]
    if missing:
        raise DataError(f"no column {', '.join(missing)} of boxes", where=table.path)
    values_B4 = np.empty((len(rows), 4))
    for axis, name in enumerate(names):
        cells = table.columns[table.header.index(name)]
        for place, row in enumerate(rows):
            try:
                values_B4[place, axis] = float(cells[row])
            except ValueError:
                values_B4[place, axis] = np.nan
            if not np.isfinite(values_B4[place, axis]):
                raise DataError(
                    f"the box's {name} is {cells[row][:40]!r}, not a number",
                    where=table.where(row),
                    remedy="Correct or remove the row.",
                )
    return values_B4


def distinct_rows(
    images: Sequence[str],
) -> tuple[list[str], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For tables with several rows an image: N distinct images, the first row of each, and the
    number of each of the R rows' image."""
    number_of: dict[str, int] = {}
    image_R = np.fromiter(
        (number_of.setdefault(image, len(number_of)) for image in images), np.intp, len(images)
    )
    first_rows = np.full(len(number_of), len(images), dtype=np.intp)
    np.minimum.at(first_rows, image_R, np.arange(len(images)))
    return list(number_of), first_rows, image_R
