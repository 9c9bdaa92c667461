"""Tables in parquet, as some copies of NIH's are distributed: refused, with the way to a CSV."""

from __future__ import annotations

import shlex
from pathlib import Path

from core.errors import DataError

MAGIC = b"PAR1"


def parquet_refused(path: Path) -> DataError:
    """The error for a table in parquet."""
    code = (
        "import sys, pandas; "
        'pandas.read_parquet(sys.argv[1]).drop(columns="image", errors="ignore")'
        ".to_csv(sys.argv[2], index=False)"
    )
    named, written = shlex.quote(str(path)), shlex.quote(str(path.with_suffix(".csv")))
    return DataError(
        "this is a table in parquet, which is not read",
        where=path,
        why="Copies in parquet number the findings in ways of their own and often name no file, so "
        "what their columns mean must be looked at",
        remedy=f"With pandas and pyarrow, python -c {shlex.quote(code)} {named} {written} makes a "
        "CSV of it.",
    )
