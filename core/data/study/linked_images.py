"""Tables that name no file but what DICOM headers hold: an accession number, or a UID.

A hospital's archive exports files such as ``DICOM/0000A1/IM000003``, and its report system a table
of accession numbers. The headers link both; a row of a study stands for each of its images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.images.dicom_header import IDENTIFIERS, read_dicom_header
from core.data.images.folder_walk import Walk, walk_folders
from core.data.images.image_file import ImageFile
from core.data.images.image_files import FoundImages, ask_statuses
from core.data.images.refusal import UndecodableImage
from core.data.study.headers import Known, known_row, table_identity
from core.data.tables.image_suffixes import DICOM_SUFFIXES
from core.data.tables.label_columns import LabelTable
from core.errors import DataError
from core.regular_file import MOST_JSON_BYTES, read_regular
from core.store.files import write_json

_VERSION = 1
_EXAMPLES = 5
_MOST_BYTES = 8 * MOST_JSON_BYTES  # 400,000 files, each with up to four identifiers
_OF_A_STUDY = ("StudyInstanceUID", "AccessionNumber")

_Headers = dict[str, tuple[int, tuple[str, ...]]]
"""A file's path below the folder -> its signature, and its values of IDENTIFIERS; () if it holds no
DICOM image."""


@dataclass(frozen=True)
class LinkedImages:
    """A table whose ``images_N`` are paths below the folder, and what was found.

    Rows without a file keep their identifier, and are not among the files. ``just_read`` is what
    the headers say besides, of files that were opened.
    """

    table: LabelTable
    found: FoundImages
    just_read: Known


def link_images(
    table: LabelTable,
    folder: Path,
    listings: Path | None,
    progress: Callable[[int], None] | None = None,
) -> LinkedImages:
    """A row for each DICOM file whose header holds what a row of the table names.

    Args:
        table: ``images_N`` are what it names.
        folder: searched for DICOM files, at any depth; archives are not looked into.
        listings: where what was read is kept for the next time; None: nowhere.
        progress: called with the number of files read so far; it may raise.

    Raises:
        DataError: no header holds what the table names; a folder can't be read.
    """
    files = _files_in(folder, progress)
    ask_statuses(files.values(), progress)
    headers, just_read = _read_headers(files, _kept(table, listings), progress)
    link = _link(table, headers)
    if link is None:
        raise _nothing_linked(table, folder, headers)
    _keep(table, listings, headers)
    found = {place: files[place] for place in sorted(link.places)}
    linked = link.places.keys() | link.copies
    others = sorted(place for place, (_, named) in headers.items() if named and place not in linked)
    folders: dict[str, int] = {}
    for place in found:
        within = place.rpartition("/")[0] or "."
        folders[within] = folders.get(within, 0) + 1
    there = FoundImages(found, len(others), tuple(others[:_EXAMPLES]), len(link.copies), folders)
    return LinkedImages(_with_rows(table, link), there, just_read)


def link_known(table: LabelTable, listings: Path) -> LabelTable:
    """The same by what an earlier run read; the table itself if nothing is known."""
    if not table.images_from_header:
        return table
    link = _link(table, _kept(table, listings))
    return table if link is None else _with_rows(table, link)


class _EveryFile:
    """Names each file that may hold a DICOM image by its path below the folder."""

    def __init__(self, root: Path) -> None:
        top = str(root.absolute())
        self._begins_at = len(top) + (not top.endswith("/"))

    def in_folder(self, folder: str) -> Callable[[str], str | None]:
        place = folder[self._begins_at :]
        before = f"{place}/" if place else ""
        return lambda name: f"{before}{name}" if _may_be_dicom(name) else None


def _may_be_dicom(name: str) -> bool:
    """Scanners and archives write no suffix, or end in the last number of an identifier."""
    suffix = name.rpartition(".")[2] if "." in name else ""
    return not suffix or suffix.isdigit() or name.lower().endswith(DICOM_SUFFIXES)


def _files_in(folder: Path, progress: Callable[[int], None] | None) -> dict[str, ImageFile]:
    walk = Walk(_EveryFile(folder), progress)
    walk_folders(folder, walk)
    if walk.unreadable:
        place, error = walk.unreadable[0]
        raise DataError(
            f"this folder can't be read: {error.strerror}",
            where=place,
            why="Images that the table names may be in it",
            remedy="Make it readable (chmod u+rx), or set dataset.images to a folder without it",
        )
    if not walk.files:
        archived = f"; {len(walk.archives)} archives are not looked into" if walk.archives else ""
        raise DataError(
            f"the folder has no file that may be DICOM{archived}",
            where=folder,
            why="dataset.image_from = 'dicom' links rows to images by their headers",
            remedy="Set dataset.images to the folder of the DICOM files, at any depth.",
        )
    return walk.files


def _read_headers(
    files: Mapping[str, ImageFile], known: _Headers, progress: Callable[[int], None] | None
) -> tuple[_Headers, Known]:
    headers: _Headers = {}
    just_read: Known = {}
    for number, (place, file) in enumerate(files.items()):
        before = known.get(place)
        if before is not None and before[0] == file.signature:
            headers[place] = before
            continue
        try:
            header = read_dicom_header(file.path, file.name)
        except UndecodableImage:  # damaged, or a report: no picture to link
            header = None
        except OSError as error:
            raise DataError(
                f"can't be read ({error.strerror})",
                where=file.path,
                remedy="Make it readable, or move it away.",
            ) from error
        headers[place] = file.signature, () if header is None else header.identifiers
        if header is not None:
            just_read[place] = known_row(file.signature, header)
        if progress is not None and number % 100 == 0:
            progress(number)
    return headers, just_read


@dataclass(frozen=True)
class _Link:
    """Which rows of the table are which files.

    ``keyword`` is what the headers name them by; ``places`` has the row of each linked file;
    ``copies`` are files whose SOPInstanceUID another one has, too.
    """

    keyword: str
    places: Mapping[str, int]
    zeros_differ: bool
    copies: frozenset[str]


def _link(table: LabelTable, headers: _Headers) -> _Link | None:
    """By the identifier that links the most files; None if none links any.

    Spreadsheets drop the zeros before a number: where nothing else fits, they don't count.
    """
    named_at: dict[str, tuple[str, ...]] = {}
    first_of: dict[str, str] = {}
    for place, (_, named) in sorted(headers.items()):
        if named and first_of.setdefault(named[0] or place, place) == place:
            named_at[place] = named
    copies = frozenset(place for place, (_, named) in headers.items() if named) - named_at.keys()
    row_of = {str(name): row for row, name in enumerate(table.images_N)}
    bare = {_without_zeros(name): row for name, row in row_of.items()}
    ways: list[tuple[Mapping[str, int], Callable[[str], str]]] = [(row_of, str)]
    if len(bare) == len(row_of):  # no two rows become one
        ways.append((bare, _without_zeros))
    for rows, spelt in ways:
        links = [
            {
                place: row
                for place, named in named_at.items()
                if named[at] and (row := rows.get(spelt(named[at]))) is not None
            }
            for at in range(len(IDENTIFIERS))
        ]
        best = max(range(len(IDENTIFIERS)), key=lambda at: len(links[at]))
        if links[best]:
            return _Link(IDENTIFIERS[best], links[best], rows is not row_of, copies)
    return None


def _without_zeros(name: str) -> str:
    return name.lstrip("0") if name.isdigit() else name


def _with_rows(table: LabelTable, link: _Link) -> LabelTable:
    """The table with a row for each linked file, in the order of its rows."""
    images: dict[int, list[str]] = {}
    for place, row in link.places.items():
        images.setdefault(row, []).append(place)
    names = [images.get(row, [str(name)]) for row, name in enumerate(table.images_N)]
    rows = np.repeat(np.arange(len(names)), [len(several) for several in names])
    studies = {}
    if table.studies_N is None and link.keyword in _OF_A_STUDY:
        studies = {"studies_N": rows}
    note = f"Rows are linked to images by {link.keyword} in DICOM headers: {len(images):,} "
    note += f"{'row has' if len(images) == 1 else 'rows have'} {len(link.places):,} images."
    note += " Zeros before a number don't count." * link.zeros_differ
    return dataclasses.replace(
        table.take(rows),
        images_N=np.array([name for several in names for name in several], dtype=object),
        images_from_header=False,
        notes=(*table.notes, note),
        **studies,  # type: ignore[arg-type]
    )


def _nothing_linked(table: LabelTable, folder: Path, headers: _Headers) -> DataError:
    named = [of for _, of in headers.values() if of]
    if not named:
        return DataError(
            f"none of its {len(headers):,} files without a suffix or with a DICOM one holds an "
            "image",
            where=folder,
            why="dataset.image_from = 'dicom' links rows to images by their headers",
            remedy="Set dataset.images to the folder of the DICOM files, at any depth.",
        )
    first = next((of for of in named if all(of)), named[0])
    they_hold = ", ".join(
        f"{keyword} {value!r}" for keyword, value in zip(IDENTIFIERS, first, strict=True) if value
    )
    return DataError(
        f"no DICOM header holds what the table names, such as {str(table.images_N[0])!r}",
        where=folder,
        why=f"{len(named):,} headers were read; one holds {they_hold}",
        remedy="Name the table's column of one of these as dataset.columns.image; a spreadsheet "
        "may have rounded long numbers.",
    )


def _kept(table: LabelTable, listings: Path | None) -> _Headers:
    if listings is None:
        return {}
    try:
        kept = json.loads(read_regular(_path(table, listings), _MOST_BYTES))
        if kept["version"] != _VERSION:
            return {}
        return {
            str(place): (int(signature), tuple(map(str, named)))
            for place, (signature, named) in kept["files"].items()
            if len(named) in (0, len(IDENTIFIERS))
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # absent or damaged: read again


def _keep(table: LabelTable, listings: Path | None, headers: _Headers) -> None:
    if listings is None:
        return
    try:
        listings.mkdir(parents=True, exist_ok=True)
        write_json(_path(table, listings), {"version": _VERSION, "files": headers})
    except OSError:
        return  # read again next time


def _path(table: LabelTable, listings: Path) -> Path:
    return listings / f"links-{table_identity(table)}.json"
