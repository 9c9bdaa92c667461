"""The walk over a folder: each entry seen once, in an order that is always the same."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, islice
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from core.data.cache.file_signature import file_signature
from core.data.images.archives import is_image_archive, list_archive
from core.data.images.image_file import ImageFile
from core.data.images.list_folders import is_skipped
from core.data.images.listing_ahead import listed_ahead
from core.data.tables.image_suffixes import DICOM_SUFFIXES, IMAGE_SUFFIXES

_COPIES_KEPT = 4
_SECONDS_BETWEEN_REPORTS = 0.1
_LISTED_AT_ONCE = 1000  # entries, between two looks at the clock
_Entry = os.DirEntry[str]
_NAME = attrgetter("name")
_FOLDERS_ALONE = 200  # listed by ourselves; where many more wait then, other processes help
_SLOW_SECONDS = 500e-6  # a folder; on a disk of this machine it takes 10 to 50 µs
_MOST_CORES = 4
_PROCESSES_OF_A_SLOW_DISK = 16


class NamesOfFiles(Protocol):
    """Gives files their names in the data set."""

    def in_folder(self, folder: str) -> Callable[[str], str | None]:
        """The name of a file of this folder in the data set; None if it has none."""


class Names:
    """The table's names, and how a file's path is matched with them.

    An end of a path (``patient1/study1/view1.jpg``) stands for its key; without ``key_of`` the
    names are such ends themselves. An end without a suffix stands for that of an image with any:
    ``<id>`` for ``<id>.dicom``, as in VinDr, RSNA and SIIM.
    """

    def __init__(self, names: Collection[str], key_of: Mapping[str, str] | None) -> None:
        self.key_of = dict(zip(names, names, strict=True)) if key_of is None else key_of
        suffixes = IMAGE_SUFFIXES
        self.has_bare_ends = not all(
            end.endswith(suffixes) or end.lower().endswith(suffixes) for end in self.key_of
        )
        self.depths = sorted({end.count("/") for end in self.key_of}, reverse=True)
        """How many folders ends have, the most first."""

    def in_folder(self, folder: str) -> Callable[[str], str | None]:
        """The key of a file of this folder by its name; None if it isn't in the table.

        The longest end that is known wins. Made once per folder, asked once per file.
        """
        key_of = self.key_of
        if len(self.depths) == 1 and not self.has_bare_ends:  # most sets, and the fastest
            only = _end(folder, self.depths[0])
            return (lambda name: key_of.get(only + name)) if only else key_of.get
        ends = [_end(folder, depth) for depth in self.depths]

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


def _end(folder: str, depth: int) -> str:
    """The last ``depth`` folders, or all there are, each with its slash."""
    return "/".join(folder.rsplit("/", depth)[-depth:]) + "/" if depth else ""


@dataclass
class Walk:
    """The state of a walk."""

    names: NamesOfFiles
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

    @property
    def may_hold_dicom(self) -> bool:
        """Whether most files are named as DICOM files are, by a suffix or by none."""
        named_so = sum(name.lower().endswith(DICOM_SUFFIXES) for name in self.extra_names)
        named_so += sum(
            number
            for suffix, number in self.other_files.items()
            if not suffix or suffix[1:].isdigit()
        )
        return 2 * named_so > len(self.extra_names) + self.other_files.total()

    def take(self, file: ImageFile) -> bool:
        """Keep the first file of a name; count the others."""
        first = self.files.setdefault(file.name, file)
        if first is file:
            return True
        self.shadowed += 1
        if file.member is None and len(first.copies) < _COPIES_KEPT:
            first.copies = (*first.copies, file.place)
        return False

    def tell(self, seen_in_archive: int = 0) -> None:
        """Call the caller's progress a few times a second, even if nothing is found: it may
        raise."""
        if time.monotonic() > self.due:
            self.due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
            if self.progress is not None:
                self.progress(len(self.files) + seen_in_archive)


class _Visited:
    """The folders that were seen: two paths lead to one of them only by a link.

    So no folder's status is asked before a link is followed; then, that of all.
    """

    def __init__(self, root: str) -> None:
        self._places = [root]
        self._identities: set[tuple[int, int] | None] | None = None

    def is_new(self, folder: str, *, by_link: bool = False) -> bool:
        if self._identities is None:
            if not by_link:
                self._places.append(folder)
                return True
            self._identities = {folder_identity(place) for place in self._places}
        identity = folder_identity(folder)
        if identity is None or identity in self._identities:
            return False  # a circular link or one to a parent, or gone since the listing
        self._identities.add(identity)
        return True


def walk_folders(root: Path, walk: Walk) -> None:
    """See every file under ``root``; links are followed, each folder once.

    Linked folders come last: a folder that is also there itself is seen under its own path, which
    is what a table with paths names.
    """
    top = str(root.absolute())
    looked = _Look(walk, len(top) + (not top.endswith("/")), _Visited(top))
    cores = min(len(os.sched_getaffinity(0)), _MOST_CORES)
    looked.into([top], processes=cores + 1 if cores > 1 else 1)  # one more, as each waits at times
    while looked.links:
        folder = looked.links.popleft()
        if looked.visited.is_new(folder, by_link=True):
            looked.into([folder])


@dataclass
class _Look:
    """Looks into folders."""

    walk: Walk
    begins_at: int
    """Where, in a folder's path, its place in the root begins."""
    visited: _Visited
    links: deque[str] = field(default_factory=deque)
    """Links to folders."""

    def into(self, waiting: list[str], processes: int = 0) -> None:
        """Look at the files of these folders, and of those below.

        Args:
            waiting: a stack instead of recursion, for any depth; a folder's files come first, then
                its subfolders by name.
            processes: that may list many folders ahead; 0 where links were followed, as then each
                folder may have been seen.
        """
        began = time.monotonic()
        for number in count():
            if not waiting:
                return
            if number >= _FOLDERS_ALONE and len(waiting) > _FOLDERS_ALONE and processes:
                if time.monotonic() - began > _SLOW_SECONDS * number:
                    processes = _PROCESSES_OF_A_SLOW_DISK
                if processes > 1:
                    self._ahead(waiting, processes)
                    return
            waiting += reversed(self._below(waiting.pop()))

    def _ahead(self, waiting: list[str], processes: int) -> None:
        with closing(listed_ahead(waiting, processes, self.walk.tell)) as folders:
            for folder, names in folders:
                self.walk.tell()
                self.visited.is_new(folder)  # no link was followed yet, so all are
                if names is None:
                    self.into([folder])
                elif names:
                    self._take(folder, names)

    def _below(self, folder: str) -> list[str]:
        """Look at a folder's files; its subfolders, those that are new."""
        try:
            entries = _entries(folder, self.walk)
        except OSError as error:
            self.walk.unreadable.append((folder, error))
            return []
        relative = self._relative(folder)
        below = _look_through(entries, relative, folder, self.walk)
        if not below:
            return []
        linked = [one for one in below if one.is_symlink()]
        self.links += [one.path for one in linked]
        own = [one for one in below if not one.is_symlink()] if linked else below
        return [one.path for one in own if self.visited.is_new(one.path)]

    def _take(self, folder: str, names: list[str]) -> None:
        """Take the plain files of a folder that the table names, and count the others."""
        walk, files = self.walk, self.walk.files
        taken = 0
        name_of = walk.names.in_folder(folder)
        for name in names:
            if (wanted := name_of(name)) is None:
                _count_other(name, f"{folder}/{name}", self._relative(folder), walk)
            elif wanted not in files:
                files[wanted] = ImageFile(wanted, f"{folder}/{name}")
                taken += 1
            else:
                walk.take(ImageFile(wanted, f"{folder}/{name}"))
        if taken:
            walk.folders[self._relative(folder)] += taken

    def _relative(self, folder: str) -> str:
        place = folder[self.begins_at :]
        return f"{place}/" if place else ""


