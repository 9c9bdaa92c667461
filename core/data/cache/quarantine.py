"""Images that give no pixels: kept by name and reason, and refused above a share."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from core.data.images.decode import UndecodableImage, decode_grey
from core.data.images.image_files import ImageFile
from core.data.tables.text_file import MAX_TABLE_BYTES
from core.errors import DataError
from core.regular_file import read_regular
from core.store.files import write_whole
from core.store.formula_cells import escape_formula, original

_HEADER = ["Image Index", "reason"]
_EXAMPLES = 5
COPIES_LOOKED_AT = 100


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
    writer.writerows(map(escape_formula, row) for row in sorted(reasons.items()))
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))


def whole_copies(
    quarantined: Collection[str], files: Mapping[str, ImageFile]
) -> dict[str, tuple[Path, Path]]:
    """Image -> its unusable file, and a whole one of the same name that was found elsewhere.

    Of the first COPIES_LOOKED_AT that have a copy at all: each is decoded.
    """
    found: dict[str, tuple[Path, Path]] = {}
    copied = [name for name in sorted(quarantined) if name in files and files[name].copies]
    for name in copied[:COPIES_LOOKED_AT]:
        whole = next(filter(_is_whole, files[name].copies), None)
        if whole is not None:
            found[name] = files[name].path, whole
    return found


def _is_whole(path: Path) -> bool:
    with suppress(OSError, UndecodableImage):
        decode_grey(path, path.name)
        return True
    return False


def copies_in_words(copies: Mapping[str, tuple[Path, Path]]) -> str:
    """How many there are, with an example."""
    damaged, whole = next(iter(copies.values()))
    head = "a whole copy of it is" if len(copies) == 1 else f"whole copies of {len(copies)} are"
    return f"{head} there too, such as {whole}, which is passed over for {damaged}"


def refuse_above_share(
    quarantined: Mapping[str, str],
    num_wanted: int,
    max_share: float,
    listed_in: Path,
    files: Mapping[str, ImageFile],
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
    examples = "; ".join(f"{_place_of(name, files)}: {reason}" for name, reason in first)
    more = len(quarantined) - len(first)
    share = len(quarantined) / num_wanted
    raise DataError(
        f"{len(quarantined):,} of {num_wanted:,} images ({share:.2%}) can't be used, "
        f"more than the {max_share:.2%} that dataset.max_quarantined_share allows: {counts}",
        where=listed_in,
        why=f"{examples}" + (f"; and {more:,} more, listed there" if more else ""),
        remedy=_remedy(whole_copies(quarantined, files)),
    )


def _place_of(name: str, files: Mapping[str, ImageFile]) -> str:
    """The file behind an image, by its whole path; in an archive, with that before it."""
    file = files.get(name)
    if file is None:
        return name
    return str(file.path) if file.member is None else f"{file.path}: {file.member}"


def _remedy(copies: Mapping[str, tuple[Path, Path]]) -> str:
    otherwise = "or raise dataset.max_quarantined_share to go on without them"
    if not copies:
        return f"Fetch these files again, {otherwise}"
    said = copies_in_words(copies)
    return f"{said[0].upper()}{said[1:]}. Move the unusable files away, {otherwise}"
