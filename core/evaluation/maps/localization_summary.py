"""Maps against boxes in sentences: what a finding's maps show, and what they don't."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.evaluation.maps.localization import ENERGY, NEAR, POINTING
from core.evaluation.maps.localization_words import BEST_PLACE, CONTROL_WORDS, CONTROLS, USUAL_PLACE


def summary_of(report: Mapping[str, Any]) -> list[str]:
    """A few sentences per finding of localization.json, each starting with the finding's name."""
    sentences = []
    for finding, figures in report["findings"].items():
        sentences.append(_peak_sentence(finding, figures))
        sentences.append(_region_sentence(finding, figures["map"]))
        if figures["published"]["figures"] is not None:
            sentences.append(_published_sentence(finding, figures["published"]["figures"]))
        if figures["cover"] is not None:
            sentences.append(_cover_sentence(finding, figures["cover"]))
        if _compared_by(figures) == NEAR:
            width, height = figures["median_box_px"]
            cell_px = report["input_px"] / report["map_cells"]
            sentences.append(
                f"{finding}: one cell of the map covers {cell_px:.0f} px and its"
                f" median box {width:.0f}×{height:.0f} px, so the map can't point into "
                "most boxes except by luck: it is compared within half a cell."
            )
    return sentences


def _peak_sentence(finding: str, figures: dict[str, Any]) -> str:
    at, measure, maps = figures["map"], _compared_by(figures), figures["maps"]
    inside, near = _percent(at[POINTING]), _percent(at[NEAR])
    if measure == POINTING:
        peak = f"the peak is in the box in {inside} of {maps} maps (within half a cell in {near})"
    else:
        peak = (
            f"the peak is within half a cell of the box in {near} of {maps} maps (in the box in "
            f"{inside})"
        )
    controls = ", ".join(
        f"{words} {_percent(figures['controls'][name][measure])}"
        for name, words in CONTROL_WORDS.items()
    )
    return f"{finding}: {peak}; {controls}. {_verdict(figures)}"


def _compared_by(figures: dict[str, Any]) -> str:
    """In the box, or near it if most boxes are smaller than a cell.

    The map's peak is a cell's centre, while the usual place may be any point: a peak can't point
    into small boxes, whatever the network knows.
    """
    return NEAR if figures["smaller_than_a_cell"] > 0.5 else POINTING


def _region_sentence(finding: str, at: dict[str, Any]) -> str:
    false = at["false_boxes_per_image"]["iobb"]["0.25"]
    return (
        f"{finding}: {_percent(at[ENERGY])} of the map is in the box; its regions reach IoU 0.1 "
        f"in {_percent(at['iou']['0.1'])} and 0.5 in {_percent(at['iou']['0.5'])}, IoBB 0.25 in "
        f"{_percent(at['iobb']['0.25'])} with {false:.1f} false boxes per image."
    )


def _published_sentence(finding: str, published: dict[str, float]) -> str:
    return (
        f"{finding}: on these boxes Wang et al. 2017 reach IoU 0.1 in "
        f"{_percent(published['iou_0.1'])} and 0.5 in {_percent(published['iou_0.5'])}, IoBB 0.25 "
        f"in {_percent(published['iobb_0.25'])}."
    )


def _verdict(figures: dict[str, Any]) -> str:
    measure = _compared_by(figures)
    above = figures[f"{measure}_above"]
    beaten = [name for name in CONTROLS if _is_above(above[name])]
    unbeaten = [name for name in CONTROLS if name not in beaten and above[name]["ci"] is not None]
    if above[USUAL_PLACE]["difference"] is None:
        return "No other patient has a box, so there is nothing to compare with."
    if USUAL_PLACE not in beaten:
        return (
            "It does not beat that place: it has shown nothing but, at most, where the finding "
            "usually is."
        )
    if unbeaten:
        others = " and ".join(CONTROL_WORDS[name] for name in unbeaten)
        return f"It beats that place, but not {others}."
    if not _is_above(above[BEST_PLACE]):
        return (
            "It beats all three, but not the one place that most of these very boxes cover "
            f"({_percent(figures[BEST_PLACE][measure])}): it may know only where the "
            "finding usually is."
        )
    return "It beats all three."


def _is_above(above: dict[str, Any]) -> bool:
    return above["ci"] is not None and above["ci"][0] > 0


def _cover_sentence(finding: str, cover: dict[str, Any]) -> str:
    drop, other = cover["logit_drop"], cover["logit_drop_elsewhere"]
    if other is None:
        return f"{finding}: covering the box costs {drop:.2f} of logit; no space for one elsewhere."
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


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
