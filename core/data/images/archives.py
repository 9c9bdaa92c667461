"""Images inside tar archives, such as NIH's twelve ``images_*.tar.gz``.

Compressed tar has no directory and no random access: even its listing is a full
pass, so listings are remembered, and members are only ever read in one stream from
front to back. Nothing is extracted to disk.
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
from core.errors import DataError
from core.regular_file import open_regular, read_regular
from core.store.files import write_whole
from core.store.own_folder import drop_unfinished, opened_own, require_own

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".dcm", ".gif", ".webp")
"""Endings by which a file counts as an image, whether or not it can be decoded."""

_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz")
# IndexError: tarfile looks into a block of a sparse file's places that is cut short.
_ARCHIVE_ERRORS = (tarfile.TarError, OSError, EOFError, IndexError, zlib.error)
_BUFFER_BYTES, _STEP_BYTES = 2**20, 2**24
_LISTING_VERSION = 2
_LEFTOVER_SECONDS = 3600.0
_MAX_LISTING_BYTES = 256 * 2**20


class ArchiveMember(NamedTuple):
    """One image file in an archive, by its path in there."""

    path: str
    num_bytes: int

    @property
    def name(self) -> str:
        """Its file name without folders."""
        return PurePosixPath(self.path).name


class ArchiveListing(NamedTuple):
    """The image files of an archive, in its own order, and what it was when they were listed."""

    members: tuple[ArchiveMember, ...]
    status: os.stat_result


def is_image_archive(file_name: str) -> bool:
    """Whether a file is named as an archive of images is: ``*image*.tar``, ``.tar.gz``, ``.tgz``.

    Other archives beside the images (a backup, a release) are left alone, because a
    look inside costs a full pass.
    """
    lower = file_name.lower()
    return "image" in lower and lower.endswith(_ARCHIVE_SUFFIXES)


def list_archive(
    archive: Path,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> ArchiveListing:
    """The image files of an archive, remembered from last time or by a full pass over it.

    Args:
        archive: a tar file, plain or gzip.
        listings: a folder where listings are remembered, by the archive's path and signature;
            where it can't be written, the listing is simply not kept.
        progress: told the number of images seen so far, many times a second; it may raise.

    Raises:
        DataError: the archive is cut off, damaged or unreadable.
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

    ``at_each`` is called at every member, wanted or not, and within long ones: a pass over those
    that aren't takes a while, and whoever waits may want to stop.

    Yields:
        (member, its content), or (member, its size) where it is too large to be an image.

    Raises:
        DataError: the archive is cut off, damaged or unreadable.
    """
    left = set(wanted)
    members = _regular_files(archive, at_each)
    while left:
        # The archive's errors are named as such; whatever happens to the consumer of this
        # generator while it holds a member is its own.
        with _named_errors(archive):
            tar, entry = next(members, (None, None))
            if tar is None or entry is None:
                return
            if entry.name not in left:
                continue
            content = _content(tar, entry)
        left.discard(entry.name)
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
            name = PurePosixPath(entry.name).name
            # Archives made on a Mac hold a "._" companion beside every file.
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                images.append(ArchiveMember(entry.name, entry.size))
    return images


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
                    # Python's own tarfile goes back by it, and lists the same entries without end.
                    raise tarfile.ReadError(f"an entry at byte {entry.offset:,} leads backwards")
                before = entry.offset
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all it has passed
                if entry.isreg():
                    yield tar, entry
            _require_end_mark(tar, bounded)


class _Bounded:
    """A stream that is read in pieces no larger than an image.

    The name of an entry may claim any length, and gzip folds a gigabyte of zeros into one. It
    also has to read whatever it skips; ``at_each`` is called many times a second meanwhile.
    """

    def __init__(self, stream: IO[bytes], at_each: Callable[[], None]) -> None:
        self._stream, self._at_each = stream, at_each
        self.tell = stream.tell

    def seek(self, place: int) -> int:
        """To that byte, in steps."""
        while (here := self.tell()) + _STEP_BYTES < place:
            self._at_each()
            if self._stream.seek(here + _STEP_BYTES) <= here:
                break  # the end
        return self._stream.seek(place)

    def read(self, num_bytes: int = -1) -> bytes:
        """So many bytes; refuses to read more than an image can have."""
        self._at_each()
        if not 0 <= num_bytes <= MAX_ENCODED_BYTES:
            raise tarfile.ReadError(f"an entry claims {num_bytes:,} bytes")
        return self._stream.read(num_bytes)


def _require_end_mark(tar: tarfile.TarFile, stream: _Bounded) -> None:
    """A tar ends with a block of zeros; one that is cut off between two files has none."""
    stream.seek(tar.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise EOFError("unexpected end of data")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"bad header at byte {tar.offset:,}")
    # To the end, since gzip's checksum stands there.
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
        what = "the archive ends in the middle, as after a broken download"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"the archive can't be read: {reason}"
    return DataError(
        what,
        where=archive,
        why="The images in it can't be told from images that are missing",
        remedy="Fetch it again, or move it out of the image folder to go on without it",
    )


def _is_own(listings: Path | None) -> bool:
    """Whether what stands there can be ours; else the archive itself is asked."""
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
        return None  # not there, or not ours: the archive itself is asked
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
        return  # a listing that isn't kept costs time, nothing else


def _digest(rows: object) -> str:
    return hashlib.blake2b(json.dumps(rows).encode("utf-8"), digest_size=16).hexdigest()
