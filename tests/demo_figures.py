"""Checks the newest demo session against what the demo promises; run after `make run`.

No test of pytest's: training the demo takes minutes, and CI has just done it.
"""

import json
import sys
from pathlib import Path

LEARNABLE = ("Cardiomegaly", "Effusion", "Mass", "Pneumothorax")


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
    if faults:
        print(f"below what the demo promises: {', '.join(faults)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
