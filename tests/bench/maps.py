"""What maps cost beside the network: measuring them against boxes, and redrawing the viewer.

    python tests/bench/maps.py [--boxes BBox_List_2017.csv]

Measuring takes NIH's 984 boxes where the table is named, else as many boxes of like sizes; maps are
7 × 7, as at 224 px. Redrawing takes a 1024-pixel image in terminals of three sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from core.data.tables.boxes import BOX_TABLE_SIZE_PX, read_boxes
from core.evaluation.intervals import mean_intervals
from core.evaluation.maps.localization import BoxedMap, measured
from core.evaluation.maps.map_geometry import boxes_on_input
from cxr_tui.widgets.xray_picture import Look, Shown, fitted, picture
from cxr_tui.widgets.xray_view import _half_blocks

_SIZE_PX, _CELLS = 224, 7


def measuring(table: Path | None) -> dict[str, Any]:
    """From the maps to every figure with its interval, all findings."""
    by_finding = _boxed_maps(table)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        for boxed in by_finding.values():
            values = measured(boxed, _SIZE_PX)
            patients = np.array([one.patient for one in boxed])
            for rows in values.values():
                mean_intervals(rows, patients)
        seconds.append(time.perf_counter() - started)
    return {
        "maps": sum(map(len, by_finding.values())),
        "seconds": [round(value, 2) for value in seconds],
        "seconds_at_most": 3.0,
    }


def _boxed_maps(table: Path | None) -> dict[str, list[BoxedMap]]:
    rng = np.random.default_rng(0)
    if table is None:
        sides = rng.uniform(60, 480, (984, 2))
        boxes = np.column_stack([rng.random((984, 2)) * (1024 - sides), sides])
        rows = [(f"F{place % 8}", str(place), box) for place, box in enumerate(boxes)]
    else:
        found = read_boxes(table)
        axes = np.column_stack([found.x, found.y, found.w, found.h])
        rows = list(zip(found.finding, found.image, axes, strict=True))
    by_finding: dict[str, list[BoxedMap]] = {}
    for finding, image, box in rows:
        on_input = boxes_on_input(box[None], BOX_TABLE_SIZE_PX, 1024, 1024, "squash", _SIZE_PX)
        map_MM = rng.random((_CELLS, _CELLS), dtype=np.float32) ** 4
        patient = int(str(image).split("_")[0])
        one = BoxedMap(str(image), patient, str(finding), map_MM, on_input, 0.5, 0.0)
        by_finding.setdefault(str(finding), []).append(one)
    return by_finding


def redrawing() -> dict[str, Any]:
    """From a changed setting to the lines of the picture."""
    rng = np.random.default_rng(0)
    shown = Shown(rng.integers(0, 255, (1024, 1024)).astype(np.uint8), rng.random((1024, 1024)))
    figures: dict[str, Any] = {"ms_at_most": 150}
    for columns, rows in ((42, 17), (82, 33), (162, 53)):
        times = []
        for turn in range(20):
            started = time.perf_counter()
            look = Look(opacity=0.3 + turn / 40)
            _half_blocks(picture(shown, look, *fitted(shown, look, columns, rows)))
            times.append(1000 * (time.perf_counter() - started))
        figures[f"{columns}x{rows} cells"] = {
            "median_ms": round(statistics.median(times), 1),
            "most_ms": round(max(times), 1),
        }
    return figures


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=Path)
    given = parser.parse_args()
    print(json.dumps({"measuring": measuring(given.boxes), "redrawing": redrawing()}))


if __name__ == "__main__":
    main()
