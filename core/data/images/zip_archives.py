"""Images inside a zip archive, in the order of its directory; nothing is extracted to disk."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from core.data.images.decode import MAX_ENCODED_BYTES
from core.data.tables.image_suffixes import IMAGE_SUFFIXES
from core.errors import DataError
from core.regular_file import open_regular

ZIP_SUFFIX = ".zip"
# RuntimeError: zipfile's for a member with a password; NotImplementedError: an odd compression.
_MEMBER_ERRORS = (
    *(zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError),
    *(zlib.error, struct.error, ValueError, LookupError),
)


def stream_zipped(
    archive: Path, is_wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes | int | str]]:
    """Each image by its path there: its bytes, its size if that is too large, or why it can't be
    read.

    ``is_wanted`` is asked once for each; what isn't wanted is skipped unread.

    Raises:
        DataError: the archive has no readable directory.
    """
    try:
        with open_regular(archive) as file, zipfile.ZipFile(file) as opened:
            for entry in opened.infolist():
                name = PurePosixPath(entry.filename).name
                is_image = name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
                if is_image and not entry.is_dir() and is_wanted(entry.filename):
                    yield entry.filename, _content(opened, entry)
    except (zipfile.BadZipFile, OSError, struct.error, ValueError) as error:
        raise DataError(
            f"the archive can't be read: {getattr(error, 'strerror', None) or error}",
            where=archive,
            why="A zip has its directory at its end, so one that is truncated can't be listed",
            remedy="Download or pack it again",
        ) from error


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | int | str:
    if entry.file_size > MAX_ENCODED_BYTES:
        return entry.file_size
    try:
        with opened.open(entry) as member:
            # What the directory says of its size may be a lie.
            content = member.read(MAX_ENCODED_BYTES + 1)
    except _MEMBER_ERRORS as error:
        first_line = " ".join(str(error).split())[:80]
        return f"can't be unpacked: {first_line or type(error).__name__}"
    return len(content) if len(content) > MAX_ENCODED_BYTES else content
