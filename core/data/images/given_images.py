"""The images that somebody names: files, folders, archives, or a list of them; no table needed."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.data.images.archives import TAR_SUFFIXES, is_image_archive, stream_images
from core.data.images.decode import too_large_reason
from core.data.images.dicom_file import MAGIC_END, is_dicom
from core.data.images.folder_walk import folder_identity
from core.data.images.zip_archives import ZIP_SUFFIX, stream_zipped
from core.data.tables.image_suffixes import IMAGE_SUFFIXES
from core.errors import DataError
from core.regular_file import open_regular

FROM_STDIN = "-"
"""Stands for the lines of a list, each a file, a folder or an archive."""

_ARCHIVES = (*TAR_SUFFIXES, ZIP_SUFFIX)
_TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".parquet")
_LISTS = (".txt", ".lst", ".list")
# DICOM files of a scanner have no ending, or the last number of an identifier.
_NO_SUFFIX = re.compile(r"[^.]*|.*\.\d+")


@dataclass(frozen=True)
class GivenImage:
    """One image: a loose file, or the content of an archive's member.

    Attributes:
        file: its path as it was given; for a member the archive's path, a slash, the path inside.
        path: of the file or the archive.
        content: its bytes if it is in an archive.
        refusal: why it is not read.
    """

    file: str
    path: Path
    content: bytes | None = None
    refusal: str | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes that it holds in memory before it is decoded."""
        return 0 if self.content is None else len(self.content)


@dataclass
class GivenImages:
    """Walks what was given, once, in its order, as far as it is asked to.

    A folder is listed when its turn comes, sorted by name, its own files before its subfolders';
    what is added later is not seen. Links are followed, each folder once. Hidden files are skipped.

    Attributes:
        paths: files, folders and archives; ``-`` for the lines.
        lines: of the list; only read where ``-`` stands.
        is_wanted: asked once for each image by its ``file``; others are passed over unread.
        others: files of folders that are no images, by ending.
        empty: folders and archives without an image.
        unreadable: folders that can't be listed, with the reason.
        passes_archives: leave archives closed, and only count them in ``archives``.
    """

    paths: Iterable[str]
    lines: Iterable[str] = ()
    is_wanted: Callable[[str], bool] = lambda _: True
    others: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    passes_archives: bool = False
    archives: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def __iter__(self) -> Iterator[GivenImage]:
        for path in self.paths:
            if path == FROM_STDIN:
                for line in self.lines:
                    if line.strip():
                        yield from self._of(line.rstrip("\r\n"))
            else:
                yield from self._of(path)

    def _of(self, text: str) -> Iterator[GivenImage]:
        path = Path(text)
        suffix = path.suffix.lower()
        if path.is_dir():
            yield from self._told_if_empty(text, self._of_folder(path))
        elif path.name.lower().endswith(_ARCHIVES):
            yield from self._told_if_empty(text, self._of_archive(path))
        elif self.is_wanted(str(path)):
            refusal = None
            if suffix in _TABLES:
                refusal = "is a table, not an image"
            elif suffix in _LISTS:
                refusal = f"is text, not an image; a list of paths is read by {FROM_STDIN} < FILE"
            yield GivenImage(str(path), path, refusal=refusal)

    def _told_if_empty(self, text: str, images: Iterator[GivenImage]) -> Iterator[GivenImage]:
        asked, is_wanted = 0, self.is_wanted

        def counting(file: str) -> bool:
            nonlocal asked
            asked += 1
            return is_wanted(file)

        self.is_wanted = counting
        try:
            yield from images
        finally:
            self.is_wanted = is_wanted
        if not asked:
            self.empty.append(text)

    def _of_folder(self, root: Path) -> Iterator[GivenImage]:
        waiting = [root]
        while waiting:  # a stack instead of recursion, for any depth
            folder = waiting.pop()
            identity = folder_identity(folder)
            if identity is None or identity in self._seen:
                continue  # a link to a parent, or a folder that was given twice
            self._seen.add(identity)
            try:
                names, below = _listed(folder)
            except OSError as error:
                self.unreadable[str(folder)] = error.strerror or str(error)
                continue
            while names:
                path = folder / names.pop()
                if is_image_archive(path.name) or _is_image_zip(path.name):
                    yield from self._of_archive(path)
                elif not _is_image(path):
                    self.others[path.suffix.lower()] += 1
                elif self.is_wanted(str(path)):
                    yield GivenImage(str(path), path)
            waiting += [folder / name for name in below]

    def _of_archive(self, path: Path) -> Iterator[GivenImage]:
        self.archives += 1
        if self.passes_archives:
            return

        def is_wanted(member: str) -> bool:
            return self.is_wanted(f"{path}/{member}")

        by = stream_zipped if path.name.lower().endswith(ZIP_SUFFIX) else stream_images
        try:
            for member, content in by(path, is_wanted):
                file = f"{path}/{member}"
                if isinstance(content, int):
                    yield GivenImage(file, path, refusal=too_large_reason(content))
                elif isinstance(content, str):
                    yield GivenImage(file, path, refusal=content)
                else:
                    yield GivenImage(file, path, content)
        except DataError as error:  # what follows the damage is lost: a row says so
            if self.is_wanted(str(path)):
                yield GivenImage(str(path), path, refusal=error.what)


def count_images(paths: Sequence[str]) -> int | None:
    """How many images these paths have now; None where only reading them tells: archives, lists."""
    if FROM_STDIN in paths:
        return None
    count = 0

    def is_wanted(_: str) -> bool:
        nonlocal count
        count += 1
        return False

    images = GivenImages(paths, is_wanted=is_wanted, passes_archives=True)
    for _ in images:
        raise AssertionError("nothing is wanted")
    return None if images.archives else count


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of files and of subfolders, both in reverse order, to be taken from the end."""
    names: list[str] = []
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (below if _is_folder(entry) else names).append(entry.name)
    return sorted(names, reverse=True), sorted(below, reverse=True)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a circular link: its row will say so


def _is_image_zip(name: str) -> bool:
    return "image" in name.lower() and name.lower().endswith(ZIP_SUFFIX)


def _is_image(path: Path) -> bool:
    if path.name.lower().endswith(IMAGE_SUFFIXES):
        return True
    if _NO_SUFFIX.fullmatch(path.name) is None:
        return False
    try:
        with open_regular(path) as file:
            return is_dicom(file.read(MAGIC_END))
    except OSError:
        return False
