"""The boxes of a study: of NIH's table or one like it, or those of a collection's own tables.

All are in pixels of an image of ``BOX_TABLE_SIZE_PX``, as NIH's are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.collections.collection import DrawnBoxes, named_in
from core.data.collections.registry import collection_of, header_of
from core.data.images.dicom_header import dicom_size
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.data.study.sources import DataSources
from core.data.study.study_index import StudyIndex
from core.data.tables.boxes import BOX_TABLE_SIZE_PX, Boxes, read_boxes
from core.data.tables.label_columns import LabelTable
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import read_table
from core.errors import DataError
from core.findings import PRESENT

Size = tuple[int, int]
"""Width and height in pixels."""

_ORIGINAL_SIZES = ("train_meta.csv", "test_meta.csv")


def study_boxes(index: StudyIndex, sources: DataSources) -> Boxes | None:
    """The boxes of a study's images; None if no table has any.

    Of a collection's own boxes only those count whose finding is present in the image by the
    recipe's rule. A collection's boxes that can't be read are a warning: its labels can be.

    Args:
        index: the images; sizes of originals are read from the files that were found.
        sources: names the tables.

    Raises:
        DataError: see ``read_boxes``, for a box table that is named or has NIH's name.
    """
    if sources.each:
        each = {
            name: _boxes_of(index.each[name], at, _files_of(index, name), _absent_of(index, name))
            for name, at in sources.each.items()
        }
        return _together({name: boxes for name, boxes in each.items() if boxes is not None})
    return _boxes_of(index.table, sources, index.files, index.absent)


def _files_of(index: StudyIndex, source: str) -> dict[str, ImageFile]:
    start = f"{source}/"
    return {
        name.removeprefix(start): file
        for name, file in index.files.items()
        if name.startswith(start)
    }


def _absent_of(index: StudyIndex, source: str) -> set[str]:
    start = f"{source}/"
    return {name.removeprefix(start) for name in index.absent if name.startswith(start)}


def _boxes_of(
    table: LabelTable,
    sources: DataSources,
    files: Mapping[str, ImageFile],
    absent: frozenset[str] | set[str],
) -> Boxes | None:
    path = sources.boxes or sources.labels
    collection = collection_of(header_of(path))
    if collection is None or collection.boxes is None:
        if sources.boxes is None:
            return None
        return read_boxes(sources.boxes, {*table.images_N.tolist(), *absent})
    try:
        drawn = collection.boxes(path)
        return _on_present(drawn, table, path, files) if len(drawn.images) else None
    except DataError as error:
        if sources.boxes is not None:
            raise
        return _without_boxes(f"the boxes of {path.name} can't be read: {error.what}")


def _without_boxes(warning: str) -> Boxes:
    none = np.empty(0)
    names = np.empty(0, dtype=object)
    return Boxes(names, names, none, none, none, none, warnings=(warning,))


def _on_present(
    drawn: DrawnBoxes, table: LabelTable, path: Path, files: Mapping[str, ImageFile]
) -> Boxes | None:
    """The boxes of findings that are present, in pixels of ``BOX_TABLE_SIZE_PX``."""
    images_B = np.array(drawn.images, dtype=object)
    findings_B = np.array(drawn.findings, dtype=object)
    row_of = {name: row for row, name in enumerate(table.images_N.tolist())}
    place_of = {name: place for place, name in enumerate(table.findings)}
    present_B = np.array(
        [
            image in row_of
            and finding in place_of
            and table.labels_NA[row_of[image], place_of[finding]] == PRESENT
            for image, finding in zip(drawn.images, drawn.findings, strict=True)
        ],
        dtype=bool,
    )
    counts: list[Count] = []
    if drawn.frame_px is None:
        sizes = _sizes(images_B[present_B].tolist(), files, path)
        if not sizes:
            return None
        known_B = np.array([image in sizes for image in drawn.images], dtype=bool)
        if (present_B & ~known_B).any():
            reason = "box on an image whose original size is not known, left out"
            counts.append(count_of(reason, images_B[present_B & ~known_B]))
        present_B &= known_B
        sides_B2 = np.array([sizes.get(image, (1, 1)) for image in drawn.images], dtype=float)
    else:
        sides_B2 = np.full((len(images_B), 2), float(drawn.frame_px))
    scale_B4 = np.tile(BOX_TABLE_SIZE_PX / sides_B2, (1, 2))
    boxes, told = _inside(images_B, findings_B, drawn.at_B4 * scale_B4, present_B)
    counts += told
    return dataclasses.replace(boxes, counts=tuple(counts), of_originals=drawn.frame_px is None)


def _inside(
    images_B: npt.NDArray[np.object_],
    findings_B: npt.NDArray[np.object_],
    at_B4: npt.NDArray[np.float64],
    wanted_B: npt.NDArray[np.bool_],
) -> tuple[Boxes, list[Count]]:
    """The wanted boxes clipped to the image; those outside it are left out."""
    low_B2 = at_B4[:, :2].clip(0, BOX_TABLE_SIZE_PX)
    high_B2 = (at_B4[:, :2] + at_B4[:, 2:]).clip(0, BOX_TABLE_SIZE_PX)
    side_B2 = high_B2 - low_B2
    kept_B = wanted_B & (side_B2 > 0).all(axis=1)
    is_cut_B = kept_B & (np.abs(side_B2 - at_B4[:, 2:]) > 1).any(axis=1)
    outside = "box outside its image, left out: were the images resized without train_meta.csv?"
    told = [
        count_of(reason, images_B[which_B])
        for reason, which_B in (
            (outside, wanted_B & ~kept_B),
            ("box cut off at the image's edge", is_cut_B),
        )
        if which_B.any()
    ]
    boxes = Boxes(
        images_B[kept_B],
        findings_B[kept_B],
        x=low_B2[kept_B, 0],
        y=low_B2[kept_B, 1],
        w=side_B2[kept_B, 0],
        h=side_B2[kept_B, 1],
    )
    return boxes, told


def _sizes(images: Sequence[str], files: Mapping[str, ImageFile], path: Path) -> dict[str, Size]:
    """The size of each image's original: of the table that tells it, else of its DICOM file."""
    sizes = _told_sizes(path)
    for image in dict.fromkeys(images):
        file = files.get(image)
        if image not in sizes and file is not None and file.member is None:
            try:
                size = dicom_size(file.path, file.name)
            except (UndecodableImage, OSError):  # the ingest tells of it
                continue
            if size is not None:
                sizes[image] = size
    return sizes


