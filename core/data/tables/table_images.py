"""The images that a label table names, and which column names them."""

from __future__ import annotations

import re

from core.data.tables import column_names as names
from core.data.tables.column_names import missing_column
from core.data.tables.image_suffixes import IMAGE_SUFFIXES
from core.data.tables.table_roles import TableRoles
from core.data.tables.text_file import unsafe_name
from core.data.tables.text_table import TextTable, first_that_says_nothing
from core.errors import DataError

_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+")


def guessed_images(table: TextTable, patients: int | None) -> int | None:
    """The column that seems to name the images: one file or another name in each row, all
    different, none with blanks; file names are preferred. It isn't that of the patients, unless
    these are files."""
    candidates = [
        position
        for position, cells in enumerate(table.columns)
        if len(set(cells)) == len(cells)
        and all(cell and not cell.isspace() and " " not in cell.strip() for cell in cells)
    ]
    files = [
        position
        for position in candidates
        if all(cell.strip().lower().endswith(IMAGE_SUFFIXES) for cell in table.columns[position])
    ]
    lettered = [
        position
        for position in candidates
        if position != patients
        and not any(_NUMBER.fullmatch(cell.strip()) for cell in table.columns[position])
    ]
    return next(iter((*files, *lettered)), None)


def guess_in_words(table: TextTable, position: int) -> str:
    """What to set where the guess is right."""
    name = table.header[position]
    return f"The images' column is guessed: --set dataset.columns.image='{name}' settles it."


def images_of(roles: TableRoles, position: int | None) -> list[str]:
    """The images that a column names.

    Raises:
        DataError: there is no such column, a name that is unsafe, or none.
    """
    table = roles.table
    if position is None:
        by_header = roles.first(names.IDENTIFIER)
        raise missing_column(
            table,
            "'Image Index'",
            "Name the column that holds it as dataset.columns.image."
            if by_header is None
            else f"If the images are DICOM files whose headers hold {table.header[by_header]!r}, "
            "set dataset.image_from to dicom; if another column names the files, name it as "
            "dataset.columns.image.",
            ("dataset.image_from=dicom",) * (by_header is not None),
        )
    images = [name.strip() for name in table.columns[position]]
    unsafe = unsafe_name(images)
    if unsafe:
        raise DataError(
            f"the file name {unsafe.name!r} contains {unsafe.holds}",
            where=table.where(unsafe.row),
            why="A name in a table must not lead out of the folder of images",
            remedy="Write the bare file name, such as 00000001_000.png, which is looked for in all "
            "folders below dataset.images, or put its last folders before it, separated by '/'.",
        )
    nameless = first_that_says_nothing(images)
    if nameless is not None:
        raise DataError(
            f"the row names no image but {images[nameless]!r}",
            where=table.where(nameless),
            remedy="Complete or remove the row.",
        )
    return images
