"""Maps as files: overlays at the image's own resolution, a contact sheet, the table's rows."""

from __future__ import annotations

import io
import json
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from core.data.images.archives import stream_archive
from core.data.images.decode import UndecodableImage, decode_grey, square_region
from core.data.images.image_files import ImageFile
from core.errors import DataError
from core.evaluation.maps.cam_table import COLUMNS
from core.evaluation.maps.found_maps import FoundMap
from core.evaluation.maps.map_geometry import interpolation
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.overlay import Colours, Grey, blended, draw_box, draw_peak
from core.store.files import write_whole

_CAPTION_SHARE = 1 / 36
_SHEET_TILE_PX, _SHEET_COLUMNS = 320, 4
SHEET_MOST = 64
_MARGIN_PX = 6
_BACKGROUND, _INK = (15, 18, 22), (225, 230, 235)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def read_image(source: MapSource, image: str) -> Grey:
    """The image file in grey, at its own resolution.

    An image in an archive takes as long as everything before it in there: read it once.

    Raises:
        DataError: it is gone, or can't be read any more.
    """
    file = source.study.index.files[image]
    try:
        return decode_grey(file.path if file.member is None else _member(file), image).pixels_HW
    except (OSError, UndecodableImage) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"can't be read any more ({reason})",
            where=file.path,
            remedy="Bring the image back, or go on without it.",
        ) from error


def _member(file: ImageFile) -> bytes:
    for _, content in stream_archive(file.path, [str(file.member)], lambda: None):
        if isinstance(content, bytes):
            return content
    raise OSError(f"{file.member} is not in {file.path.name} any more")


def strength_on_image(found: FoundMap) -> NDArray[np.float64]:
    """The map at every pixel of the image file, 0 … 1 of its own peak; 0 outside of the square.

    All zero where there is no evidence: nothing is stretched to full colour.
    """
    strength_HW = np.zeros((found.height_px, found.width_px))
    if not found.has_evidence:
        return strength_HW
    left, top, right, bottom = square_region(found.width_px, found.height_px, found.resize)
    cells = len(found.map_MM)
    down, across = interpolation(cells, bottom - top), interpolation(cells, right - left)
    drawn = down @ (found.map_MM.astype(np.float64) / float(found.map_MM.max())) @ across.T
    strength_HW[top:bottom, left:right] = drawn
    return strength_HW


def overlay(
    found: FoundMap, grey_HW: Grey, *, opacity: float = 0.6, threshold: float = 0.0
) -> Colours:
    """The image as it is, beside it the image with its map, boxes and peak; a caption below."""
    height, width = grey_HW.shape
    if (width, height) != (found.width_px, found.height_px):
        raise DataError(
            f"has {width}×{height} pixels now, and had {found.width_px}×{found.height_px}",
            where=found.candidate.image,
            why="Its map is of the old image.",
            remedy="Open the session anew.",
        )
    plain = np.repeat(grey_HW[..., None], 3, axis=2)
    mapped = blended(grey_HW, strength_on_image(found), opacity=opacity, threshold=threshold)
    thickness = max(1, round(min(height, width) / 256))
    for x, y, w, h in found.boxes_on_image():
        draw_box(mapped, (x, y, w, h), thickness=thickness)
    if found.peak is not None:
        draw_peak(mapped, *found.on_image(*found.peak), arm=4 * thickness)
    both = np.concatenate([plain, mapped], axis=1)
    return np.concatenate([both, _caption(caption(found), both.shape[1], height)], axis=0)


def caption(found: FoundMap) -> list[str]:
    """What the picture shows, in words."""
    candidate = found.candidate
    label = {1.0: "present", 0.0: "absent"}.get(candidate.label, "unknown")
    first = (
        f"{candidate.image} · {candidate.finding} · probability {found.probability:.3f} · "
        f"label {label}"
    )
    if candidate.seen:
        first += " · seen in training"
    return [first, f"{found.method} · {outcome_words(found)}"]


def outcome_words(found: FoundMap) -> str:
    """Hit or miss, in words, with its overlap."""
    if not found.has_evidence:
        return "no evidence for the finding anywhere"
    if found.hit is None or found.best_overlaps is None:
        return "no box to compare with"
    near = " (within half a cell)" if found.near and not found.hit else ""
    iou, iobb = found.best_overlaps
    hit = "hit" if found.hit else "miss"
    return (
        f"{hit}{near} · IoU {iou:.2f} · IoBB {iobb:.2f} · {100 * (found.energy or 0):.0f} % inside"
    )


def _caption(lines: Sequence[str], width_px: int, height_px: int) -> Colours:
    size = max(9, round(max(height_px, width_px / 2) * _CAPTION_SHARE))
    font = ImageFont.load_default(size)
    while size > 7 and max(font.getlength(line) for line in lines) > width_px - 2 * _MARGIN_PX:
        size -= 1
        font = ImageFont.load_default(size)
    line_px = round(size * 1.4)
    strip = Image.new("RGB", (width_px, line_px * len(lines) + _MARGIN_PX), _BACKGROUND)
    drawing = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        drawing.text((_MARGIN_PX, number * line_px + 2), line, fill=_INK, font=font)
    return np.asarray(strip)


