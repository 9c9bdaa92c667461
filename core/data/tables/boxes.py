"""Boxes around lesions: the box table, boxes at another image size, and lesion sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.tables.box_units import refuse_shares, unit_warnings
from core.data.tables.column_names import folded, missing_column
from core.data.tables.text_file import Count, count_of, unsafe_name
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError
from core.findings import FINDINGS, VOCABULARY, canonical_finding, did_you_mean
from core.recipe import NETWORK_STRIDE_PX

BOX_TABLE_SIZE_PX = 1024
"""Box tables, NIH's and the phantom's, are in pixels of an image this wide and high."""

SMALLEST_SEEN_PX = 8
"""A lesion below this many pixels is a smudge: after two poolings it is two cells wide."""

# NIH's header reads `Image Index,Finding Label,Bbox [x,y,w,h],,,`, which makes these six columns.
_IMAGE = ("imageindex", "image", "filename", "file")
_FINDING = ("findinglabel", "finding", "label")
_AXES = {
    "x": ("bboxx", "x"),
    "y": ("y", "bboxy"),
    "w": ("w", "width", "bboxw"),
    "h": ("h", "height", "bboxh"),
}
_ROUNDING_PX = 0.01


@dataclass(frozen=True, eq=False)
class Boxes:
    """B boxes: image name, finding, left, top, width and height, in pixels of ``size_px``.

    ``warnings`` says in sentences if their table seems to be in other units. ``of_originals``: the
    table's own pixels were those of each image's original, and were converted.
    """

    image: npt.NDArray[np.object_]
    finding: npt.NDArray[np.object_]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    w: npt.NDArray[np.float64]
    h: npt.NDArray[np.float64]
    size_px: int = BOX_TABLE_SIZE_PX
    counts: tuple[Count, ...] = ()
    warnings: tuple[str, ...] = ()
    of_originals: bool = False

    def __len__(self) -> int:
        return len(self.image)

    def of(self, image: str, finding: str) -> npt.NDArray[np.float64]:
        """The boxes of one finding on one image, K × (x, y, w, h)."""
        chosen_B = (self.image == image) & (self.finding == finding)
        axes = (self.x[chosen_B], self.y[chosen_B], self.w[chosen_B], self.h[chosen_B])
        return np.column_stack(axes)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Boxes:
        """Some of the boxes."""
        per_box = {
            field: getattr(self, field)[rows] for field in ("image", "finding", "x", "y", "w", "h")
        }
        return dataclasses.replace(self, **per_box)


@dataclass(frozen=True)
class LesionSizes:
    """Sizes of one finding's boxes at an input size, in pixels of that input.

    ``share_smaller_than_cell`` is the share of boxes whose width and height are both below one cell
    of the network's last map (NETWORK_STRIDE_PX pixels of the input); likewise
    ``share_under_8_px``. ``tenth_longer_px`` and ``median_longer_px`` are quantiles of the longer
    side: a tenth, or half, of the boxes are smaller.
    """

    boxes: int
    median_w_px: float
    median_h_px: float
    share_smaller_than_cell: float
    share_under_8_px: float
    tenth_longer_px: float
    median_longer_px: float


def read_boxes(path: Path, known_images: Collection[str] | None = None) -> Boxes:
    """Read NIH's box table, or one like it.

    Repaired and counted: the ragged header, ``Infiltrate``, boxes that reach past the image
    (clipped to its edge), boxes on images that the label table doesn't name (dropped).

    Args:
        path: the table.
        known_images: names in the label table; None: all are known.

    Raises:
        DataError: see ``read_table``; also a missing column, an unknown finding, an unsafe
            file name, a coordinate that is not a number, a box that is empty or outside the image,
            coordinates that are shares of the image.
    """
    table = read_table(path)
    images = [name.strip() for name in _cells(table, "Image Index", _IMAGE)]
    unsafe = unsafe_name(images)
    if unsafe:
        raise DataError(
            f"the file name {unsafe.name!r} contains {unsafe.holds}",
            where=table.where(unsafe.row),
            remedy="Write the bare file name.",
        )
    words = _cells(table, "Finding Label", _FINDING)
    findings = [_finding(table, row, word.strip()) for row, word in enumerate(words)]
    respelled = [
        image
        for image, word, finding in zip(images, words, findings, strict=True)
        if word.strip() != finding
    ]
    counts = list(table.counts)
    if respelled:
        counts.append(count_of("finding of a box spelled otherwise than by NIH", respelled))
    axes = {axis: _numbers(table, axis, _cells(table, axis, _AXES[axis])) for axis in _AXES}
    as_written = axes["x"], axes["y"], axes["w"], axes["h"]
    refuse_shares(path, *as_written, BOX_TABLE_SIZE_PX)
    boxes = Boxes(
        np.array(images, dtype=object),
        np.array(findings, dtype=object),
        x=axes["x"],
        y=axes["y"],
        w=axes["w"],
        h=axes["h"],
    )
    boxes, clipped = _within_image(boxes, table)
    warnings = tuple(unit_warnings(*as_written, BOX_TABLE_SIZE_PX, len(clipped)))
    if clipped:
        counts.append(count_of("box cut off at the image's edge", clipped))
    boxes = dataclasses.replace(boxes, counts=tuple(counts), warnings=warnings)
    return boxes if known_images is None else _on_known_images(boxes, known_images)


def _on_known_images(boxes: Boxes, known_images: Collection[str]) -> Boxes:
    is_known_B = np.fromiter((image in known_images for image in boxes.image), bool, len(boxes))
    if is_known_B.all():
        return boxes
    reason = "box on an image that the label table does not name"
    counts = (*boxes.counts, count_of(reason, boxes.image[~is_known_B]))
    return dataclasses.replace(boxes.take(is_known_B), counts=counts)


def boxes_at(boxes: Boxes, size_px: int) -> Boxes:
    """The same boxes in the pixels of an image of another size."""
    factor = size_px / boxes.size_px
    return dataclasses.replace(
        boxes,
        x=boxes.x * factor,
        y=boxes.y * factor,
        w=boxes.w * factor,
        h=boxes.h * factor,
        size_px=size_px,
    )


def lesion_sizes(boxes: Boxes, size_px: int) -> dict[str, LesionSizes]:
    """Finding -> sizes of its boxes at an input of ``size_px``, if it has any."""
    at_input = boxes_at(boxes, size_px)
    sizes = {}
    for finding in VOCABULARY:
        chosen_B = at_input.finding == finding
        if not chosen_B.any():
            continue
        w, h = at_input.w[chosen_B], at_input.h[chosen_B]
        longer_px = np.maximum(w, h)
        sizes[finding] = LesionSizes(
            boxes=len(w),
            median_w_px=float(np.median(w)),
            median_h_px=float(np.median(h)),
            share_smaller_than_cell=float(np.mean(longer_px < NETWORK_STRIDE_PX)),
            share_under_8_px=float(np.mean(longer_px < SMALLEST_SEEN_PX)),
            tenth_longer_px=float(np.quantile(longer_px, 0.1)),
            median_longer_px=float(np.median(longer_px)),
        )
    return sizes


def _cells(table: TextTable, usual_name: str, names: tuple[str, ...]) -> Sequence[str]:
    position_of = {folded(name): i for i, name in reversed(list(enumerate(table.header)))}
    for name in names:
        if name in position_of:
            return table.columns[position_of[name]]
    raise missing_column(
        table,
        repr(usual_name),
        "A box table has the columns Image Index, Finding Label, Bbox [x, y, w, h].",
    )


def _finding(table: TextTable, row: int, word: str) -> str:
    finding = canonical_finding(word)
    if finding is None:
        raise DataError(
            f"unknown finding {word!r}",
            where=table.where(row),
            remedy=did_you_mean(word, FINDINGS) or f"Known: {', '.join(FINDINGS)}.",
        )
    return finding


def _numbers(table: TextTable, axis: str, cells: Sequence[str]) -> npt.NDArray[np.float64]:
    try:
        values_B = np.array(cells, dtype=np.float64)
        if np.isfinite(values_B).all():
            return values_B
    except ValueError:
        pass
    row = next(row for row, cell in enumerate(cells) if not _is_finite(cell))
    raise DataError(
        f"the box's {axis} is {cells[row]!r}, not a number",
        where=table.where(row),
        remedy="Correct or remove the row.",
    )


def _is_finite(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _within_image(boxes: Boxes, table: TextTable) -> tuple[Boxes, list[str]]:
    """The boxes clipped to the image's edges, and the images of those that reached past them."""
    edge = float(boxes.size_px)
    left, top = boxes.x.clip(0, edge), boxes.y.clip(0, edge)
    with np.errstate(over="ignore"):  # an overflow is past the edge too
        right, bottom = (boxes.x + boxes.w).clip(0, edge), (boxes.y + boxes.h).clip(0, edge)
    is_empty_B = (right <= left) | (bottom <= top)
    if is_empty_B.any():
        row = int(np.argmax(is_empty_B))
        box = ", ".join(f"{axis[row]:g}" for axis in (boxes.x, boxes.y, boxes.w, boxes.h))
        raise DataError(
            f"the box (x, y, w, h = {box}) is empty or outside an image of {boxes.size_px} pixels",
            where=table.where(row),
            remedy="Boxes are in pixels of the 1024-pixel image: multiply those of an original "
            "by 1024 and divide by its width, or correct the row.",
        )
    w, h = right - left, bottom - top
    is_clipped_B = np.maximum(boxes.w - w, boxes.h - h) > _ROUNDING_PX
    clipped = [str(image) for image in boxes.image[is_clipped_B]]
    inside = dataclasses.replace(
        boxes,
        x=np.where(is_clipped_B, left, boxes.x),
        y=np.where(is_clipped_B, top, boxes.y),
        w=np.where(is_clipped_B, w, boxes.w),
        h=np.where(is_clipped_B, h, boxes.h),
    )
    return inside, clipped
