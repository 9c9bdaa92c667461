"""Read and write our own CSV files as data frames; pandas is imported on first use.

Other people's tables are read by ``core.data.tables``, which names the line of a fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.regular_file import open_regular
from core.store.files import write_whole
from core.store.formula_cells import escape_formula, original

if TYPE_CHECKING:
    from pandas import DataFrame

_PIECE_BYTES = 2**20


def csv_of(frame: DataFrame) -> bytes:
    """The CSV bytes of a frame, without its index.

    Numbers have the fewest digits that read back exactly, missing values are empty cells, and text
    is never a formula.
    """
    import pandas as pd

    # Not with Series.map, which turns integers into floats if a value is missing.
    escaped = {
        name: pd.Series(
            [escape_formula(cell) if isinstance(cell, str) else cell for cell in column],
            frame.index,
            dtype=object,
        )
        for name, column in frame.items()
        if not pd.api.types.is_numeric_dtype(column)
    }
    content: str = frame.assign(**escaped).to_csv(index=False, lineterminator="\n")
    return content.encode()


def write_frame(path: Path, frame: DataFrame) -> None:
    """Write a frame as CSV, atomically.

    Raises:
        OSError: the disk is full or can't be written; an older file stays.
    """
    write_whole(path, csv_of(frame))


def read_frame(path: Path, **options: Any) -> DataFrame:
    """Read a file of ``write_frame``; text cells read back unchanged.

    Args:
        path: the file.
        options: for ``pandas.read_csv``, such as the ``dtype`` of columns that are not text.

    Raises:
        OSError: it can't be read, or is not a file.
        ValueError: it is not such a table; includes errors of pandas and of decoding.
    """
    import pandas as pd

    options = {"dtype": str, "na_filter": False, "float_precision": "round_trip"} | options
    with open_regular(path) as file:
        # pandas takes it for the end of a cell: a damaged 0.97 would be read as 0.9.
        if any(b"\0" in piece for piece in iter(lambda: file.read(_PIECE_BYTES), b"")):
            raise ValueError("a NUL byte, which no name or value can hold")
        file.seek(0)
        frame = pd.read_csv(file, encoding="utf-8-sig", **options)
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its first row has more cells than its header")
    text = [name for name in frame if frame[name].dtype in (object, "str")]
    return frame.assign(**{name: frame[name].map(original) for name in text})
