"""Maps as files: overlays, a contact sheet, rows of cams.csv."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from core.evaluation.maps.cam_pictures import overlay
from core.evaluation.maps.cam_table import COLUMNS
from core.evaluation.maps.found_maps import FoundMap
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.overlay import Colours, Grey
from core.evaluation.maps.picture_layout import SHEET_MOST, png_bytes, sheet
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.store.files import write_whole

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


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
    """Save one PNG, with its parameters in its text chunks too; returns the path.

    Raises:
        DataError: the image has changed.
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
    image = str(named.parent / named.stem)  # with its folders, if the table has them
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
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, png_bytes(picture, parameters))


def table_row(source: MapSource, found: FoundMap, file: str) -> dict[str, object]:
    """A map's row of cams.csv; coordinates in pixels of the image file."""
    candidate, overlaps = found.candidate, found.best_overlaps
    peak = None if found.peak is None else found.on_image(*found.peak)
    boxes = [" ".join(f"{value:.0f}" for value in box) for box in found.boxes_on_image()]
    label = "" if math.isnan(candidate.label) else int(candidate.label)
    patient = ""
    if candidate.patient != UNKNOWN_PATIENT:
        patient = source.study.index.table.patient_text(candidate.patient)
    values = (
        *(candidate.image, patient),
        *(candidate.finding, label, f"{found.probability:.6f}", found.method, candidate.kind),
        *(("", "") if peak is None else (f"{peak[0]:.1f}", f"{peak[1]:.1f}")),
        *("; ".join(boxes), _truth(found.hit), _truth(found.near)),
        *(("", "") if overlaps is None else tuple(f"{value:.4f}" for value in overlaps)),
        *("" if found.energy is None else f"{found.energy:.4f}", int(candidate.seen), file),
    )
    return dict(zip(COLUMNS, values, strict=True))


def save_contact_sheet(source: MapSource, tiles: Sequence[Colours], path: Path) -> Path:
    """Save the tiles of all drawn maps as one picture, at most ``SHEET_MOST``."""
    picture = sheet([("", tiles[:SHEET_MOST])], with_scale=True)
    _save(path, picture, {"session": source.session.name, "maps": len(tiles)})
    return path


def _truth(value: bool | None) -> object:
    return "" if value is None else int(value)