def save_overlay(
    source: MapSource,
    found: FoundMap,
    grey_HW: Grey,
    folder: Path,
    *,
    rank: int = 0,
    opacity: float = 0.6,
    threshold: float = 0.0,
) -> Path:
    """One PNG, with its parameters in its text chunks too; the path.

    Raises:
        DataError: the image is another one by now.
        OSError: the folder can't be written to, or the disk is full.
    """
    picture = overlay(found, grey_HW, opacity=opacity, threshold=threshold)
    settings = {"opacity": opacity, "threshold": threshold}
    path = folder / file_name(found, rank)
    _save(path, picture, _parameters(source, found) | settings)
    return path


def file_name(found: FoundMap, rank: int) -> str:
    """Finding, number, image, method: names that sort."""
    named = PurePosixPath(found.candidate.image)
    image = str(named.parent / named.stem)  # with its folders, where the table has them
    stem = _UNSAFE.sub("_", image)[:80]
    if stem != image:  # two images must not share a file
        stem += f"-{zlib.crc32(image.encode()):08x}"
    number = f"{rank:03d}-" if rank else ""
    method = found.method.replace("+", "p")
    return f"{found.candidate.finding}-{number}{stem}-{method}.png"


def _parameters(source: MapSource, found: FoundMap) -> dict[str, object]:
    return {
        "session": source.session.name,
        "checkpoint": source.checkpoint,
        "method": found.method,
        "input_px": found.size_px,
        "cells": len(found.map_MM),
        **table_row(source, found, ""),
    }


def _save(path: Path, picture: Colours, parameters: dict[str, object]) -> None:
    chunks = PngInfo()
    chunks.add_itxt("cxr-tui", json.dumps(parameters, ensure_ascii=False))
    for name, value in parameters.items():
        chunks.add_itxt(name, str(value))
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG", pnginfo=chunks)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encoded.getvalue())


def table_row(source: MapSource, found: FoundMap, file: str) -> dict[str, object]:
    """One map as cams.csv has it; places in pixels of the image file."""
    candidate, overlaps = found.candidate, found.best_overlaps
    peak = None if found.peak is None else found.on_image(*found.peak)
    boxes = [" ".join(f"{value:.0f}" for value in box) for box in found.boxes_on_image()]
    label = "" if math.isnan(candidate.label) else int(candidate.label)
    values = (
        *(candidate.image, source.study.index.patient_text(candidate.patient)),
        *(candidate.finding, label, f"{found.probability:.6f}", found.method, candidate.kind),
        *(("", "") if peak is None else (f"{peak[0]:.1f}", f"{peak[1]:.1f}")),
        *("; ".join(boxes), _truth(found.hit), _truth(found.near)),
        *(("", "") if overlaps is None else tuple(f"{value:.4f}" for value in overlaps)),
        *("" if found.energy is None else f"{found.energy:.4f}", int(candidate.seen), file),
    )
    return dict(zip(COLUMNS, values, strict=True))


def save_contact_sheet(source: MapSource, drawn: Sequence[Colours], path: Path) -> Path:
    """The tiles of all maps that were drawn on one picture, ``SHEET_MOST`` at most."""
    tiles = drawn[:SHEET_MOST]
    columns = min(_SHEET_COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    sheet = np.zeros((rows * height, columns * width, 3), dtype=np.uint8)
    sheet[:] = _BACKGROUND
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    _save(path, sheet, {"session": source.session.name, "maps": len(tiles)})
    return path


def tile_of(found: FoundMap, grey_HW: Grey) -> Colours:
    """A small picture with a short caption, for the contact sheet."""
    height, width = grey_HW.shape
    picture = blended(grey_HW, strength_on_image(found))
    thickness = max(2, round(min(height, width) / 160))
    for x, y, w, h in found.boxes_on_image():
        draw_box(picture, (x, y, w, h), thickness=thickness)
    if found.peak is not None:
        draw_peak(picture, *found.on_image(*found.peak), arm=4 * thickness)
    small = Image.fromarray(picture)
    small.thumbnail((_SHEET_TILE_PX, _SHEET_TILE_PX))
    shown = np.asarray(small)
    if max(height, width) < _SHEET_TILE_PX:  # thumbnail only shrinks
        factor = _SHEET_TILE_PX // max(height, width)
        shown = shown.repeat(max(1, factor), axis=0).repeat(max(1, factor), axis=1)
    lines = [
        f"{found.candidate.image} {found.candidate.finding}",
        f"{found.probability:.2f} {outcome_words(found)}",
    ]
    return np.concatenate([shown, _caption(lines, shown.shape[1], 7 * 36)], axis=0)


def _truth(value: bool | None) -> object:
    return "" if value is None else int(value)
