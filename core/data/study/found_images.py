"""The images of an index: looked for in its folder, and what their headers say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.images.image_files import FoundImages, ask_statuses, find_images
from core.data.study.headers import with_headers
from core.data.study.linked_images import link_images, link_known
from core.data.study.sources import DataSources
from core.data.study.study_index import StudyIndex
from core.data.study.together import table_of
from core.data.tables.label_columns import LabelTable
from core.data.tables.text_file import Count, count_of
from core.errors import DataError, RecipeError


def with_images(
    index: StudyIndex,
    sources: DataSources,
    *,
    partial: bool,
    listings: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> StudyIndex:
    """A labels-only index joined with the images that were found.

    Args:
        index: of the whole label table.
        sources: names the folder of images.
        partial: some of the images are enough.
        listings: folder for the listings of archives.
        progress: called with the number of images found so far.

    Raises:
        RecipeError: no folder of images is named.
        DataError: see ``find_images``; also missing images if ``partial`` is false.
    """
    search = _Search(partial, listings, progress)
    if sources.each:
        return _each_with_images(index, sources, search)
    if sources.images is None:
        raise RecipeError("no folder of images is named", where="dataset.images")
    return _with_images(index, sources.images, search)


@dataclass(frozen=True)
class _Search:
    """How images are looked for, see ``with_images``."""

    partial: bool
    listings: Path | None
    progress: Callable[[int], None] | None
    key: str = "dataset"
    """The data set's section in the recipe, for messages."""


def _with_images(index: StudyIndex, folder: Path, search: _Search) -> StudyIndex:
    just_read = None
    if index.table.images_from_header:
        linked = link_images(index.table, folder, search.listings, search.progress)
        index, found = dataclasses.replace(index, table=linked.table), linked.found
        just_read = linked.just_read
    else:
        found = find_images(
            folder,
            frozenset(index.images),
            files=index.table.files,
            listings=search.listings,
            progress=search.progress,
        )
        ask_statuses(found.files.values(), search.progress)
    joined = _joined(index, found, folder, search)
    table, rows = with_headers(
        joined.table, joined.files, search.listings, search.progress, just_read=just_read
    )
    if table is joined.table:
        return joined
    counts = (*joined.counts, *table.counts[len(joined.table.counts) :])
    said = dataclasses.replace(joined, table=table, counts=counts)
    return said if len(rows) == len(table.images_N) else said.take(rows)


def with_known_headers(index: StudyIndex, sources: DataSources, listings: Path) -> StudyIndex:
    """A labels-only index with what an earlier run read from its images' headers.

    Where nothing is known of the files that a table is linked to, they are read again if they are
    there.

    Raises:
        DataError: see ``link_images``.
    """
    if index.each:
        each = {
            name: with_headers(_known(own, sources.each[name], listings), {}, listings)[0]
            for name, own in index.each.items()
        }
        table = table_of(each, index.findings)
        return dataclasses.replace(index, table=table, counts=table.counts, each=each)
    table, _ = with_headers(_known(index.table, sources, listings), {}, listings)
    return dataclasses.replace(index, table=table)


def _known(table: LabelTable, sources: DataSources, listings: Path) -> LabelTable:
    linked = link_known(table, listings)
    if linked.images_from_header and sources.images is not None:
        linked = link_images(table, sources.images, listings).table
    return linked


def _each_with_images(index: StudyIndex, sources: DataSources, search: _Search) -> StudyIndex:
    """The index of several data sets, each joined with the images found in its own folder."""
    parts: dict[str, StudyIndex] = {}
    for number, (name, at) in enumerate(sources.each.items()):
        if at.images is None:
            raise RecipeError("no folder of images is named", where=f"datasets ({name})")
        own = index.each[name]
        alone = StudyIndex(own, own.findings, counts=own.counts)
        own_search = dataclasses.replace(search, key=f"datasets.{number}")
        parts[name] = _with_images(alone, at.images, own_search)
    each = {
        name: dataclasses.replace(
            part.table, counts=tuple(one for one in part.counts if one.reason != NOT_FOUND)
        )
        for name, part in parts.items()
    }
    table = table_of(each, index.findings)
    absent = _under_their_source({name: part.absent for name, part in parts.items()})
    counts = [count_of(NOT_FOUND, sorted(absent))] if absent else []
    files = {
        f"{name}/{key}": dataclasses.replace(file, name=f"{name}/{key}")
        for name, part in parts.items()
        for key, file in part.files.items()
    }
    together = dataclasses.replace(
        index,
        table=table,
        files=dict(sorted(files.items())),
        counts=(*table.counts, *counts),
        absent=absent,
        missing_images=sum(part.missing_images or 0 for part in parts.values()),
        extra_images=sum(part.extra_images or 0 for part in parts.values()),
        each=each,
    )
    wanted = set(index.images.tolist())  # an index of some of the rows stays one
    wanted.update(
        f"{name}/{image}"
        for name, own in index.each.items()
        if own.images_from_header
        for image in each[name].images_N
    )
    rows = np.flatnonzero([name in wanted for name in together.images])
    return together if len(rows) == len(together.images) else together.take(rows)


def _under_their_source(names: Mapping[str, Collection[str]]) -> frozenset[str]:
    return frozenset(f"{source}/{name}" for source, several in names.items() for name in several)


NOT_FOUND = "in the table, but not found"


def _joined(index: StudyIndex, found: FoundImages, root: Path, search: _Search) -> StudyIndex:
    """The index of the images that were found."""
    is_there_N = np.fromiter((name in found.files for name in index.images), bool)
    absent = index.images[~is_there_N]
    counts = list(index.counts)
    if len(absent):
        if not search.partial:
            raise _images_missing(absent, found, root, search.key)
        counts.append(count_of(NOT_FOUND, absent))
    if found.extra:
        reason = "image that the table does not name, ignored"
        counts.append(Count(reason, found.extra, found.extra_examples))
    if found.shadowed:
        counts.append(Count("image found more than once, the first one used", found.shadowed))
    whole = dataclasses.replace(
        index,
        files=found.files,
        counts=tuple(counts),
        absent=frozenset(absent),
        missing_images=len(absent),
        extra_images=found.extra,
    )
    return whole.take(np.flatnonzero(is_there_N)) if len(absent) else whole


_FOLDERS_SHOWN = 14


def _images_missing(
    absent: npt.NDArray[np.object_], found: FoundImages, root: Path, key: str
) -> DataError:
    folders = sorted(found.folders.items())
    shown = ", ".join(f"{folder} {count:,}" for folder, count in folders[:_FOLDERS_SHOWN])
    more = f" and {len(folders) - _FOLDERS_SHOWN} more" if len(folders) > _FOLDERS_SHOWN else ""
    total = len(absent) + len(found.files)
    return DataError(
        f"{len(absent):,} of the table's {total:,} images are missing, such as "
        f"{', '.join(absent[:3])}. Found {len(found.files):,}: {shown}{more}",
        where=root,
        why="A result on some of the images is not one on all of them, so it must be requested",
        remedy=f"Fetch the rest, or train on those found with --set {key}.partial=true.",
    )
