"""The groups of a part's images: by sex, age, view, their pairs, and columns of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.tables.label_columns import LabelTable

AGE_BANDS = ("0-19", "20-39", "40-59", "60-79", "80+")
"""Bands of 20 years, as Seyyed-Kalantari et al. 2021 (Nature Medicine 27:2176)."""

PAIRED = ("sex", "age", "view")
"""Attributes whose pairs are groups too; columns of one's own are not paired."""

_YEARS = 20
_SEXES = {"F": "female", "M": "male"}

Attributes = Mapping[str, NDArray[np.object_]]
"""Attribute -> each of N images' value, '' where it is unknown."""


@dataclass(frozen=True, eq=False)
class Group:
    """One group, and the images that it is compared with.

    Attributes:
        by: the attribute, or a pair such as ``sex and age``.
        name: its value, or both, such as ``female, 60-79``.
        inside_N: its images.
        rest_N: all other images whose attributes are known.
        test: equal for two groups that are each other's rest: one gap, seen from both sides.
    """

    by: str
    name: str
    inside_N: NDArray[np.bool_]
    rest_N: NDArray[np.bool_]
    test: tuple[str, str]


def attributes_of(table: LabelTable, further: Attributes | None = None) -> dict[str, Any]:
    """Sex, age band and view of the table's N images, as far as it has them, and ``further``."""
    found: dict[str, NDArray[np.object_]] = {}
    if table.sex_N is not None:
        found["sex"] = _each(table.sex_N, lambda sex: _SEXES.get(str(sex), ""))
    if table.age_years_N is not None:
        found["age"] = _each(table.age_years_N, _age_band)
    if table.view_N is not None:
        found["view"] = _each(table.view_N, lambda view: "" if view == "unknown" else str(view))
    return {**found, **(further or {})}


def _each(values_N: NDArray[Any], meaning: Any) -> NDArray[np.object_]:
    known, places_N = np.unique(values_N, return_inverse=True)
    means = np.array([meaning(value) for value in known], dtype=object)
    named_N: NDArray[np.object_] = means[places_N.reshape(-1)]
    return named_N


def _age_band(years: float) -> str:
    return "" if not years >= 0 else AGE_BANDS[min(int(years // _YEARS), len(AGE_BANDS) - 1)]


def groups_of(attributes: Attributes) -> Iterator[Group]:
    """Each attribute's groups, then those of the pairs; an attribute with one value has none."""
    for by, values_N in attributes.items():
        yield from _groups(by, values_N)
    pairs = combinations([by for by in PAIRED if by in attributes], 2)
    for first, second in pairs:
        one_N, other_N = attributes[first], attributes[second]
        both_N = np.where((one_N == "") | (other_N == ""), "", one_N + ", " + other_N)
        if len(set(one_N) - {""}) > 1 and len(set(other_N) - {""}) > 1:
            yield from _groups(f"{first} and {second}", both_N)


def _groups(by: str, values_N: NDArray[np.object_]) -> Iterator[Group]:
    known_N = np.asarray(values_N != "", dtype=bool)
    names = sorted(set(values_N[known_N].tolist()))
    if len(names) < 2:
        return
    for name in names:
        inside_N = np.asarray(values_N == name, dtype=bool)
        test = names[0] if len(names) == 2 else name
        yield Group(by, name, inside_N, known_N & ~inside_N, (by, test))
