"""SIIM-ACR Pneumothorax Segmentation (2019): run-length masks, -1 where there is none.

Source of the format: the published tables; one has a blank before its second column's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data.collections.collection import (
    Collection,
    DrawnBoxes,
    ReadingSettings,
    Rows,
    distinct_rows,
)
from core.data.tables.boxes import BOX_TABLE_SIZE_PX
from core.data.tables.label_columns import FileNames
from core.data.tables.states import ABSENT, PRESENT, LabelPolicy
from core.data.tables.text_file import count_of
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError

_NO_MASK = "-1"
_RUNS = re.compile(r"\d+ \d+(?: \d+ \d+)*")


def _recognises(header: Sequence[str]) -> bool:
    return {name.strip() for name in header} >= {"ImageId", "EncodedPixels"}


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    column = dict(zip(table.header, table.columns, strict=True))
    cells = [cell.strip() for cell in column["EncodedPixels"]]
    images, first_rows, image_R = distinct_rows([cell.strip() for cell in column["ImageId"]])
    has_mask_R = np.fromiter((cell != _NO_MASK for cell in cells), bool, len(cells))
    for row in np.flatnonzero(has_mask_R):
        if not _RUNS.fullmatch(cells[row]):
            raise DataError(
                f"EncodedPixels is {cells[row][:60]!r}, neither a mask's run lengths nor -1",
                where=table.where(int(row)),
                why="-1 is SIIM's word for no mask; anything else that is no mask is a fault",
                remedy="Correct the cell, or fetch the table again.",
            )
    masks_N = np.bincount(image_R[has_mask_R], minlength=len(images))
    both_N = (masks_N > 0) & (masks_N < np.bincount(image_R, minlength=len(images)))
    counts = list(table.counts)
    for reason, named_N in (
        ("images with several masks, one a row", masks_N > 1),
        ("-1 beside a mask of the same image: the mask counts", both_N),
    ):
        if named_N.any():
            counts.append(count_of(reason, np.array(images, dtype=object)[named_N]))
    return Rows(
        images=images,
        patients=None,
        findings=("Pneumothorax",),
        states_NA=np.where(masks_N > 0, PRESENT, ABSENT).astype(np.int8)[:, None],
        where=lambda row: table.where(int(first_rows[row])),
        files=FileNames({image: image for image in images}),
        counts=tuple(counts),
        notes=(
            "The images are NIH's, and no list says whose: a network trained on NIH may have seen "
            "these patients.",
        ),
    )


def _boxes(path: Path) -> DrawnBoxes:
    """The box around each row's mask, in pixels of an image of 1024.

    A mask is runs of start and length, down the columns first; each start is counted from the end
    of the run before.
    """
    table = read_table(path)
    column = {name.strip(): cells for name, cells in zip(table.header, table.columns, strict=True)}
    cells = [cell.strip() for cell in column["EncodedPixels"]]
    rows = [row for row, cell in enumerate(cells) if cell != _NO_MASK]
    at_B4 = np.empty((len(rows), 4))
    for place, row in enumerate(rows):
        at_B4[place] = _box_of_runs(cells[row], table.where(row))
    return DrawnBoxes(
        images=[column["ImageId"][row].strip() for row in rows],
        findings=["Pneumothorax"] * len(rows),
        at_B4=at_B4,
        frame_px=BOX_TABLE_SIZE_PX,
    )


def _box_of_runs(cell: str, where: str) -> tuple[float, float, float, float]:
    try:
        runs_R2 = np.array(cell.split(), dtype=np.int64).reshape(-1, 2)
    except (ValueError, OverflowError):
        runs_R2 = np.zeros((0, 2), dtype=np.int64)
    side, most = BOX_TABLE_SIZE_PX, BOX_TABLE_SIZE_PX**2
    is_possible = len(runs_R2) and (runs_R2[:, 1] > 0).all() and runs_R2.max() <= most
    ends_R = runs_R2.sum(axis=1).cumsum()
    if not is_possible or ends_R[-1] > most:
        raise DataError(
            f"the mask {cell[:40]!r} lies outside an image of {side} × {side}",
            where=where,
            remedy="Fetch the table again.",
        )
    starts_R, lasts_R = ends_R - runs_R2[:, 1], ends_R - 1
    crosses = (starts_R // side != lasts_R // side).any()
    top, bottom = (0, side) if crosses else ((starts_R % side).min(), (lasts_R % side).max() + 1)
    left, right = starts_R[0] // side, lasts_R[-1] // side + 1
    return float(left), float(top), float(right - left), float(bottom - top)


SIIM = Collection(
    kind="siim",
    title="SIIM-ACR Pneumothorax",
    licence="the rules of the SIIM-ACR challenge on Kaggle: no redistribution",
    table_names=("stage_2_train.csv", "train-rle.csv"),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(blank="absent", source="no mask is absent"),
    boxes=_boxes,
    labels_note="Radiologists drew masks of pneumothorax.",
)
