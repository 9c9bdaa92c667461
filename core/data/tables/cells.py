"""Cells of a label table: patients, ages, view positions, sexes, follow-up numbers.

Each reader takes one column and parses only its distinct values: a full NIH table has 112,120 rows
but only some hundred different ages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.data.tables.cell_columns import by_distinct, distinct_cells
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import says_nothing
from core.errors import DataError

MAX_AGE_YEARS = 120
UNKNOWN_FOLLOW_UP = -1

_NUMBER = re.compile(r"([0-9]{1,15})(\.0*)?")
_AGE = re.compile(r"([0-9]{1,4}(?:[.,][0-9]*)?)\s*([^\W\d]*)\.?")
_UNITS = {
    1.0: ("", "Y", "YR", "YRS", "YEAR", "YEARS", "J", "JAHR", "JAHRE", "A", "AÑO", "AÑOS", "ANS"),
    1 / 12: ("M", "MONTH", "MONTHS", "MONAT", "MONATE", "MES", "MESES", "MOIS"),
    7 / 365.25: ("W", "WEEK", "WEEKS", "WOCHE", "WOCHEN", "SEMANA", "SEMANAS"),
    1 / 365.25: ("D", "DAY", "DAYS", "TAG", "TAGE", "DÍA", "DÍAS", "JOURS"),
}
_YEARS_PER_UNIT = {unit: years for years, units in _UNITS.items() for unit in units}
_VIEW_SPELLINGS = {
    "PA": ("PA", "P.A.", "P-A", "POSTEROANTERIOR", "POSTERO-ANTERIOR"),
    "AP": (
        *("AP", "A.P.", "A-P", "ANTEROPOSTERIOR", "ANTERO-POSTERIOR"),
        *("AP AXIAL", "AP_HORIZONTAL"),
    ),
    "frontal": ("FRONTAL",),
    "lateral": (
        *("LATERAL", "LL", "RL", "L", "LEFT LATERAL", "RIGHT LATERAL", "XTABLE LATERAL"),
        *("SWIMMERS", "LARGE LATERAL", "LAT", "LAT.", "SEITLICH", "SEITL.", "PERFIL", "PROFIL"),
    ),
    "oblique": ("LAO", "RAO", "LPO", "RPO", "OBLICUA", "OBLIQUE"),
    "decubitus": ("AP LLD", "PA LLD", "AP RLD", "PA RLD", "LLD", "RLD"),
    "other": ("COSTAL", "GENERICA", "EXCLUDE", "L5 S1"),
}
_VIEWS = {word: view for view, words in _VIEW_SPELLINGS.items() for word in words}
_SEX_SPELLINGS = {
    "M": ("M", "MALE", "MÄNNLICH", "MANN", "HOMBRE", "VARÓN", "VARON", "MASCULINO", "H", "HOMME"),
    "F": ("F", "FEMALE", "W", "WEIBLICH", "FRAU", "MUJER", "FEMENINO", "FEMME"),
}
_SEXES = {word: sex for sex, words in _SEX_SPELLINGS.items() for word in words}
_SPANISH_SEXES = _SEXES | {"M": "F", "V": "M"}
"""Hombre or varón, and mujer."""
_NAMED_PATIENTS_FROM = 1 << 52
_LONGER_THAN_NOTHING = 10
"""No word for nothing has as many letters."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column as an array over the N rows, and what was repaired in it."""

    values_N: npt.NDArray[Any]
    counts: tuple[Count, ...] = ()