def _entries(folder: str, walk: Walk) -> list[_Entry]:
    """A folder's entries by name, with progress: so may an empty folder take a while."""
    walk.tell()
    with os.scandir(folder) as listing:
        entries = list(islice(listing, _LISTED_AT_ONCE))
        if len(entries) == _LISTED_AT_ONCE:
            while some := list(islice(listing, _LISTED_AT_ONCE)):
                entries += some
                walk.tell()
    if len(entries) > 1:
        entries.sort(key=_NAME)
    return entries


def _look_through(entries: list[_Entry], relative: str, folder: str, walk: Walk) -> list[_Entry]:
    """Take the files of a folder that the table names, count the others, return its subfolders."""
    name_of = walk.names.in_folder(folder)
    below: list[_Entry] = []
    taken = 0
    for entry in entries:
        name = entry.name
        if is_skipped(name):
            continue
        try:
            if entry.is_symlink():
                walk.tell()  # on a slow file server each may take a while
            if entry.is_dir():
                below.append(entry)
            elif (wanted := name_of(name)) is None:
                if entry.is_file():
                    _count_other(name, entry.path, relative, walk)
            elif entry.is_file():  # no dangling link, pipe or socket
                taken += walk.take(ImageFile(wanted, entry.path))
        except OSError:
            continue  # a circular link, or gone since the listing: counts as missing
    if taken:
        walk.folders[relative] += taken
    return below


def _count_other(name: str, path: str, relative: str, walk: Walk) -> None:
    if is_image_archive(name):
        walk.archives.append((f"{relative}{name}", path))
    elif not name.lower().endswith(IMAGE_SUFFIXES):
        walk.other_files[Path(name).suffix.lower()] += 1
    else:
        walk.extra_names.append(f"{relative}{name}")


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
                image = ImageFile(name, path, member.path, (member.num_bytes, signature))
                if walk.take(image):
                    walk.folders[relative] += 1


def folder_identity(folder: str | Path) -> tuple[int, int] | None:
    """What all links to a folder have in common; None if it is gone or a circular link."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - folders are text here, and many
    except OSError:
        return None
    return status.st_dev, status.st_ino
