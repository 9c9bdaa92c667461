"""Where the images are: one walk over a folder, whatever its layout.

NIH's own ``images_001/images/…``, one flat folder, folders in folders, links to
folders or files, or the ``images_*.tar.gz`` as they were downloaded.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.data.cache.file_signature import file_signature
from core.data.images.archives import IMAGE_SUFFIXES, is_image_archive, list_archive
from core.errors import DataError

_EXAMPLES = 5
_COPIES_KEPT = 4
_SECONDS_BETWEEN_REPORTS = 0.1
_Entry = os.DirEntry[str]
_NOT_OURS = "lost+found"  # every ext4 disk's root has one, readable by root alone


@dataclass(frozen=True)
class ImageFile:
    """One image: a file of its own, or a member of an archive.

    ``name`` is the table's, a file name or the end of a path. ``path`` is the file or the
    archive; ``num_bytes`` is the image's own encoded size; ``signature`` is ``path``'s, see
    :mod:`core.data.cache.file_signature`.
    """

    name: str
    path: Path
    member: str | None
    num_bytes: int
    signature: int
    copies: tuple[Path, ...] = ()
    """Files of the same name that were found later, the first few: this one is used, not those."""


@dataclass(frozen=True)
class FoundImages:
    """What a walk found.

    ``files`` holds the table's images that are there; ``extra`` counts image files that the
    table does not name; ``shadowed`` counts files whose name was found before, on an earlier
    path; ``folders`` counts the table's images by folder or archive, relative to the root.
    """

    files: Mapping[str, ImageFile]
    extra: int
    extra_examples: tuple[str, ...]
    shadowed: int
    folders: Mapping[str, int]


@dataclass
class _Walk:
    """What has been seen so far."""

    names: Collection[str]
    progress: Callable[[int], None] | None
    files: dict[str, ImageFile] = field(default_factory=dict)
    extra_names: list[str] = field(default_factory=list)
    shadowed: int = 0
    folders: Counter[str] = field(default_factory=Counter)
    archives: list[tuple[str, Path]] = field(default_factory=list)
    unreadable: list[tuple[Path, OSError]] = field(default_factory=list)
    other_files: Counter[str] = field(default_factory=Counter)
    told: float = field(default_factory=time.monotonic)
    last_names: Collection[str] | None = None
    """Names without their folders; None where the table's have none."""

    def __post_init__(self) -> None:
        if any("/" in name for name in self.names):
            self.last_names = frozenset(name.rpartition("/")[2] for name in self.names)

    def name_of(self, folder: str, name: str) -> str | None:
        """What the table calls the file of that name in this folder; None: it doesn't."""
        if self.last_names is None or name not in self.last_names:
            return name if name in self.names else None
        parts = [*folder.split("/"), name]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((end for end in ends if end in self.names), None)

    def take(self, file: ImageFile, folder: str) -> None:
        first = self.files.get(file.name)
        if first is not None:
            self.shadowed += 1
            if file.member is None and len(first.copies) < _COPIES_KEPT:
                self.files[file.name] = replace(first, copies=(*first.copies, file.path))
            return
        self.files[file.name] = file
        self.folders[folder] += 1

    def tell(self, seen_in_archive: int = 0) -> None:
        """The caller's progress, a few times a second: also where nothing is found it may raise."""
        if self.progress is not None and time.monotonic() - self.told > _SECONDS_BETWEEN_REPORTS:
            self.told = time.monotonic()
            self.progress(len(self.files) + seen_in_archive)


