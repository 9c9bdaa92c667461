"""Find images: one walk over a folder of any layout.

NIH's own ``images_001/images/…``, one flat folder, nested folders, links to folders or files, or
the ``images_*.tar.gz`` as downloaded.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from core.data.images.folder_walk import Names, Walk, look_into_archives, walk_folders
from core.data.images.image_file import ImageFile
from core.data.tables.label_columns import FileNames
from core.data.tables.text_table import collector_paused
from core.errors import DataError
from core.in_slices import LooseThreads, waited

_EXAMPLES = 5
_SECONDS_BETWEEN_REPORTS = 0.1
_ASKED_AT_ONCE = 100  # files, between two looks at the clock
_SLOW_SECONDS = 100e-6  # a status from a disk of this machine takes 2 to 5 µs
_THREADS_OF_A_SLOW_DISK = 16


@dataclass(frozen=True)
class FoundImages:
    """The result of a walk.

    ``files`` has the table's images that were found; ``extra`` counts image files that are not in
    the table; ``shadowed`` counts files whose name was found earlier in another folder; ``folders``
    counts the table's images by folder or archive, relative to the root.
    """

    files: Mapping[str, ImageFile]
    extra: int
    extra_examples: tuple[str, ...]
    shadowed: int
    folders: Mapping[str, int]


@collector_paused()
def find_images(
    root: Path,
    names: Collection[str],
    *,
    files: FileNames | None = None,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> FoundImages:
    """Find the images that a label table names, under ``root``.

    Folders are walked in sorted order, so of two files with one name the same is always used. Links
    are followed, each folder once. Hidden files and folders are skipped (snapshots of a file
    server, a Mac's ``._`` companions). Archives are opened only if some images are not found as
    loose files.

    Args:
        root: the folder to search.
        names: file names in the table, compared exactly; with folders
            (``patient1/study1/view1.jpg``) they are the end of a file's path.
        files: how the names become files, if they are not the end of a path.
        listings: folder for cached archive listings; None to cache none.
        progress: called with the number of images found so far, a few times a second; it may raise.

    Raises:
        DataError: ``root`` is not a folder; it has no image of the table; an archive is damaged; or
            images are missing and a folder could not be read.
    """
    if not root.is_dir():
        raise DataError(
            "the image folder is not a folder" if root.exists() else "there is no such folder",
            where=root,
            remedy="Set dataset.images to the folder that contains the images, at any depth",
        )
    names = names if isinstance(names, set | frozenset | dict) else frozenset(names)
    walk = Walk(Names(names, None if files is None else files.key_of), progress)
    walk_folders(root, walk)
    if len(walk.files) < len(names):
        look_into_archives(walk, listings)
    if len(walk.files) < len(names) and walk.unreadable:
        raise _unreadable_folders(walk, len(names) - len(walk.files))
    if names and not walk.files:
        raise _nothing_found(root, walk, names)
    if progress is not None:
        progress(len(walk.files))
    return FoundImages(
        files={name: walk.files[name] for name in sorted(walk.files)},
        extra=len(walk.extra_names),
        extra_examples=tuple(sorted(_shown(name) for name in walk.extra_names)[:_EXAMPLES]),
        shadowed=walk.shadowed,
        folders={name.rstrip("/") or ".": count for name, count in sorted(walk.folders.items())},
    )


def ask_statuses(files: Iterable[ImageFile], progress: Callable[[int], None] | None = None) -> None:
    """Ask the file system for the size and signature of each file, before they are needed.

    Many are asked at once where each answer takes long, as on a file server.

    Args:
        files: those whose status is known are left alone.
        progress: called with the number of files a few times a second; it may raise.
    """
    waiting = [file for file in files if file.status is None]
    due, is_slow = 0.0, False

    def tell() -> None:
        nonlocal due
        if progress is not None and time.monotonic() > due:
            due = time.monotonic() + _SECONDS_BETWEEN_REPORTS
            progress(len(waiting))

    asked: deque[Future[None]] = deque()
    with LooseThreads(_THREADS_OF_A_SLOW_DISK, "status") as threads:
        for start in range(0, len(waiting), _ASKED_AT_ONCE):
            some = waiting[start : start + _ASKED_AT_ONCE]
            if is_slow:
                asked.append(threads.submit(_ask, some))
                if len(asked) > 2 * _THREADS_OF_A_SLOW_DISK:
                    waited(asked.popleft(), tell)
            else:
                began = time.monotonic()
                _ask(some)
                is_slow = time.monotonic() - began > _SLOW_SECONDS * len(some)
            tell()
        for future in asked:
            waited(future, tell)


def _ask(files: Iterable[ImageFile]) -> None:
    for file in files:
        file.ask()


def images_fingerprint(files: Mapping[str, ImageFile] | Iterable[ImageFile]) -> str:
    """A digest of the images' names and sizes in bytes, independent of their folder."""
    each = files.values() if isinstance(files, Mapping) else files
    digest = hashlib.blake2b(digest_size=16)
    for name, num_bytes in sorted((file.name, file.num_bytes) for file in each):
        digest.update(f"{name}\0{num_bytes}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _unreadable_folders(walk: Walk, missing: int) -> DataError:
    folder, error = walk.unreadable[0]
    others = len(walk.unreadable) - 1
    more = f" (and {others:,} other {'folder' if others == 1 else 'folders'})" if others else ""
    return DataError(
        f"this folder can't be read{more}: {error.strerror}",
        where=_shown(folder),
        why=f"{missing:,} images of the table were not found elsewhere and may be in this folder",
        remedy="Make it readable (chmod u+rx), or set dataset.images to a folder without it",
    )


_LINK = (
    "; or, if the table names what DICOM headers hold (an accession number, a UID), set "
    "dataset.image_from to dicom"
)


def _nothing_found(root: Path, walk: Walk, names: Collection[str]) -> DataError:
    expected = sorted(names)[:3]
    if walk.extra_names:
        examples = ", ".join(_shown(name) for name in sorted(walk.extra_names)[:3])
        seen = f"It contains {len(walk.extra_names):,} other image files, such as {examples}"
    elif walk.other_files:
        kinds = ", ".join(
            f"{count:,} {_shown(suffix) or 'without extension'}"
            for suffix, count in walk.other_files.most_common(4)
        )
        seen = f"It contains no image files, only others: {kinds}"
    else:
        seen = "It is empty"
    return DataError(
        "the folder has none of the table's images",
        where=root,
        why=f"{seen}; the table expects names such as {', '.join(map(_shown, expected))}",
        remedy="Set dataset.images to the folder that contains them, at any depth, or to the "
        "folder with NIH's images_*.tar.gz; or name the table of these images as dataset.labels"
        + (_LINK if walk.may_hold_dicom else ""),
        changes=("dataset.image_from=dicom",) * walk.may_hold_dicom,
    )


def _shown(name: str) -> str:
    """A printable file name: non-UTF-8 bytes and control characters are escaped."""
    printable = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in printable
    )