def read_patients(
    cells: Sequence[str], where: Callable[[int], str], *, numbers_only: bool
) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Patient numbers of N rows, and the original text of those that are not numbers.

    ``00000007``, ``7`` and ``7.0`` are the same patient. A name such as ``P-7`` becomes a number
    from 2**52 up to 2**53, taken from its SHA-256, so it is the same in every table and on every
    machine. ``where`` tells a row's file and line.

    Raises:
        DataError: no patient, or no number if ``numbers_only`` (NIH's tables).
    """
    number_of: dict[str, int] = {}
    name_of: dict[int, str] = {}
    for cell in dict.fromkeys(cells):
        text = cell.strip()
        match = _NUMBER.fullmatch(text) if text[:1].isdecimal() else None
        if match:
            number_of[cell] = int(match[1])
            continue
        if numbers_only or (len(text) < _LONGER_THAN_NOTHING and says_nothing(text)):
            raise _no_patient(cell, cells, where)
        digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        number = _NAMED_PATIENTS_FROM + digest % _NAMED_PATIENTS_FROM
        if name_of.setdefault(number, text) != text:
            raise DataError(
                f"patients {text!r} and {name_of[number]!r} get the same number",
                where=where(cells.index(cell)),
                remedy="Rename one of them, or number the patients.",
            )
        number_of[cell] = number
    return np.fromiter(map(number_of.__getitem__, cells), np.int64, len(cells)), name_of


def _no_patient(cell: str, cells: Sequence[str], where: Callable[[int], str]) -> DataError:
    is_empty = says_nothing(cell)
    what = "the row names no patient" if is_empty else f"patient {cell!r} is not a number"
    if is_empty and cell.strip():
        what += f" but {cell.strip()!r}"
    others = sum(map(says_nothing, cells)) - 1 if is_empty else 0
    if others:
        what += f", like {others:,} other rows" if others > 1 else ", like another row"
    return DataError(
        what,
        where=where(cells.index(cell)),
        why="Without its patient an image can't be kept out of the other parts",
        remedy="Complete or remove the row.",
    )


def read_ages(cells: Sequence[str], images: Sequence[str]) -> Column:
    """Ages in years, NaN where missing: ``57``, ``058Y``, ``011M`` (months), ``001D`` (days).

    Ages above MAX_AGE_YEARS (``414Y``) and cells that are not an age are missing, and counted.
    """
    unreadable: list[str] = []
    out_of_range: list[str] = []

    def years(cell: str) -> float:
        text = cell.strip()
        match = _AGE.fullmatch(text)
        unit = _YEARS_PER_UNIT.get(match[2].upper()) if match else None
        if match is None or unit is None:
            if not says_nothing(text):
                unreadable.append(cell)
            return np.nan
        age_years = float(match[1].replace(",", ".")) * unit
        if age_years > MAX_AGE_YEARS:
            out_of_range.append(cell)
            return np.nan
        return age_years

    values_N = by_distinct(cells, years, np.float64)
    reasons = {
        f"age above {MAX_AGE_YEARS} years treated as missing": out_of_range,
        "unreadable age treated as missing": unreadable,
    }
    return Column(values_N, _counted(reasons, cells, images))


def read_views(cells: Sequence[str], images: Sequence[str]) -> Column:
    """Views as in ``VIEW_CLASSES``; '' for unknown ones, counted unless empty."""
    return _words(cells, images, _VIEWS, "view position other than PA or AP treated as unknown")


def views_of(cells: Sequence[str]) -> npt.NDArray[np.object_]:
    """The class of each view (``VIEW_CLASSES``); ``unknown`` for blanks and unknown words."""
    return by_distinct(cells, lambda cell: _VIEWS.get(cell.strip().upper(), "unknown"), object)


def numbered(cells: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number for each distinct text, by order of appearance."""
    number_of = {cell: number for number, cell in enumerate(distinct_cells(cells))}
    return np.fromiter(map(number_of.__getitem__, cells), np.int64, len(cells))


def read_sexes(cells: Sequence[str], images: Sequence[str]) -> Column:
    """Sexes ``M`` and ``F``; anything else is '', and counted unless empty.

    Beside ``H`` or ``V`` an ``M`` is mujer, if there is no ``F``.
    """
    words = {cell.strip().upper() for cell in distinct_cells(cells)}
    is_spanish = not words.isdisjoint(("H", "V")) and "F" not in words
    known = _SPANISH_SEXES if is_spanish else _SEXES
    return _words(cells, images, known, "sex other than M or F treated as unknown")


def read_follow_ups(cells: Sequence[str], images: Sequence[str]) -> Column:
    """Follow-up numbers; UNKNOWN_FOLLOW_UP, and counted, if the cell is not a number."""
    unreadable: list[str] = []

    def number(cell: str) -> int:
        match = _NUMBER.fullmatch(cell.strip())
        if match:
            return int(match[1])
        unreadable.append(cell)
        return UNKNOWN_FOLLOW_UP

    values_N = by_distinct(cells, number, np.int64)
    return Column(values_N, _counted({"unreadable follow-up number": unreadable}, cells, images))


def _words(
    cells: Sequence[str], images: Sequence[str], known: Mapping[str, str], reason: str
) -> Column:
    others: list[str] = []

    def word(cell: str) -> str:
        text = cell.strip().upper()
        if text not in known and not says_nothing(text):
            others.append(cell)
        return known.get(text, "")

    return Column(by_distinct(cells, word, object), _counted({reason: others}, cells, images))


def _counted(
    reasons: Mapping[str, Sequence[str]], cells: Sequence[str], images: Sequence[str]
) -> tuple[Count, ...]:
    """A Count of the images whose cell is among each reason's distinct cells."""
    counts = []
    for reason, distinct in reasons.items():
        if distinct:
            bad = frozenset(distinct)  # there may be as many as rows
            named = [image for image, cell in zip(images, cells, strict=True) if cell in bad]
            counts.append(count_of(reason, named))
    return tuple(counts)