def find_images(
    root: Path,
    names: Collection[str],
    *,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> FoundImages:
    """Find the images that a label table names, under ``root``.

    Folders are walked in sorted order, so of two files with one name it is always the same
    that is used. Links are followed, each folder once. Hidden files and folders are passed
    over (snapshots of a file server, a Mac's ``._`` companions). Archives are opened only
    where loose files don't hold every name.

    Args:
        root: the folder to search.
        names: file names as the table gives them, compared exactly; with folders before them
            (``patient1/study1/view1.jpg``) they are the end of a file's path.
        listings: where archives' listings are remembered; None: they aren't.
        progress: told the number of images found so far, a few times a second; it may raise.

    Raises:
        DataError: ``root`` is not a folder; it has no image of the table; an archive is
            broken; or images are missing while a folder could not be read.
    """
    if not root.is_dir():
        raise DataError(
            "the image folder is not a folder" if root.exists() else "there is no such folder",
            where=root,
            remedy="Point dataset.images at the folder that holds the images, at any depth",
        )
    walk = _Walk(names if isinstance(names, set | frozenset | dict) else frozenset(names), progress)
    _walk_folders(root, walk)
    if len(walk.files) < len(walk.names):
        _look_into_archives(walk, listings)
    if len(walk.files) < len(walk.names) and walk.unreadable:
        raise _unreadable_folders(walk)
    if walk.names and not walk.files:
        raise _nothing_found(root, walk)
    if progress is not None:
        progress(len(walk.files))
    return FoundImages(
        files=dict(sorted(walk.files.items())),
        extra=len(walk.extra_names),
        extra_examples=tuple(sorted(_shown(name) for name in walk.extra_names)[:_EXAMPLES]),
        shadowed=walk.shadowed,
        folders=dict(sorted(walk.folders.items())),
    )


def images_fingerprint(files: Mapping[str, ImageFile] | Iterable[ImageFile]) -> str:
    """A digest of the images' names and sizes in bytes: the same wherever they have moved to."""
    each = files.values() if isinstance(files, Mapping) else files
    digest = hashlib.blake2b(digest_size=16)
    for name, num_bytes in sorted((file.name, file.num_bytes) for file in each):
        digest.update(f"{name}\0{num_bytes}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _walk_folders(root: Path, walk: _Walk) -> None:
    seen = {_identity(root.stat())}
    # A stack of what is still to do, so that depth costs no recursion; sorted so that a
    # folder's own files come first and then its folders, in order of their names.
    waiting: list[tuple[str, Path]] = [("", root)]
    while waiting:
        relative, folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(_told_of(listing, walk), key=lambda entry: entry.name)
        except OSError as error:
            walk.unreadable.append((folder, error))
            continue
        below: list[tuple[str, Path]] = []
        for entry in _told_of(entries, walk):
            if entry.name.startswith(".") or entry.name == _NOT_OURS:
                continue
            identity = _folder_identity(entry)
            if identity is None:
                _see_file(entry, relative, folder, walk)
            elif identity not in seen:  # two links to one folder, or one to a folder above
                seen.add(identity)
                below.append((f"{relative}{entry.name}/", folder / entry.name))
        waiting.extend(reversed(below))


def _told_of(entries: Iterable[_Entry], walk: _Walk) -> Iterator[_Entry]:
    """The same; on a slow file server each may take a while, and so may a folder without any."""
    walk.tell()
    for entry in entries:
        walk.tell()
        yield entry


def _see_file(entry: os.DirEntry[str], relative: str, folder: Path, walk: _Walk) -> None:
    name = entry.name
    wanted = walk.name_of(os.path.abspath(folder), name)  # noqa: PTH100 - links stay as they are
    if wanted is None and not name.lower().endswith(IMAGE_SUFFIXES) and not is_image_archive(name):
        walk.other_files[Path(name).suffix.lower()] += 1
        return
    try:
        if not entry.is_file():
            return  # a link that leads nowhere, a pipe, a socket
        status = entry.stat() if wanted is not None else None
    except OSError:
        return  # gone or unreachable since the listing: it is missing
    if status is not None and wanted is not None:
        found = ImageFile(wanted, folder / name, None, status.st_size, file_signature(status))
        walk.take(found, relative.rstrip("/") or ".")
    elif is_image_archive(name):
        walk.archives.append((f"{relative}{name}", folder / name))
    else:
        walk.extra_names.append(f"{relative}{name}")


def _look_into_archives(walk: _Walk, listings: Path | None) -> None:
    """After the loose files, which therefore win over an archived one of the same name."""
    for relative, path in walk.archives:
        listing = list_archive(path, listings, walk.tell)
        for member in listing.members:
            folder, _, last = member.path.rpartition("/")
            name = walk.name_of(folder, last)
            if name is None:
                walk.extra_names.append(f"{relative}/{member.path}")
            else:
                signature = file_signature(listing.status, member.path)
                image = ImageFile(name, path, member.path, member.num_bytes, signature)
                walk.take(image, relative)


def _folder_identity(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    try:
        return _identity(entry.stat()) if entry.is_dir() else None
    except OSError:
        return None  # a link in a circle, or gone since the listing


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _unreadable_folders(walk: _Walk) -> DataError:
    folder, error = walk.unreadable[0]
    others = len(walk.unreadable) - 1
    more = f" (and {others:,} other {'folder' if others == 1 else 'folders'})" if others else ""
    missing = len(walk.names) - len(walk.files)
    return DataError(
        f"this folder can't be read{more}: {error.strerror}",
        where=_shown(str(folder)),
        why=f"{missing:,} images of the table were not found elsewhere and may be in it",
        remedy="Make it readable (chmod u+rx), or point dataset.images at a folder without it",
    )


def _nothing_found(root: Path, walk: _Walk) -> DataError:
    expected = sorted(walk.names)[:3]
    if walk.extra_names:
        examples = ", ".join(_shown(name) for name in sorted(walk.extra_names)[:3])
        seen = f"It holds {len(walk.extra_names):,} other image files, such as {examples}"
    elif walk.other_files:
        kinds = ", ".join(
            f"{count:,} {_shown(suffix) or 'without an ending'}"
            for suffix, count in walk.other_files.most_common(4)
        )
        seen = f"It holds no image file, only others: {kinds}"
    else:
        seen = "It is empty"
    return DataError(
        "the folder has none of the images that the table names",
        where=root,
        why=f"{seen}; the table expects names such as {', '.join(map(_shown, expected))}",
        remedy="Point dataset.images at the folder that holds them, at any depth, "
        "or at the folder with NIH's images_*.tar.gz",
    )


def _shown(name: str) -> str:
    """A file name that can be printed: other bytes than UTF-8, and control characters, escaped."""
    printable = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in printable
    )
