"""evaluation/localization.json: maps against boxes by finding, with intervals and in words."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from core.evaluation.candidates import boxed_in_training, boxes_outside
from core.evaluation.confidence import CONFIDENCE, Interval
from core.evaluation.cover_drops import CoverDrop
from core.evaluation.found_maps import FoundMap
from core.evaluation.intervals import mean_intervals
from core.evaluation.localization import (
    ENERGY,
    MEASURES,
    NEAR,
    POINTING,
    SUCCESS_THRESHOLDS,
    measured,
)
from core.evaluation.localization_words import CONTROL_WORDS, CONTROLS, MEAN_BOX
from core.evaluation.map_geometry import Floats
from core.evaluation.map_source import MapSource
from core.evaluation.references import is_official_test

_DIGITS = 4
_SOURCE = (
    "Wang et al. 2017, read second-hand: IoBB on ChestX-ray14 (its table 19), IoU on ChestX-ray8 "
    "(table 7); class activation maps of a ResNet-50"
)
_NEARLY_ALL = 0.95
"""Share of NIH's boxes from which on a published row stands beside: they are its boxes then."""

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
    """Every figure, as JSON takes it; ``found`` are maps of boxed images of the test part.

    Maps of images that the network has seen in training are left out and counted.
    """
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
    report["summary"] = _summary(report)
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
    pointing = MEASURES.index(POINTING)
    better = {name: values["map"][:, pointing] - values[name][:, pointing] for name in CONTROLS}
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
        "pointing_above": {
            name: _mean_and_interval(column_P, patients) for name, column_P in better.items()
        },
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
    """Finding -> ``iou_0.1`` and so on -> the share that Wang et al. 2017 report."""
    text = (files(__package__) / "published_localization.csv").read_text(encoding="utf-8")
    return {
        row.pop("finding"): {name: float(cell) for name, cell in row.items()}
        for row in csv.DictReader(text.splitlines())
    }


def published_beside(source: MapSource, finding: str, num_boxes: int) -> dict[str, Any]:
    """The published row, only where these are (nearly) NIH's own boxes; else blank, with why."""
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
        note = "measured on NIH's own boxes of the official test part; these are others"
        return {"figures": None, "note": note}
    return {"figures": row, "note": None}


def _summary(report: dict[str, Any]) -> list[str]:
    """One sentence a finding: what the map shows, and what it does not."""
    sentences = []
    for finding, figures in report["findings"].items():
        at = figures["map"]
        sentence = (
            f"{finding}: the peak is in the box in {_percent(at[POINTING])} of {figures['maps']} "
            f"maps (within half a cell in {_percent(at[NEAR])}); "
            + ", ".join(
                f"{words} {_percent(figures['controls'][name][POINTING])}"
                for name, words in CONTROL_WORDS.items()
            )
        )
        sentences.append(f"{sentence}. {_verdict(figures)}")
        sentences.append(_region_sentence(finding, at))
        if figures["published"]["figures"] is not None:
            sentences.append(_published_sentence(finding, figures["published"]["figures"]))
        if figures["cover"] is not None:
            sentences.append(_cover_sentence(finding, figures["cover"]))
        if figures["smaller_than_a_cell"] and figures["smaller_than_a_cell"] > 0.5:
            width, height = figures["median_box_px"]
            cell_px = report["input_px"] / report["map_cells"]
            sentences.append(
                f"{finding}: one cell of the map covers {cell_px:.0f} px and its"
                f" median box {width:.0f}×{height:.0f} px, so the map can't point into "
                "most boxes but by luck: read «within half a cell»."
            )
    return sentences


def _region_sentence(finding: str, at: dict[str, Any]) -> str:
    false = at["false_boxes_per_image"]["iobb"]["0.25"]
    return (
        f"{finding}: {_percent(at[ENERGY])} of the map lies in the box; its regions reach IoU 0.1 "
        f"in {_percent(at['iou']['0.1'])} and 0.5 in {_percent(at['iou']['0.5'])}, IoBB 0.25 in "
        f"{_percent(at['iobb']['0.25'])} with {false:.1f} false boxes an image."
    )


def _published_sentence(finding: str, published: dict[str, float]) -> str:
    return (
        f"{finding}: on these boxes Wang et al. 2017 reach IoU 0.1 in "
        f"{_percent(published['iou_0.1'])} and 0.5 in {_percent(published['iou_0.5'])}, IoBB 0.25 "
        f"in {_percent(published['iobb_0.25'])}."
    )


def _verdict(figures: dict[str, Any]) -> str:
    above = figures["pointing_above"]
    beaten = [name for name in CONTROLS if _is_above(above[name])]
    unbeaten = [name for name in CONTROLS if name not in beaten and above[name]["ci"] is not None]
    if above[MEAN_BOX]["difference"] is None:
        return "No other patient has a box, so there is nothing to compare with."
    if MEAN_BOX not in beaten:
        return (
            "It does not beat the mean box: it has shown nothing but, at most, where the finding "
            "usually is."
        )
    if unbeaten:
        others = " and ".join(CONTROL_WORDS[name] for name in unbeaten)
        return f"It beats the mean box, but not {others}."
    return "It beats all three."


def _is_above(above: dict[str, Any]) -> bool:
    return above["ci"] is not None and above["ci"][0] > 0


def _cover_sentence(finding: str, cover: dict[str, Any]) -> str:
    drop, other = cover["logit_drop"], cover["logit_drop_elsewhere"]
    if other is None:
        return f"{finding}: covering the box costs {drop:.2f} of logit; nowhere else was room."
    if cover["difference_ci"] is None:
        return (
            f"{finding}: covering the box costs {drop:.2f} of logit, an equal box elsewhere "
            f"{other:.2f}; too few patients for an interval."
        )
    low, high = cover["difference_ci"]
    shown = (
        "the network relies on what is in the box"
        if low > 0
        else "no sign that the network relies on what is in the box"
    )
    return (
        f"{finding}: covering the box costs {drop:.2f} of logit, an equal box elsewhere "
        f"{other:.2f} (difference {low:.2f} to {high:.2f}): {shown}."
    )


def _warnings(source: MapSource, shown: Sequence[FoundMap], report: dict[str, Any]) -> list[str]:
    warnings = list(source.warnings)
    sizes = {(one.width_px, one.height_px) for one in shown}
    if source.boxes is not None and any(size != (source.boxes.size_px,) * 2 for size in sizes):
        example = min(size for size in sizes if size != (source.boxes.size_px,) * 2)
        warnings.append(
            f"boxes are in pixels of a {source.boxes.size_px}-pixel image and the images are of "
            f"another size, such as {example[0]}×{example[1]}: boxes were scaled"
        )
    if report["seen_in_training"]:
        warnings.append(
            f"{report['seen_in_training']:,} boxed maps are of images that the network has seen in "
            "training: they are left out"
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


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [_rounded(end) for end in interval]
