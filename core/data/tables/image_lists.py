"""Lists of images, one file name per line, such as NIH's ``train_val_list.txt``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.data.tables.text_file import Count, count_of, read_text, unsafe_name
from core.errors import DataError

_SHOWN = 3


@dataclass(frozen=True)
class ImageList:
    """The names of a list without duplicates, each with its line."""

    path: Path
    line_of: Mapping[str, int]
    counts: tuple[Count, ...]

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raises DataError if the list names images that are not in ``known``."""
        unknown = [name for name in self.line_of if name not in known]
        if unknown:
            more = f" (and {len(unknown) - 1:,} more entries)" if len(unknown) > 1 else ""
            raise DataError(
                f"{unknown[0]!r} is not in the label table{more}",
                where=f"{self.path} line {self.line_of[unknown[0]]}",
                why="A list for another table would silently leave images out of every part",
                remedy="Use the list that belongs to the table, one file name per line.",
            )


def read_image_list(path: Path, known: Collection[str] = ()) -> ImageList:
    """Read a list.

    Repaired and counted: a byte order mark, duplicate names, folders before the name
    (``images_001/images/00000001_000.png``). Blank lines, CRLF and a last line without a newline
    are accepted silently.
    Args:
        path: the list.
        known: names in the label table; names with folders keep them here too.

    Raises:
        DataError: see ``read_text``; also a name with ``..``, a backslash or a control
            character.
    """
    file = read_text(path)
    counts = [Count("byte order mark ignored", 0)] if file.had_bom else []
    lines = [line.strip() for line in file.text.split("\n")]
    names = lines
    if "/" in file.text:
        names = [
            line if line in known or ".." in line else line.rsplit("/", 1)[-1] for line in lines
        ]
        shortened = [line for line, name in zip(lines, names, strict=True) if line != name]
        if shortened:
            counts.append(count_of(f"folder before a name in {path.name} ignored", shortened))
    unsafe = unsafe_name([name for name in names if name])
    if unsafe:
        row = names.index(unsafe.name)
        raise DataError(
            f"{lines[row]!r} is not a file name: it contains {unsafe.holds}",
            where=f"{path} line {row + 1}",
            remedy="Write one bare file name per line, such as 00000001_000.png.",
        )
    # Backwards, so that the first line of a duplicate name is kept.
    line_of = dict(zip(reversed(names), range(len(names), 0, -1), strict=True))
    line_of.pop("", None)
    line_of = dict(reversed(line_of.items()))
    if len(line_of) < sum(map(bool, names)):
        twice = [name for row, name in enumerate(names) if name and line_of[name] != row + 1]
        counts.append(count_of(f"name listed twice in {path.name}", twice))
    return ImageList(path, line_of, tuple(counts))
