"""Images inside tar archives, such as NIH's twelve ``images_*.tar.gz``.

Compressed tar has no directory and no random access: even listing it takes a full pass. So listings
are cached, and members are read in one stream from front to back. Nothing is extracted to disk.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from core.data.cache.file_signature import UNKNOWN, file_signature
from core.data.images.decode import MAX_ENCODED_BYTES
from core.data.tables.image_suffixes import IMAGE_SUFFIXES
from core.errors import DataError
from core.regular_file import open_regular, read_regular
from core.store.files import write_whole
from core.store.own_folder import drop_unfinished, opened_own, require_own

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
# IndexError: tarfile reads a truncated block of a sparse file's map.
_ARCHIVE_ERRORS = (tarfile.TarError, OSError, EOFError, IndexError, zlib.error)
_BUFFER_BYTES, _STEP_BYTES = 2**20, 2**24
_LISTING_VERSION = 2
_LEFTOVER_SECONDS = 3600.0
_MAX_LISTING_BYTES = 256 * 2**20


class ArchiveMember(NamedTuple):
    """One image file in an archive, by its path there."""

    path: str
    num_bytes: int

    @property
    def name(self) -> str:
        """The file name without folders."""
        return PurePosixPath(self.path).name


class ArchiveListing(NamedTuple):
    """The image files of an archive in its order, and its signature when it was listed."""

    members: tuple[ArchiveMember, ...]
    status: os.stat_result


def is_image_archive(file_name: str) -> bool:
    """Whether a file is named like an archive of images: ``*image*.tar``, ``.tar.gz``, ``.tgz``.

    Other archives next to the images (a backup, a release) are ignored, because listing one costs a
    full pass.
    """
    lower = file_name.lower()
    return "image" in lower and lower.endswith(TAR_SUFFIXES)


def list_archive(
    archive: Path,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> ArchiveListing:
    """The image files of an archive, from a cached listing or by a full pass.

    Args:
        archive: a tar file, plain or gzip.
        listings: a folder for cached listings, by the archive's path and signature; if it can't be
            written, the listing is not cached.
        progress: called with the number of images so far, many times a second; it may raise.

    Raises:
        DataError: the archive is truncated, damaged or unreadable.
    """
    try:
        status = archive.stat()
    except OSError as error:
        raise _unreadable(archive, error) from error
    signature = file_signature(status)
    written = {
        "version": _LISTING_VERSION,
        "archive": os.fsencode(archive.resolve()).hex(),
        "signature": signature,
    }
    keep = listings if signature != UNKNOWN and _is_own(listings) else None
    members = _remembered_members(keep, written)
    if members is None:
        members = tuple(_pass_over(archive, progress))
        if keep is not None:
            _remember_members(keep, written, members)
    return ArchiveListing(members, status)


def stream_archive(
    archive: Path, wanted: Collection[str], at_each: Callable[[], None] | None = None
) -> Iterator[tuple[str, bytes | int]]:
    """Each wanted member's bytes, in the archive's order, in one pass that ends at the last.

    ``at_each`` is called at every member, wanted or not, and within long ones: skipping takes time,
    and the caller may want to stop.

    Yields: (member, its content), or (member, its size) if it is too large for an image.

    Raises:
        DataError: the archive is truncated, damaged or unreadable.
    """
    left = set(wanted)
    members = _regular_files(archive, at_each)
    while left:
        # Only the archive's errors are translated, not those of this generator's consumer.
        with _named_errors(archive):
            tar, entry = next(members, (None, None))
            if tar is None or entry is None:
                return
            if entry.name not in left:
                continue
            content = _content(tar, entry)
        left.discard(entry.name)
        yield entry.name, content


def stream_images(
    archive: Path, is_wanted: Callable[[str], bool], at_each: Callable[[], None] | None = None
) -> Iterator[tuple[str, bytes | int]]:
    """Each image of the archive by its path there, in its order, in one pass; see above.

    ``is_wanted`` is asked once for each; what isn't wanted is skipped unread.

    Raises:
        DataError: the archive is truncated, damaged or unreadable.
    """
    members = _regular_files(archive, at_each)
    while True:
        with _named_errors(archive):
            tar, entry = next(members, (None, None))
            if tar is None or entry is None:
                return
            if not _is_image(entry.name) or not is_wanted(entry.name):
                continue
            content = _content(tar, entry)
        yield entry.name, content


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes | int:
    if entry.size > MAX_ENCODED_BYTES:
        return entry.size
    file = tar.extractfile(entry)
    content = b"" if file is None else file.read()
    if len(content) < entry.size:
        raise EOFError("unexpected end of data")
    return content


def _pass_over(archive: Path, progress: Callable[[int], None] | None) -> list[ArchiveMember]:
    images: list[ArchiveMember] = []

    def tell() -> None:
        if progress is not None:
            progress(len(images))

    with _named_errors(archive):
        for _, entry in _regular_files(archive, tell):
            if _is_image(entry.name):
                images.append(ArchiveMember(entry.name, entry.size))
    return images


def _is_image(path: str) -> bool:
    name = PurePosixPath(path).name
    # Archives made on a Mac contain a "._" companion for every file.
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _regular_files(
    archive: Path, at_each: Callable[[], None] | None
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with open_regular(archive) as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip else file
        bounded = _Bounded(stream, at_each or (lambda: None))
        with stream, tarfile.open(fileobj=cast("IO[bytes]", bounded), mode="r:") as tar:
            before = -1
            for entry in tar:
                if entry.size < 0 or entry.offset <= before:
                    # Python's tarfile would jump back and list the same entries forever.
                    raise tarfile.ReadError(f"an entry at byte {entry.offset:,} points backwards")
                before = entry.offset
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all members
                if entry.isreg():
                    yield tar, entry
            _require_end_mark(tar, bounded)


class _Bounded:
    """A stream that is read in pieces no larger than an image.

    An entry's name may claim any length, and gzip compresses a gigabyte of zeros to almost nothing.
    Skipping also means reading; ``at_each`` is called many times a second meanwhile.
    """

    def __init__(self, stream: IO[bytes], at_each: Callable[[], None]) -> None:
        self._stream, self._at_each = stream, at_each
        self.tell = stream.tell

    def seek(self, place: int) -> int:
        """Move to that byte, in steps."""
        while (here := self.tell()) + _STEP_BYTES < place:
            self._at_each()
            if self._stream.seek(here + _STEP_BYTES) <= here:
                break  # the end
        return self._stream.seek(place)

    def read(self, num_bytes: int = -1) -> bytes:
        """Read this many bytes; refuses to read more than an image can have."""
        self._at_each()
        if not 0 <= num_bytes <= MAX_ENCODED_BYTES:
            raise tarfile.ReadError(f"an entry claims {num_bytes:,} bytes")
        return self._stream.read(num_bytes)


def _require_end_mark(tar: tarfile.TarFile, stream: _Bounded) -> None:
    """Check for the final block of zeros, missing in a tar that is truncated between two files."""
    stream.seek(tar.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise EOFError("unexpected end of data")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"bad header at byte {tar.offset:,}")
    # To the end, where gzip's checksum is.
    while stream.read(_BUFFER_BYTES):
        pass


@contextmanager
def _named_errors(archive: Path) -> Iterator[None]:
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        raise _unreadable(archive, error) from error


def _unreadable(archive: Path, error: Exception) -> DataError:
    if isinstance(error, EOFError | IndexError) or "unexpected end" in str(error):
        what = "the archive is truncated, as after an interrupted download"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"the archive can't be read: {reason}"
    return DataError(
        what,
        where=archive,
        why="Without it, its images would count as missing",
        remedy="Download it again, or move it out of the image folder to continue without it",
    )


def _is_own(listings: Path | None) -> bool:
    """Whether the folder can be ours; otherwise the archive itself is read."""
    try:
        if listings is not None:
            require_own(listings)
    except (DataError, OSError):
        return False
    return listings is not None


def _listing_file(listings: Path, written: Mapping[str, object]) -> Path:
    key = str(written["archive"]).encode()
    return listings / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}.json"


def _remembered_members(
    listings: Path | None, written: Mapping[str, object]
) -> tuple[ArchiveMember, ...] | None:
    if listings is None:
        return None
    try:
        kept = json.loads(read_regular(_listing_file(listings, written), _MAX_LISTING_BYTES))
        if kept.pop("members_digest") != _digest(kept["members"]):
            return None
        members = tuple(ArchiveMember(str(name), int(size)) for name, size in kept.pop("members"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # missing or not ours: read the archive itself
    return members if kept == written else None


def _remember_members(
    listings: Path, written: Mapping[str, object], members: Sequence[ArchiveMember]
) -> None:
    rows = [list(member) for member in members]
    kept = {**written, "members": rows, "members_digest": _digest(rows)}
    target = _listing_file(listings, written)
    try:
        listings.mkdir(parents=True, exist_ok=True)
        with opened_own(listings) as folder:
            drop_unfinished(folder, {target.name}, older_than_seconds=_LEFTOVER_SECONDS)
        write_whole(target, json.dumps(kept).encode("utf-8"))
    except (DataError, OSError):
        return  # an uncached listing only costs time


def _digest(rows: object) -> str:
    return hashlib.blake2b(json.dumps(rows).encode("utf-8"), digest_size=16).hexdigest()