def _told_sizes(path: Path) -> dict[str, Size]:
    """From ``train_meta.csv`` (image_id, dim0 rows, dim1 columns) beside the table or above it."""
    sizes: dict[str, Size] = {}
    for folder in (path.parent, path.parent.parent):
        for told in named_in(folder, *_ORIGINAL_SIZES):
            try:
                table = read_table(told)
                column = dict(zip(table.header, table.columns, strict=True))
                rows = zip(column["image_id"], column["dim0"], column["dim1"], strict=True)
                read = {image.strip(): (int(float(w)), int(float(h))) for image, h, w in rows}
            except (DataError, KeyError, ValueError, OverflowError):
                continue  # another table of that name
            sizes |= {image: size for image, size in read.items() if min(size) > 0}
    return sizes


def _together(each: Mapping[str, Boxes]) -> Boxes | None:
    """The boxes of several data sets, whose images are named ``<source>/<key>``."""
    if not each:
        return None

    def joined(axis: str) -> npt.NDArray[np.float64]:
        return np.concatenate([getattr(boxes, axis) for boxes in each.values()])

    names = [f"{source}/{name}" for source, boxes in each.items() for name in boxes.image]
    return Boxes(
        np.array(names, dtype=object),
        np.concatenate([boxes.finding for boxes in each.values()]),
        x=joined("x"),
        y=joined("y"),
        w=joined("w"),
        h=joined("h"),
        counts=tuple(
            Count(f"{source}: {count.reason}", count.images, count.examples)
            for source, boxes in each.items()
            for count in boxes.counts
        ),
        warnings=tuple(
            f"{source}: {warning}" for source, boxes in each.items() for warning in boxes.warnings
        ),
        of_originals=any(boxes.of_originals for boxes in each.values()),
    )
