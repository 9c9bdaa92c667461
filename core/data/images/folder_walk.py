"""The walk over a folder: each entry seen once, in an order that is always the same."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from pathlib import Path

from core.data.cache.file_signature import file_signature
from core.data.images.archives import is_image_archive, list_archive
from core.data.images.image_file import ImageFile
from core.data.tables.image_suffixes import IMAGE_SUFFIXES

_COPIES_KEPT = 4
_SECONDS_BETWEEN_REPORTS = 0.1
_LISTED_AT_ONCE = 1000  # entries, between two looks at the clock
_Entry = os.DirEntry[str]
_NOT_OURS = "lost+found"  # in the root of every ext4 disk, readable by root alone


class Names:
    """The table's names, and how a file's path is matched with them.

    An end of a path (``patient1/study1/view1.jpg``) stands for its key; without ``key_of`` the
    names are such ends themselves. An end without a suffix stands for that of an image with any:
    ``<id>`` for ``<id>.dicom``, as in VinDr, RSNA and SIIM.
    """

    def __init__(self, names: Collection[str], key_of: Mapping[str, str] | None) -> None:
        self.key_of = {name: name for name in names} if key_of is None else key_of
        self.has_bare_ends = not all(end.lower().endswith(IMAGE_SUFFIXES) for end in self.key_of)
        self.deepest = max((end.count("/") for end in self.key_of), default=0)
        """The most folders that an end has."""

    def in_folder(self, folder: str) -> Callable[[str], str | None]:
        """The key of a file of this folder by its name; None if it isn't in the table.

        The longest end that is known wins. Made once per folder, asked once per file.
        """
        key_of = self.key_of
        parts = folder.split("/")[-self.deepest :] if self.deepest else []
        ends = ["".join(f"{part}/" for part in parts[start:]) for start in range(len(parts) + 1)]

        def known(name: str) -> str | None:
            for end in ends:
                if (key := key_of.get(end + name)) is not None:
                    return key
            return None

        def known_without_suffix(name: str) -> str | None:
            key = known(name)
            if key is None and name.lower().endswith(IMAGE_SUFFIXES):
                key = known(name.rpartition(".")[0])
            return key

        return known_without_suffix if self.has_bare_ends else known


@dataclass
class Walk:
    """The state of a walk."""

    names: Names
    progress: Callable[[int], None] | None
    files: dict[str, ImageFile] = field(default_factory=dict)
    extra_names: list[str] = field(default_factory=list)
    shadowed: int = 0
    folders: Counter[str] = field(default_factory=Counter)
    archives: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, OSError]] = field(default_factory=list)
    other_files: Counter[str] = field(default_factory=Counter)
    due: float = field(default_factory=lambda: time.monotonic() + _SECONDS_BETWEEN_REPORTS)
    """When the caller is told of progress next."""

    def take(self, file: ImageFile, folder: str) -> None:
        """Keep the first file of a name; count the others."""
        first = self.files.setdefault(file.name, file)
        if first is file:
            self.folders[folder] += 1
            return
        self.shadowed += 1
        if file.member is None and len(first.copies) < _COPIES_KEPT:
            self.files[file.name] = first._replace(copies=(*first.copies, file.place))

    def tell(self, seen_in_archive: int = 0) -> None:
        """Call the caller's progress a few times a second, even if nothing is found: it may
        raise."""
        if time.monotonic() > self.due:
            self.due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
            if self.progress is not None:
                self.progress(len(self.files) + seen_in_archive)


def walk_folders(root: Path, walk: Walk) -> None:
    """See every file under ``root``; links are followed, each folder once."""
    seen = {_identity(root.stat())}
    # A stack instead of recursion, for any depth; sorted so that a folder's files come first and
    # then its subfolders, by name.
    waiting: list[tuple[str, str]] = [("", str(root))]
    while waiting:
        relative, folder = waiting.pop()
        try:
            entries = _entries(folder, walk)
        except OSError as error:
            walk.unreadable.append((folder, error))
            continue
        below: list[tuple[str, str]] = []
        see = _file_taker(relative, folder, walk)
        for entry in entries:
            walk.tell()  # on a slow file server each may take a while
            if entry.name.startswith(".") or entry.name == _NOT_OURS:
                continue
            identity = _folder_identity(entry)
            if identity is None:
                see(entry)
            elif identity not in seen:  # two links to one folder, or a link to a parent
                seen.add(identity)
                below.append((f"{relative}{entry.name}/", entry.path))
        waiting.extend(reversed(below))


def _entries(folder: str, walk: Walk) -> list[_Entry]:
    """A folder's entries by name, with progress: so may an empty folder take a while."""
    walk.tell()
    entries: list[_Entry] = []
    with os.scandir(folder) as listing:
        while some := list(islice(listing, _LISTED_AT_ONCE)):
            entries += some
            walk.tell()
    entries.sort(key=attrgetter("name"))
    return entries


def _file_taker(relative: str, folder: str, walk: Walk) -> Callable[[_Entry], None]:
    """A function that takes a file of this folder, or counts it."""
    name_of = walk.names.in_folder(os.path.abspath(folder))  # noqa: PTH100 - resolves no links
    shown = relative.rstrip("/") or "."

    def see(entry: _Entry) -> None:
        name = entry.name
        wanted = name_of(name)
        if wanted is None and not _may_be_image(name):
            walk.other_files[Path(name).suffix.lower()] += 1
            return
        try:
            if not entry.is_file():
                return  # a dangling link, a pipe, a socket
            if wanted is not None:
                status = entry.stat()
                signature = file_signature(status)
                walk.take(ImageFile(wanted, entry.path, None, status.st_size, signature), shown)
                return
        except OSError:
            return  # gone or unreachable since the listing: counts as missing
        if is_image_archive(name):
            walk.archives.append((f"{relative}{name}", entry.path))
        else:
            walk.extra_names.append(f"{relative}{name}")

    return see


def _may_be_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) or is_image_archive(name)


def look_into_archives(walk: Walk, listings: Path | None) -> None:
    """Search the archives after the loose files, which therefore take precedence."""
    for relative, path in walk.archives:
        listing = list_archive(Path(path), listings, walk.tell)
        name_in = lru_cache(maxsize=None)(walk.names.in_folder)
        for member in listing.members:
            folder, _, last = member.path.rpartition("/")
            name = name_in(folder)(last)
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
        return None  # a circular link, or gone since the listing


def folder_identity(folder: Path) -> tuple[int, int] | None:
    """What all links to a folder have in common; None if it is gone or a circular link."""
    try:
        return _identity(folder.stat())
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
