"""evaluation/localization.json: maps against boxes by finding, with intervals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from core.evaluation.confidence import CONFIDENCE, Interval
from core.evaluation.intervals import mean_intervals
from core.evaluation.maps.candidates import boxed_in_training, boxes_outside
from core.evaluation.maps.cover_drops import CoverDrop
from core.evaluation.maps.found_maps import FoundMap
from core.evaluation.maps.localization import (
    ENERGY,
    MEASURES,
    NEAR,
    POINTING,
    SUCCESS_THRESHOLDS,
    measured,
)
from core.evaluation.maps.localization_summary import summary_of
from core.evaluation.maps.localization_words import BEST_PLACE, CONTROLS
from core.evaluation.maps.map_geometry import Floats
from core.evaluation.maps.map_source import MapSource
from core.evaluation.references import is_official_test
from core.store.sealed import refuse_sealed

_DIGITS = 4
_SOURCE = (
    "Wang et al. 2017, read second-hand: IoBB on ChestX-ray14 (its table 19), IoU on ChestX-ray8 "
    "(table 7); class activation maps of a ResNet-50"
)
_NEARLY_ALL = 0.95
"""Share of NIH's boxes above which a published row is shown: the boxes are NIH's then."""

_NIH_BOXES = {
    "Atelectasis": 180,
    "Cardiomegaly": 146,
    "Effusion": 153,
    "Infiltration": 123,
    "Mass": 85,
    "Nodule": 79,
    "Pneumonia": 120,
    "Pneumothorax": 98,
}


def localization_report(
    source: MapSource,
    found: Sequence[FoundMap],
    drops: Sequence[CoverDrop],
    unreadable: dict[str, str],
) -> dict[str, Any]:
    """Every figure as JSON values; ``found`` are maps of boxed images of the test part.

    Maps of images that the network has seen in training are left out and counted.

    Raises:
        DataError: the test part is sealed.
    """
    refuse_sealed(source.session)
    shown = [one for one in found if len(one.boxes_K4) and not one.candidate.seen]
    seen = sum(len(boxed_in_training(source, finding)) for finding in source.model.findings)
    findings = {}
    for finding in source.model.findings:
        of_it = [one for one in shown if one.candidate.finding == finding]
        if of_it:
            of_drops = [drop for drop in drops if drop.found.candidate.finding == finding]
            findings[finding] = _finding(source, finding, of_it, of_drops)
    cells = len(shown[0].map_MM) if shown else None
    report: dict[str, Any] = {
        "split": "test",
        "method": shown[0].method if shown else None,
        "checkpoint": source.checkpoint,
        "input_px": source.size_px,
        "map_cells": cells,
        "cell_px_of_1024": None if cells is None else round(1024 / cells, 1),
        "images": len({one.candidate.image for one in shown}),
        "patients": len({one.candidate.patient for one in shown}),
        "maps": len(shown),
        "intervals": {"confidence": CONFIDENCE, "counted": "patients"},
        "findings": findings,
        "seen_in_training": seen,
        "boxes_in_no_part": boxes_outside(source),
        "unreadable": len(unreadable),
        "published_source": _SOURCE,
    }
    report["summary"] = summary_of(report)
    report["warnings"] = _warnings(source, shown, report)
    return report


def _finding(
    source: MapSource,
    finding: str,
    found: Sequence[FoundMap],
    drops: Sequence[CoverDrop],
) -> dict[str, Any]:
    values = measured([one.boxed() for one in found], source.size_px)
    patients = np.array([one.candidate.patient for one in found])
    intervals = {name: mean_intervals(values_PV, patients) for name, values_PV in values.items()}
    above: dict[str, dict[str, Any]] = {}
    for measure in (POINTING, NEAR):
        column = MEASURES.index(measure)
        above[measure] = {
            name: _mean_and_interval(values["map"][:, column] - values[name][:, column], patients)
            for name in (*CONTROLS, BEST_PLACE)
        }
    boxes_px = np.concatenate([one.boxes_K4 for one in found])[:, 2:]
    cell_px = found[0].cell_px
    return {
        "maps": len(found),
        "patients": len(set(patients.tolist())),
        "boxes": len(boxes_px),
        "median_box_px": [round(float(side), 1) for side in np.median(boxes_px, axis=0)],
        "smaller_than_a_cell": _rounded(float((boxes_px.max(axis=1) < cell_px).mean())),
        "without_evidence": sum(not one.has_evidence for one in found),
        "map": _measures(values["map"], intervals["map"]),
        "controls": {name: _measures(values[name], intervals[name]) for name in CONTROLS},
        BEST_PLACE: _measures(values[BEST_PLACE], intervals[BEST_PLACE]),
        **{f"{measure}_above": above[measure] for measure in above},
        "published": published_beside(source, finding, len(boxes_px)),
        "cover": _cover(drops),
    }


def _measures(values_PV: Floats, intervals: Sequence[Interval | None]) -> dict[str, Any]:
    means = [
        _rounded(float(np.nanmean(column))) if np.isfinite(column).any() else None
        for column in values_PV.T
    ]
    by_name = dict(zip(MEASURES, zip(means, intervals, strict=True), strict=True))

    def row(kind: str) -> dict[str, Any]:
        return {str(at): by_name[f"{kind}_{at}"][0] for at in SUCCESS_THRESHOLDS}

    return {
        **{name: by_name[name][0] for name in (POINTING, NEAR, ENERGY)},
        **{f"{name}_ci": _interval(by_name[name][1]) for name in (POINTING, NEAR, ENERGY)},
        "iou": row("iou"),
        "iobb": row("iobb"),
        "iou_ci": {str(t): _interval(by_name[f"iou_{t}"][1]) for t in SUCCESS_THRESHOLDS},
        "iobb_ci": {str(t): _interval(by_name[f"iobb_{t}"][1]) for t in SUCCESS_THRESHOLDS},
        "false_boxes_per_image": {"iou": row("false_iou"), "iobb": row("false_iobb")},
    }


def _mean_and_interval(values_P: Floats, patients: Any) -> dict[str, Any]:
    if not np.isfinite(values_P).any():
        return {"difference": None, "ci": None}
    (interval,) = mean_intervals(values_P[:, None], patients, are_shares=False)
    return {"difference": _rounded(float(np.nanmean(values_P))), "ci": _interval(interval)}


def _cover(drops: Sequence[CoverDrop]) -> dict[str, Any] | None:
    if not drops:
        return None
    values_P3 = np.array(
        [
            (drop.box, np.nan, np.nan)
            if drop.elsewhere is None
            else (drop.box, drop.elsewhere, drop.box - drop.elsewhere)
            for drop in drops
        ]
    )
    patients = np.array([drop.found.candidate.patient for drop in drops])
    intervals = mean_intervals(values_P3, patients, are_shares=False)
    cover: dict[str, Any] = {"images": len(drops)}
    names = ("logit_drop", "logit_drop_elsewhere", "difference")
    for name, column_P, interval in zip(names, values_P3.T, intervals, strict=True):
        known = column_P[np.isfinite(column_P)]
        cover[name] = _rounded(float(known.mean())) if len(known) else None
        cover[f"{name}_ci"] = _interval(interval)
    cover["no_room_elsewhere"] = int(np.isnan(values_P3[:, 1]).sum())
    return cover


@cache
def published_localization() -> dict[str, dict[str, float]]:
    """Finding -> ``iou_0.1`` and so on -> the share reported by Wang et al. 2017."""
    text = (files(__package__) / "published_localization.csv").read_text(encoding="utf-8")
    return {
        row.pop("finding"): {name: float(cell) for name, cell in row.items()}
        for row in csv.DictReader(text.splitlines())
    }


def published_beside(source: MapSource, finding: str, num_boxes: int) -> dict[str, Any]:
    """The published row, only if these are (nearly) NIH's own boxes; otherwise blank, with why."""
    row = published_localization().get(finding)
    if row is None:
        return {"figures": None, "note": "none is published for this finding"}
    by = source.study.recipe.split.by
    is_theirs = (
        source.study.patients_known_as == "nih"
        and is_official_test(by, "test", len(source.study.rows("test")))
        and num_boxes >= _NEARLY_ALL * _NIH_BOXES[finding]
    )
    if not is_theirs:
        note = "measured on NIH's own boxes of the official test part; these boxes differ"
        return {"figures": None, "note": note}
    return {"figures": row, "note": None}


def _warnings(source: MapSource, shown: Sequence[FoundMap], report: dict[str, Any]) -> list[str]:
    warnings = list(source.warnings)
    sizes = {(one.width_px, one.height_px) for one in shown}
    boxes = source.boxes
    others = [] if boxes is None else [size for size in sizes if size != (boxes.size_px,) * 2]
    if boxes is not None and not boxes.of_originals and others:
        example = min(others)
        warnings.append(
            f"boxes are in pixels of a {boxes.size_px}-pixel image and the images have "
            f"another size, such as {example[0]}×{example[1]}: boxes were scaled"
        )
    if report["seen_in_training"]:
        warnings.append(
            f"{report['seen_in_training']:,} boxed maps are of images that the network has seen in "
            "training and are left out"
        )
    if report["boxes_in_no_part"]:
        warnings.append(
            f"{report['boxes_in_no_part']:,} boxes are on images that are in no part of the split"
        )
    if report["unreadable"]:
        warnings.append(f"{report['unreadable']:,} boxed images can't be read")
    if source.boxes is not None and not shown:
        warnings.append("no image of the test part has a box: there is nothing to measure")
    return warnings


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [_rounded(end) for end in interval]
