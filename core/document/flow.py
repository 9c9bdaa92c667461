"""The flow of images and patients through a run, after STARD's diagram.

Bossuyt et al., STARD 2015, BMJ 2015;351:h5527: who was eligible, who was left out and why, who was
scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.document.values import count, number, rows, table, text
from core.words import number_of

NOT_FOUND = "in the table, but not found"
_LEFT_OUT = ("left out", "no longer exists", "outside the official parts", "not listed", "dropped")


@dataclass(frozen=True)
class Reason:
    """Why images left the flow, and how many."""

    images: int
    why: str


@dataclass(frozen=True)
class FlowBox:
    """A stage: what it is, and its counts."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class FlowPart:
    """One part of the split."""

    drawn: FlowBox
    left: tuple[Reason, ...]
    used: FlowBox


@dataclass(frozen=True)
class Flow:
    """The diagram.

    Attributes:
        table: the label table.
        left_of_table: what left between the table and the images at hand.
        found: the images at hand.
        left_of_found: what is in no part.
        parts: train, val and test.
        remarks: what reading the files told besides.
    """

    table: FlowBox
    left_of_table: tuple[Reason, ...]
    found: FlowBox
    left_of_found: tuple[Reason, ...]
    parts: tuple[FlowPart, ...]
    remarks: tuple[str, ...]


def flow_of(
    described: Mapping[str, Any],
    report: Mapping[str, Any],
    quarantined: Mapping[str, Mapping[str, int]],
    repaired: Mapping[str, int],
    subset: str,
) -> Flow:
    """The flow of a session.

    Args:
        described: its dataset.json.
        report: its test figures.
        quarantined: part -> reason -> images that could not be decoded.
        repaired: kind -> images that were converted or repaired.
        subset: a sentence on parts that were drawn to a prevalence; '' if none was.
    """
    images = int(number(described.get("images")) or 0)
    missing = int(number(described.get("missing_images")) or 0)
    counts = [
        Reason(int(number(one.get("images")) or 0), text(one.get("reason")))
        for one in map(table, rows(described.get("counts")))
    ]
    parts = table(described.get("parts"))
    in_parts = sum(int(number(table(part).get("images")) or 0) for part in parts.values())
    left_of_table = [Reason(missing, NOT_FOUND)] if missing else []
    left_of_table += [one for one in counts if _left_out(one) and one.why != NOT_FOUND]
    in_table = images + sum(one.images for one in left_of_table)
    remarks = [one for one in counts if not _left_out(one) and one.why != NOT_FOUND]
    unused = images - in_parts
    return Flow(
        table=FlowBox("Label table", (text(described.get("label_table")), f"{in_table:,} images")),
        left_of_table=tuple(left_of_table),
        found=FlowBox(
            "Images at hand",
            (number_of(images, "image"), _patients(described.get("patients"))),
        ),
        left_of_found=(Reason(unused, _why_in_no_part(subset)),) if unused > 0 else (),
        parts=tuple(
            _part(name, table(part), report, quarantined.get(name, {}))
            for name, part in parts.items()
        ),
        remarks=(
            *(_remark(one) for one in remarks),
            *(f"{images:,} × {kind}" for kind, images in repaired.items()),
        ),
    )


def quarantined_by_part(
    reasons: Mapping[str, str], part_of: Mapping[str, str]
) -> dict[str, dict[str, int]]:
    """Part -> reason -> images, from each image's reason and its part."""
    counted: dict[str, Counter[str]] = {}
    for image, reason in reasons.items():
        counted.setdefault(part_of.get(image, ""), Counter())[reason] += 1
    return {part: dict(of_part) for part, of_part in counted.items()}


def _part(
    name: str, part: Mapping[str, Any], report: Mapping[str, Any], left: Mapping[str, int]
) -> FlowPart:
    images = int(number(part.get("images")) or 0)
    gone = tuple(Reason(of_it, f"can't be decoded: {why}") for why, of_it in left.items())
    if name == "test":
        used = FlowBox(
            "Scored",
            (f"{count(number(report.get('images')))} images", _patients(report.get("patients"))),
        )
    else:
        words = {"train": "Trained on", "val": "Chosen on"}.get(name, "Used")
        used = FlowBox(words, (f"{images - sum(left.values()):,} images",))
    drawn = FlowBox(name, (number_of(images, "image"), _patients(part.get("patients"))))
    return FlowPart(drawn, gone, used)


def _left_out(one: Reason) -> bool:
    return any(words in one.why for words in _LEFT_OUT)


def _why_in_no_part(subset: str) -> str:
    return f"in no part, by the recipe's subset ({subset})" if subset else "in no part of the split"


def _patients(value: object) -> str:
    known = number(value)
    return "unknown patients" if known is None else number_of(int(known), "patient")


def _remark(one: Reason) -> str:
    return f"{one.images:,} × {one.why}" if one.images else one.why
