"""AUROC by finding and input size, for people: a finding's rows below its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.resolution.resolution import HALVES
from core.evaluation.resolution.resolution_words import CAVEAT
from core.words import number_of
from cxr_tui.terminal.stdout import print_table

_HALF_NAMES = dict(zip(HALVES, ("smaller", "larger"), strict=True))


def print_comparison(compared: Mapping[str, Any]) -> None:
    """Print the table, its conclusion, and how to read it."""
    sizes = list(map(str, compared["sizes_px"]))
    rows = [row for name, of in compared["findings"].items() for row in _rows(name, of, sizes)]
    rows.append(["mean", *(_number(compared["mean_auroc"][size]["auroc"]) for size in sizes)])
    rows.append([_INTERVAL, *(_interval(compared["mean_auroc"][size]) for size in sizes)])
    title = (
        f"AUROC by input size, test: {number_of(compared['images'], 'image')} of "
        f"{number_of(compared['patients'], 'patient')}"
    )
    head = ["finding", *(f"{size} px" for size in sizes)]
    print_table(title, head, rows, notes=[compared["conclusion"], *_notes(compared)])


_INTERVAL = "  95 %"


def _rows(name: str, of: Mapping[str, Any], sizes: Sequence[str]) -> list[list[str]]:
    at = [of["at"][size] for size in sizes]
    rows = [
        [name, *(_number(figures["auroc"]) for figures in at)],
        [_INTERVAL, *(_interval(figures) for figures in at)],
    ]
    if of["boxes"]:
        rows.append(["  box, px", *(_by(figures["median_box_px"]) for figures in at)])
    for half, word in _HALF_NAMES.items():
        if of["halves"] is not None:
            label = f"  {word} ({of['halves'][half]['positives']:,})"
            rows.append([label, *(_number(figures[half]["auroc"]) for figures in at)])
    return rows


def _notes(compared: Mapping[str, Any]) -> list[str]:
    findings = compared["findings"].values()
    notes = [CAVEAT, "95 %: interval over patients, separately for each size."]
    if any(of["boxes"] for of in findings):
        notes.append("box: median width × height of the lesions, in pixels of the input.")
    if any(of["halves"] for of in findings):
        notes.append(
            "smaller, larger: AUROC of the positives with smaller and larger boxes than the "
            "finding's median (their number), against all its negatives."
        )
    return [*notes, compared["labels_note"]]


def _by(box_px: Sequence[float]) -> str:
    return f"{box_px[0]:.0f}×{box_px[1]:.0f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(figures: Mapping[str, Any]) -> str:
    interval = figures["auroc_ci"]
    return "–" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}"
