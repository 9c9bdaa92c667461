"""What ``cxr-tui external`` says of rendered sets that differ in one thing each.

A session of the demo, and the synthetic set at another seed: as it is, with fewer positive patients
of each finding, with more old patients and AP views, with less contrast, with noise. Prints the
table of docs/external.md.

    cxr-tui --batch demo --set name=demo
    python tests/bench/external_causes.py sessions/demo
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.phantom import write_phantom

Grey = NDArray[np.float64]
Row = dict[str, str]
TABLE = "Data_Entry_2017_v2020.csv"
SHARE_KEPT = 0.3
LOG_LOSS = ("case_mix", "prevalence", "calibration", "rest")


def repainted(folder: Path, change: Callable[[Grey], Grey]) -> None:
    for file in sorted(folder.rglob("*.png")):
        grey = change(np.asarray(Image.open(file).convert("L"), dtype=float))
        Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).save(file)


def with_patients(folder: Path, is_kept: Callable[[list[Row]], bool]) -> None:
    """Keep the rows of some patients; the images of the others stay, and are in no table."""
    table = folder / TABLE
    with table.open(newline="") as stream:
        reader = csv.DictReader(stream)
        header, of_patient = reader.fieldnames, defaultdict(list)
        for row in reader:
            of_patient[row["Patient ID"]].append(row)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, header or [])
        writer.writeheader()
        for rows in of_patient.values():
            if is_kept(rows):
                writer.writerows(rows)


def fewer_ill(folder: Path) -> None:
    drawn = random.Random(0)
    with_patients(
        folder,
        lambda rows: (
            all(row["Finding Labels"] == "No Finding" for row in rows)
            or drawn.random() < SHARE_KEPT
        ),
    )


def older_in_bed(folder: Path) -> None:
    drawn = random.Random(0)

    def is_kept(rows: list[Row]) -> bool:
        is_old = int(rows[0]["Patient Age"].rstrip("Y")) >= 55
        in_bed = sum(row["View Position"] == "AP" for row in rows) * 2 > len(rows)
        return drawn.random() < (1.0 if is_old and in_bed else 0.5 if is_old or in_bed else 0.1)

    with_patients(folder, is_kept)


def noisy(folder: Path) -> None:
    rng = np.random.default_rng(0)
    repainted(folder, lambda grey: grey + rng.normal(0, 25, grey.shape))


SETS: dict[str, Callable[[Path], None]] = {
    "another seed": lambda _: None,
    "fewer ill": fewer_ill,
    "older, in bed": older_in_bed,
    "half the contrast": lambda folder: repainted(folder, lambda grey: 128 + (grey - 128) / 2),
    "noise of 25 grey values": noisy,
}


def external(session: Path, name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cxr_tui", "external", str(session), "--json", "--replace"]
    command += ["--name", name.replace(" ", "-").replace(",", "")]
    command += ["--set", f"dataset.images={folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout))


def cell(value: float | None, ends: list[float] | None) -> str:
    if value is None:
        return "–"
    if ends is None:
        return f"{value:+.3f}"
    text = f"{value:+.3f} ({ends[0]:+.3f}, {ends[1]:+.3f})"
    return text if ends[0] <= 0 <= ends[1] else f"**{text}**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("session", type=Path)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        base = Path(made) / "base"
        write_phantom(base, patients=options.patients, size_px=options.size, seed=options.seed)
        for name, change in SETS.items():
            folder = Path(made) / "changed"
            shutil.copytree(base, folder)
            change(folder)
            report = external(options.session, name, folder)
            shutil.rmtree(folder)
            print(f"\n### {name}: {report['images']:,} images, {report['patients']:,} patients\n")
            print("| finding | AUROC | case mix | rest | log loss | " + " | ".join(
                part.replace("_", " ") for part in LOG_LOSS
            ) + " |")  # fmt: skip
            print("|---|---|---|---|---|---|---|---|---|")
            for finding, said in report["findings"].items():
                cells = [cell(said["difference"], said["difference_ci"])]
                cells += [
                    cell(said["because"][part], said["because_ci"][part])
                    for part in ("case_mix", "rest")
                ]
                loss = said["log_loss"] - said["internal_log_loss"]
                cells.append(cell(loss, said["log_loss_difference_ci"]))
                cells += [
                    cell(said["because_log_loss"][part], said["because_log_loss_ci"][part])
                    for part in LOG_LOSS
                ]
                print(f"| {finding} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
