"""RSNA Pneumonia Detection Challenge (2018): a row a box, and the mapping to NIH's images.

Sources of the format: Shih 2019, Radiology AI, and the published tables. ``patientId`` names an
image: only the mapping, which RSNA publishes apart, says which images are of one patient.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from core.data.collections.cells import NUMBERS, column_states
from core.data.collections.collection import (
    Collection,
    DrawnBoxes,
    ReadingSettings,
    Rows,
    box_corners,
    distinct_rows,
    named_in,
)
from core.data.tables.boxes import BOX_TABLE_SIZE_PX
from core.data.tables.label_columns import FileNames
from core.data.tables.states import PRESENT, LabelPolicy
from core.data.tables.text_file import Count, count_of, table_bytes
from core.data.tables.text_table import TextTable, read_table
from core.errors import DataError

FINDINGS = ("Pneumonia", "Lung Opacity")
"""Both are ``Target``, an opacity that suggests pneumonia; it is neither in NIH's sense."""

_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
_CLASSES = "stage_2_detailed_class_info.csv"
_TARGET_OF_CLASS = {"Lung Opacity": True, "No Lung Opacity / Not Normal": False, "Normal": False}
_NIH_IMAGE = re.compile(r"(\d{1,15})_\d+\.png")
_TARGETS = {cell: state for cell, state in NUMBERS.items() if cell}


def _recognises(header: Sequence[str]) -> bool:
    return {"patientId", "Target"} <= set(header)


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    column = dict(zip(table.header, table.columns, strict=True))
    cells = [cell.strip() for cell in column["patientId"]]
    states_R = column_states(table, table.header.index("Target"), _TARGETS)
    images, first_rows, image_R = distinct_rows(cells)
    states_N = states_R[first_rows]
    differing = np.flatnonzero(states_R != states_N[image_R])
    if differing.size:
        row = int(differing[0])
        first = table.line(int(first_rows[image_R[row]]))
        raise DataError(
            f"{cells[row]!r} has Target {column['Target'][row].strip()} here and another on line "
            f"{first}",
            where=table.where(row),
            why="Each box of an image repeats its Target: only one of them can be right",
            remedy="Correct the row, or fetch the table again.",
        )
    counts = list(table.counts)
    boxes_N = np.bincount(image_R, minlength=len(images))
    if (boxes_N > 1).any():
        several = np.array(images, dtype=object)[boxes_N > 1]
        counts.append(count_of("images with several rows, one a box", several))
    patients, digests, of_mapping = _patients(table.path.parent, images)
    digests |= _checked_classes(table.path.parent, images, states_N == PRESENT, of_mapping)
    return Rows(
        images=images,
        patients=patients,
        findings=FINDINGS,
        states_NA=np.column_stack([states_N] * len(FINDINGS)),
        where=lambda row: table.where(int(first_rows[row])),
        files=FileNames({image: image for image in images}),
        counts=(*counts, *of_mapping),
        digests=digests,
        patients_of="" if patients is None else "nih",
        notes=(
            "Pneumonia and Lung Opacity are both RSNA's Target: an opacity that suggests "
            "pneumonia, which is neither in NIH's sense.",
            "The images are NIH's: a network trained on NIH may have seen these patients.",
        ),
    )


def _boxes(path: Path) -> DrawnBoxes:
    """The boxes of the label table, in pixels of an image of 1024; each is both findings'."""
    table = read_table(path)
    column = dict(zip(table.header, table.columns, strict=True))
    rows = [row for row, cell in enumerate(column["Target"]) if _TARGETS.get(cell.strip())]
    images = [column["patientId"][row].strip() for row in rows]
    at_B4 = box_corners(table, ("x", "y", "width", "height"), rows)
    return DrawnBoxes(
        images=images * len(FINDINGS),
        findings=[finding for finding in FINDINGS for _ in images],
        at_B4=np.tile(at_B4, (len(FINDINGS), 1)),
        frame_px=BOX_TABLE_SIZE_PX,
    )


def _patients(
    folder: Path, images: Sequence[str]
) -> tuple[list[str] | None, dict[str, str], list[Count]]:
    """NIH's patients from the mapping beside the table; None if it doesn't name all images.

    A mapping that names some images alone would leave others of the same patients apart.
    """
    path = next(named_in(folder, _MAPPING), None)
    if path is None:
        return None, {}, []
    try:
        stored = table_bytes(path)
        patient_of = dict(_pairs(json.loads(stored)))
    except (DataError, ValueError, TypeError, KeyError, RecursionError):
        return None, {}, [Count(f"{path.name} can't be read, so patients stay unknown", 0)]
    missing = [image for image in images if image not in patient_of]
    if missing:
        reason = f"image that {path.name} does not name, so patients stay unknown"
        return None, {}, [count_of(reason, missing)]
    digests = {"patient_mapping": hashlib.sha256(stored).hexdigest()}
    return [patient_of[image] for image in images], digests, []


def _pairs(entries: object) -> Iterable[tuple[str, str]]:
    """Image and NIH patient of each entry.

    Raises:
        ValueError, TypeError, KeyError: not RSNA's mapping.
    """
    if not isinstance(entries, list):
        raise TypeError("not a list")
    for entry in entries:
        match = _NIH_IMAGE.fullmatch(entry["img_id"])
        if match is None:
            raise ValueError("not an image of NIH's")
        yield entry["subset_img_id"], match[1]


def _checked_classes(
    folder: Path, images: Sequence[str], is_present_N: np.ndarray, counts: list[Count]
) -> dict[str, str]:
    """The digest of the class table beside the label table, if it says the same as ``Target``."""
    path = next(named_in(folder, _CLASSES), None)
    if path is None:
        return {}
    try:
        classes = read_table(path)
    except DataError:
        return {}
    column = dict(zip(classes.header, classes.columns, strict=True))
    if not {"patientId", "class"} <= column.keys():
        return {}
    said_of = dict(zip(column["patientId"], column["class"], strict=True))
    differing = [
        image
        for image, is_present in zip(images, is_present_N, strict=True)
        if image in said_of and _TARGET_OF_CLASS.get(said_of[image].strip()) is not bool(is_present)
    ]
    if differing:
        counts.append(count_of(f"Target contradicts the class in {path.name}", differing))
        return {}
    return {"classes": classes.digest}


RSNA = Collection(
    kind="rsna",
    title="RSNA Pneumonia",
    licence="the rules of RSNA's challenge on Kaggle: no redistribution",
    table_names=("stage_2_train_labels.csv",),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(blank="absent", source="no box is absent"),
    boxes=_boxes,
    labels_note="Radiologists drew boxes around opacities that suggest pneumonia.",
)
