"""Columns of the label table that a recipe names as groups (``evaluate.subgroups``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.study import Study
from core.data.tables.text_table import TextTable, read_table
from core.errors import RecipeError
from core.findings import did_you_mean

MOST_VALUES = 20
"""Of one column: more are no groups, but numbers or names."""

_KEY = "evaluate.subgroups"
_LONGEST = 60
_LEAST_JOINED = 0.5


def columns_of_study(study: Study) -> dict[str, NDArray[np.object_]]:
    """The named columns' values of the study's N images; {} if none is named.

    Raises:
        RecipeError: see ``further_columns``; also several data sets.
    """
    names = study.recipe.evaluate.subgroups
    if names and study.recipe.datasets:
        raise RecipeError(
            "columns can't be read of several data sets", where=_KEY, remedy="Leave it out."
        )
    return further_columns(study.sources.labels, study.index.images, names)


def further_columns(
    labels: Path, images_N: NDArray[Any], names: Sequence[str]
) -> dict[str, NDArray[np.object_]]:
    """Each column's value of N images, '' where its cell is empty or the image is not found.

    Raises:
        RecipeError: there is no such column, it has too many different values, or no column of the
            table names these images.
        DataError: the table can't be read.
    """
    if not names:
        return {}
    table = read_table(labels)
    place_of = _rows(table, images_N)
    found = {}
    for name in names:
        if name not in table.header:
            raise RecipeError(
                f"the label table has no column {name!r}",
                where=_KEY,
                remedy=did_you_mean(name, table.header) or f"It has {', '.join(table.header)}.",
            )
        cells = table.columns[table.header.index(name)]
        values_N = np.array([cells[row].strip()[:_LONGEST] if row >= 0 else "" for row in place_of])
        different = len(set(values_N.tolist()) - {""})
        if different > MOST_VALUES:
            raise RecipeError(
                f"column {name!r} has {different:,} different values; at most {MOST_VALUES} are "
                "groups",
                where=_KEY,
                why="With more, no group has enough patients.",
                remedy="Name a column of few categories, or add one that puts them together.",
            )
        found[name] = values_N.astype(object)
    return found


def _rows(table: TextTable, images_N: NDArray[Any]) -> list[int]:
    """The row of each image, or -1, by the column that names most of them."""
    wanted = set(images_N.tolist())
    best: dict[str, int] = {}
    for cells in table.columns:
        rows = {name: row for row, cell in enumerate(cells) if (name := cell.strip()) in wanted}
        best = max(best, rows, key=len)
    if len(best) < _LEAST_JOINED * len(wanted):
        raise RecipeError(
            "no column of the label table names the images as the data set does",
            where=_KEY,
            why="Its columns can't be joined to the scores.",
            remedy="Leave it out; sex, age and view are groups without it.",
        )
    return [best.get(name, -1) for name in images_N.tolist()]
