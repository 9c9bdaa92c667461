"""Checks the newest demo session against what the demo promises; run after `make run`.

No test of pytest's: training the demo takes minutes, and CI has just done it. Two promises: the
test figures, and that maps point at lesions (`cxr-tui cam` measures it).
"""

import json
import subprocess
import sys
from pathlib import Path

LEARNABLE = ("Cardiomegaly", "Effusion", "Mass", "Pneumothorax")
PLACE_VARIES = ("Mass", "Pneumothorax", "Nodule")
SAME_PLACE = "Cardiomegaly"
"""Always in the middle: other images' maps meet its boxes nearly as often, by a hair either way."""


def main() -> int:
    sessions = sorted(Path("sessions").glob("*-demo*/evaluation/test.json"))
    if not sessions:
        print("no demo session has test figures: make run first")
        return 1
    report = json.loads(sessions[-1].read_text())
    findings = report["findings"]
    faults = [name for name in LEARNABLE if (findings[name]["auroc"] or 0) < 0.90]
    if report["mean_auroc_ci"][0] <= 0.85:
        faults.append(f"mean interval {report['mean_auroc_ci']}")
    if "Nodule" not in findings:
        faults.append("no Nodule")
    shown = {name: figures["auroc"] for name, figures in findings.items()}
    print(f"demo: {shown}, mean {report['mean_auroc']} {report['mean_auroc_ci']}")
    faults += map_faults(sessions[-1].parents[1], shown)
    if faults:
        print(f"below what the demo promises: {', '.join(faults)}")
    return 1 if faults else 0


def map_faults(session: Path, aurocs: dict[str, float]) -> list[str]:
    command = [sys.executable, "-m", "cxr_tui", "cam", str(session), "--json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    faults = []
    for name, figures in json.loads(told)["localization"]["findings"].items():
        if aurocs[name] < 0.9:
            continue
        hit = figures["map"]["pointing"]
        controls = {kind: at["pointing"] for kind, at in figures["controls"].items()}
        usual_near = figures["controls"]["usual_place"]["pointing_near"]
        covered = figures["cover"]["difference_ci"]
        print(
            f"maps: {name} {hit} in the box, {figures['map']['pointing_near']} within half a cell, "
            f"{controls}; covering it costs {covered} of logit more than elsewhere"
        )
        near = 0.03 if name == SAME_PLACE else 0.0
        if hit < 2.5 * controls["random"] or hit + near <= controls["other_image"]:
            faults.append(f"{name}'s maps")
        # Within half a cell: most of these are smaller than the cell a peak is the centre of.
        if name in PLACE_VARIES and figures["map"]["pointing_near"] <= usual_near:
            faults.append(f"{name}'s maps against the usual place")
        if figures["map"]["pointing_near"] < 0.75 or covered[0] <= 0:
            faults.append(f"{name}'s lesions")
    return faults


if __name__ == "__main__":
    sys.exit(main())
