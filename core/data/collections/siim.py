"""SIIM-ACR Pneumothorax Segmentation (2019): run-length masks, -1 where there is none.

Source of the format: the published tables; one has a blank before its second column's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.data.collections.collection import Collection, ReadingSettings, Rows, distinct_rows
from core.data.tables.label_columns import FileNames
from core.data.tables.states import ABSENT, PRESENT, LabelPolicy
from core.data.tables.text_file import count_of
from core.data.tables.text_table import TextTable
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


SIIM = Collection(
    kind="siim",
    title="SIIM-ACR Pneumothorax",
    licence="the rules of the SIIM-ACR challenge on Kaggle: no redistribution",
    table_names=("stage_2_train.csv", "train-rle.csv"),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(blank="absent", source="no mask is absent"),
    labels_note="Radiologists drew masks of pneumothorax.",
)
