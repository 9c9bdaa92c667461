"""Check of heat maps: are there boxes to compare them with?"""

from __future__ import annotations

from collections.abc import Iterator

from core.health.diagnosis import Diagnosis, Severity


def check_maps(drawn: int, with_boxes: int) -> Iterator[Diagnosis]:
    """Whether any of the drawn images has a box.

    Args:
        drawn: images whose map was made.
        with_boxes: those of them that have a box of the finding.
    """
    if drawn == 0 or with_boxes:
        return
    yield Diagnosis(
        check="maps-without-boxes",
        severity=Severity.NOTE,
        text=f"None of the {drawn} images drawn has a box to compare its map with, so the maps "
        "show where the network looks, but not whether that is right.",
        evidence={"drawn": drawn, "with_boxes": with_boxes},
        remedy="Name the box table (dataset.boxes), or choose a finding that has boxes: NIH drew "
        "them for eight of the 14. VinDr, RSNA and SIIM bring their own.",
    )
