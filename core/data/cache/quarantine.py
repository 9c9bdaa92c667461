"""Images that can't be decoded: listed by name and reason, refused above a given share."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from core.data.images.decode import decode_grey
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage, is_no_picture
from core.data.tables.text_file import MAX_TABLE_BYTES
from core.errors import DataError
from core.regular_file import read_regular
from core.store.files import write_whole
from core.store.formula_cells import escape_formula, original

_HEADER = ["Image Index", "reason"]
_EXAMPLES = 5
COPIES_LOOKED_AT = 100
_READ_SINCE = ("a DICOM file: convert it to PNG", "a TIFF file: convert it to PNG")


def read_quarantine(path: Path) -> dict[str, str]:
    """Name -> reason; empty if the list is missing or not a quarantine list.

    Images that an earlier version could not read are left out, so that they are tried again.
    """
    try:
        content = read_regular(path, MAX_TABLE_BYTES)
        text = content.decode("utf-8", "surrogateescape")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (OSError, ValueError, csv.Error):
        return {}
    if not rows or rows[0] != _HEADER:
        return {}
    reasons = {original(row[0]): original(row[1]) for row in rows[1:] if len(row) == len(_HEADER)}
    return {name: reason for name, reason in reasons.items() if reason not in _READ_SINCE}


def write_quarantine(path: Path, reasons: Mapping[str, str]) -> None:
    """Write the list, sorted by name.

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
    """Image -> its unusable file, and an intact one of the same name found elsewhere.

    Only the first COPIES_LOOKED_AT images that have copies are checked, since each copy is decoded.
    """
    found: dict[str, tuple[Path, Path]] = {}
    copied = [name for name in sorted(quarantined) if name in files and files[name].copies]
    for name in copied[:COPIES_LOOKED_AT]:
        whole = next(filter(_is_whole, map(Path, files[name].copies)), None)
        if whole is not None:
            found[name] = files[name].path, whole
    return found


def _is_whole(path: Path) -> bool:
    with suppress(OSError, UndecodableImage):
        decode_grey(path, path.name)
        return True
    return False


def copies_in_words(copies: Mapping[str, tuple[Path, Path]]) -> str:
    """Their number, with an example."""
    damaged, whole = next(iter(copies.values()))
    head = (
        "an intact copy of it also exists"
        if len(copies) == 1
        else f"intact copies of {len(copies)} of them also exist"
    )
    return f"{head}, such as {whole}, which is not used because {damaged} comes first"


def refuse_above_share(
    quarantined: Mapping[str, str],
    num_wanted: int,
    max_share: float,
    listed_in: Path,
    files: Mapping[str, ImageFile],
) -> None:
    """Refuse to start if more than this share of the wanted images can't be decoded.

    Intact files that hold no picture (structured reports) are left out, but not held against it.

    Raises:
        DataError: with the first few names, the counts by reason, and the key that allows more.
    """
    quarantined = {name: why for name, why in quarantined.items() if not is_no_picture(why)}
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
        why=f"{examples}" + (f"; and {more:,} more, listed in that file" if more else ""),
        remedy=_remedy(whole_copies(quarantined, files)),
    )


def _place_of(name: str, files: Mapping[str, ImageFile]) -> str:
    """The full path of an image's file; in an archive, the archive's path comes first."""
    file = files.get(name)
    if file is None:
        return name
    return str(file.path) if file.member is None else f"{file.path}: {file.member}"


def _remedy(copies: Mapping[str, tuple[Path, Path]]) -> str:
    otherwise = "or raise dataset.max_quarantined_share to continue without them"
    if not copies:
        return f"Download these files again, {otherwise}"
    said = copies_in_words(copies)
    return f"{said[0].upper()}{said[1:]}. Move the unusable files away, {otherwise}"
