"""A phantom in the cache folder: check that it is complete, and repair it."""

from __future__ import annotations

import os
from pathlib import Path

from core.data.tables.text_file import table_bytes
from core.errors import DataError

_LABELS = "Data_Entry_2017_v2020.csv"
_TABLES = (_LABELS, "BBox_List_2017.csv", "truth.csv", "train_val_list.txt", "test_list.txt")


def is_whole(folder: Path) -> bool:
    """Whether all tables and all images in the label table exist and are not empty.

    A power loss leaves empty files, and a clean-up of the disk may remove some.
    """
    try:
        rows = table_bytes(folder / _LABELS).decode("utf-8", "replace").splitlines()[1:]
    except DataError:
        return False
    filled, folders = set(_filled(folder)), list(folder.glob("images_*/images"))
    if not folders:  # tables alone: somebody's own, which can't be checked
        return True
    for images in folders:
        filled.update(_filled(images))
    return filled.issuperset([*_TABLES, *(row.partition(",")[0] for row in rows)])


def _filled(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_file() and entry.stat().st_size]


def fill_in(folder: Path, drawn: Path) -> None:
    """Move missing files into a phantom from a new copy of it; readers are not disturbed.

    Raises:
        OSError: the folder can't be written.
    """
    for file in drawn.rglob("*"):
        target = folder / file.relative_to(drawn)
        if file.is_file() and not (target.is_file() and target.stat().st_size):
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
