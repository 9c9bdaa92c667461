"""Images that give no pixels: kept by name and reason, and refused above a share."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from core.data.text_file import MAX_TABLE_BYTES
from core.errors import DataError
from core.regular_file import read_regular
from core.store.files import write_whole
from core.store.harmless_cells import harmless, original

_HEADER = ["Image Index", "reason"]
_EXAMPLES = 5


def read_quarantine(path: Path) -> dict[str, str]:
    """Name -> reason; empty where the list isn't there or is no such list."""
    try:
        content = read_regular(path, MAX_TABLE_BYTES)
        text = content.decode("utf-8", "surrogateescape")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (OSError, ValueError, csv.Error):
        return {}
    if not rows or rows[0] != _HEADER:
        return {}
    return {original(row[0]): original(row[1]) for row in rows[1:] if len(row) == len(_HEADER)}


def write_quarantine(path: Path, reasons: Mapping[str, str]) -> None:
    """Write the list whole, sorted by name.

    Raises:
        OSError: the folder can't be written or the disk is full.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(map(harmless, row) for row in sorted(reasons.items()))
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))


def refuse_above_share(
    quarantined: Mapping[str, str], num_wanted: int, max_share: float, listed_in: Path
) -> None:
    """Refuse to start when more of the wanted images than this share give no pixels.

    Raises:
        DataError: with the first few names, the counts by reason, and the key that allows more.
    """
    if len(quarantined) <= max_share * num_wanted:
        return
    by_reason = Counter(quarantined.values()).most_common(_EXAMPLES)
    counts = ", ".join(f"{count:,} × {reason}" for reason, count in by_reason)
    first = sorted(quarantined.items())[:_EXAMPLES]
    examples = "; ".join(f"{name}: {reason}" for name, reason in first)
    more = len(quarantined) - len(first)
    share = len(quarantined) / num_wanted
    raise DataError(
        f"{len(quarantined):,} of {num_wanted:,} images ({share:.2%}) can't be used, "
        f"more than the {max_share:.2%} that dataset.max_quarantined_share allows: {counts}",
        where=listed_in,
        why=f"{examples}" + (f"; and {more:,} more, listed there" if more else ""),
        remedy="Fetch these files again, or raise dataset.max_quarantined_share "
        "to go on without them",
    )
