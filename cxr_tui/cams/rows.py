"""The viewer's list: which of a finding's images, in which order and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.text import Text

from core.evaluation.maps.localization_words import CONTROL_LABELS
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.evaluation.maps.candidates import Candidate
    from core.evaluation.maps.found_maps import FoundMap
    from cxr_tui.cams.session_maps import SessionMaps

FILTERS = ("all", "hit", "miss", "true positive", "false positive", "false negative")
_OUTCOMES = {"true positive": "true +", "false positive": "false +", "false negative": "false –"}
_LABELS = {1.0: "+", 0.0: "–"}
ORDERS = ("boxed first", "probability", "IoU", "name")


@dataclass(frozen=True, eq=False)
class CamRow:
    """An image of the list, with its map once it is made."""

    candidate: Candidate
    found: FoundMap | None
    unreadable: str = ""

    @property
    def outcome(self) -> str:
        """A word for the map's result."""
        if self.unreadable:
            return "damaged"
        if self.candidate.seen:
            return "seen"
        if self.found is None:
            return "…"
        if self.candidate.kind == "unlabelled":
            return "opened" if self.found.has_evidence else "no map"
        if not self.found.has_evidence:
            return "no map"
        if self.found.hit is None:
            return _OUTCOMES.get(self.candidate.outcome or "", "–")
        return "hit" if self.found.hit else ("near" if self.found.near else "miss")

    @property
    def probability(self) -> float | None:
        """From the map's pass, or from test.csv before there is one."""
        return self.candidate.probability if self.found is None else self.found.probability

    @property
    def iou(self) -> float | None:
        """The best of the map's regions; None without a box."""
        overlaps = None if self.found is None else self.found.best_overlaps
        return None if overlaps is None else overlaps[0]

    def cells(self) -> list[Text]:
        """Image, probability, label, outcome, IoU."""
        named = PurePath(self.candidate.image)
        name = "/".join([*named.parts[-3:-1], named.stem])
        numbers = (
            "–" if self.probability is None else f"{self.probability:.2f}",
            _LABELS.get(self.candidate.label, "?"),
            self.outcome,
            "" if self.iou is None else f"{self.iou:.2f}",
        )
        return [
            Text(f" {visible(name)}", no_wrap=True, overflow="ellipsis"),
            *(Text(cell, justify="right") for cell in numbers),
        ]


def rows_of(kept: SessionMaps, finding: str, method: str, only: str, order: str) -> list[CamRow]:
    """The finding's images, filtered and sorted."""
    rows = [
        CamRow(candidate, kept.found(method, candidate), kept.unreadable.get(candidate.image, ""))
        for candidate in kept.candidates.get(finding, ())
    ]
    return _sorted([row for row in rows if _passes(row, only)], order)


def _passes(row: CamRow, only: str) -> bool:
    if only in ("hit", "miss"):
        hit = None if row.found is None else row.found.hit
        return hit is not None and hit == (only == "hit")
    return only in ("all", row.candidate.outcome)


def _sorted(rows: list[CamRow], order: str) -> list[CamRow]:
    if order == "probability":
        return sorted(rows, key=lambda row: -(row.probability or 0.0))
    if order == "IoU":
        return sorted(rows, key=lambda row: -1.0 if row.iou is None else row.iou, reverse=True)
    if order == "name":
        return sorted(rows, key=lambda row: row.candidate.image)
    return rows


def standing_lines(standing: dict[str, float] | None) -> Text:
    """Number of peaks in the box, compared with chance and the usual place."""
    if standing is None:
        return Text()
    of = int(standing["of"])
    lines = [
        ("in the box", f"{standing['map']:.0f} of {of}"),
        ("within half a cell", f"{standing['near']:.0f}"),
    ]
    for name, words in CONTROL_LABELS.items():
        count = standing[name]
        lines.append((words, "–" if math.isnan(count) else f"{count:.1f}"))
    width = max(len(words) for words, _ in lines)
    return Text("\n".join(f" {words:<{width}} {count:>10}" for words, count in lines))


def map_words(row: CamRow, looked: str, failed: str) -> Text:
    """The caption; ``failed`` is why no maps can be made, if they can't."""
    candidate, found = row.candidate, row.found
    if row.unreadable:
        return Text(f"{visible(candidate.image)} can't be read: {visible(row.unreadable)}")
    label = {1.0: "present", 0.0: "absent"}.get(candidate.label, "unknown")
    first = [candidate.finding, f"label {label}"]
    if row.probability is not None:
        first[0] += f", probability {row.probability:.2f}"
    if candidate.seen:
        first.append("seen in training: its map proves nothing")
    second = []
    if found is None:
        second.append(f"no map: {visible(failed)}" if failed else "its map is being made")
    else:
        second += _found_words(found)
    second.append(looked)
    return Text(f"{', '.join(first)}\n{' · '.join(part for part in second if part)}")


def _found_words(found: FoundMap) -> Sequence[str]:
    if not found.has_evidence:
        return ["nothing in the image supports it"]
    sizes = ", ".join(f"{w:.0f}×{h:.0f}" for _, _, w, h in found.boxes_on_image())
    if found.hit is None or found.best_overlaps is None:
        return ["no box to compare with"]
    hit = "hit" if found.hit else ("within half a cell" if found.near else "miss")
    iou, iobb = found.best_overlaps
    inside = 100 * (found.energy or 0.0)
    return [f"box {sizes} px", hit, f"IoU {iou:.2f}", f"IoBB {iobb:.2f}", f"{inside:.0f} % inside"]
