"""Ages from dates of birth and study, for tables without a column of ages."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from core.data.tables.cell_columns import distinct_cells
from core.data.tables.cells import MAX_AGE_YEARS, Column
from core.data.tables.text_file import count_of
from core.data.tables.text_table import says_nothing

_DAYS_PER_YEAR = 365.25
_LOOKED_AT = 100
_YEAR_FIRST = re.compile(r"([0-9]{4})([-./]?)([0-9]{1,2})\2([0-9]{1,2})(?:[ T].*)?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})([-./])([0-9]{1,2})\2([0-9]{4})(?:[ T].*)?")


def age_in_years(born: datetime.date, studied: datetime.date) -> float | None:
    """Whole years, below one year with its fraction; None if negative or above MAX_AGE_YEARS."""
    had_birthday = (studied.month, studied.day) >= (born.month, born.day)
    whole_years = studied.year - born.year - (not had_birthday)
    if born > studied or whole_years > MAX_AGE_YEARS:
        return None
    return float(whole_years) if whole_years else (studied - born).days / _DAYS_PER_YEAR


def read_ages_of_dates(
    born: Sequence[str], studied: Sequence[str], images: Sequence[str]
) -> Column:
    """Ages in years of N rows, NaN where a date is missing, unreadable or impossible; counted."""
    date = _reader([*distinct_cells(born), *distinct_cells(studied)])
    ages: dict[tuple[str, str], float] = {}
    for pair in dict.fromkeys(zip(born, studied, strict=True)):
        dates = date(pair[0]), date(pair[1])
        age = None if dates[0] is None or dates[1] is None else age_in_years(dates[0], dates[1])
        ages[pair] = np.nan if age is None else age
    pairs = list(zip(born, studied, strict=True))
    values_N = np.fromiter(map(ages.__getitem__, pairs), np.float64, len(pairs))
    unknown = [
        image
        for image, pair in zip(images, pairs, strict=True)
        if np.isnan(ages[pair]) and not any(map(says_nothing, pair))
    ]
    reason = "dates of birth and study that give no age, treated as missing"
    return Column(values_N, (count_of(reason, unknown),) if unknown else ())


def are_dates(cells: Sequence[str]) -> bool:
    """Whether most of the first cells that say something are dates."""
    said = [cell for cell in distinct_cells(cells) if not says_nothing(cell)]
    read = _reader(said)
    dates = [cell for cell in said[:_LOOKED_AT] if read(cell) is not None]
    return 2 * len(dates) > len(said[:_LOOKED_AT])


def _reader(cells: Iterable[str]) -> Callable[[str], datetime.date | None]:
    """Reads dates such as these: ``2024-03-11``, ``20240311``, ``11.03.2024``, ``3/11/2024``.

    Days come first unless most that tell show otherwise; where none tells, an age is off by one
    year at most.
    """
    ends = [match for cell in cells if (match := _YEAR_LAST.fullmatch(cell.strip()))]
    tells = sum((int(match[3]) > 12) - (int(match[1]) > 12) for match in ends)
    months_first = tells > 0

    def read(cell: str) -> datetime.date | None:
        text = cell.strip()
        if match := _YEAR_FIRST.fullmatch(text):
            year, month, day = match[1], match[3], match[4]
        elif match := _YEAR_LAST.fullmatch(text):
            year = match[4]
            day, month = (match[3], match[1]) if months_first else (match[1], match[3])
        else:
            return None
        try:
            return datetime.date(int(year), int(month), int(day))
        except ValueError:
            return None

    return read
