"""Rows of one image: equal ones count once, different ones are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from core.data.tables.label_columns import LabelTable
from core.data.tables.text_file import count_of
from core.errors import DataError

_IN_WORDS = {"patients_N": "patients", "labels_NA": "labels", "age_years_N": "ages"}
_IN_WORDS |= {"sex_N": "sexes", "view_N": "view positions", "follow_up_N": "follow-up numbers"}


def without_twins(labels: LabelTable, where: Callable[[int], str]) -> LabelTable:
    """Keep the first of equal rows of one image.

    Raises:
        DataError: rows of one image conflict.
    """
    first_of: dict[str, int] = {}
    kept: list[int] = []
    twins: list[str] = []
    for row, image in enumerate(labels.images_N):
        first = first_of.setdefault(image, row)
        if first == row:
            kept.append(row)
            continue
        differing = _differing(labels, first, row)
        if differing:
            raise DataError(
                f"{image!r} is listed twice, with different {' and '.join(differing)}",
                where=f"{_path_in(where(first))} lines {_line_in(where(first))} and "
                f"{_line_in(where(row))}",
                why="Only one of them can be right",
                remedy=_remedy_for_twins(
                    differing, len(set(labels.images_N)), len(labels.images_N)
                ),
            )
        twins.append(image)
    count = count_of("duplicate row with equal values", twins)
    return dataclasses.replace(labels.take(kept), counts=(*labels.counts, count))


def _path_in(where: str) -> str:
    return where.rpartition(" line ")[0]


def _line_in(where: str) -> str:
    return where.rpartition(" ")[2]


def _remedy_for_twins(differing: Sequence[str], num_names: int, num_rows: int) -> str:
    if "patients" not in differing:
        return "Correct or remove the wrong row."
    many = ""
    if num_names < num_rows - 1:
        different = "1 name" if num_names == 1 else f"{num_names:,} different names"
        many = f" ({num_rows:,} rows have {different})"
    return (
        f"If they are two images{many}, write each with its folder, such as "
        "patient1/study1/view1.png; if it is one, correct or remove the wrong row."
    )


def _differing(labels: LabelTable, first: int, second: int) -> list[str]:
    differing = []
    for field, words in _IN_WORDS.items():
        values = getattr(labels, field)
        if values is None:
            continue
        equal_nan = values.dtype != object and np.issubdtype(values.dtype, np.floating)
        if not np.array_equal(values[first], values[second], equal_nan=equal_nan):
            differing.append(words)
    return differing
