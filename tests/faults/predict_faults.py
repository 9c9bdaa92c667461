"""``cxr-tui predict`` on many images, killed again and again.

    python tests/faults/predict_faults.py --images 10000 --kills 3 [--session DIR]

The images are those of the synthetic set, linked until there are enough; without a session one is
trained at 64 px for two epochs. Each kill is SIGKILL at a random row, then the same command goes
on. What was seen is printed as JSON; ``faults`` must be empty: one row an image, in the order of
the files, the same scores for the same image, and a peak memory that doesn't grow with the rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.data.phantom import write_phantom

_MOST_DIFFERENCE = 1e-5  # of a probability, between batches of another size
_MOST_GROWTH_MIB = 64


def trained(folder: Path, images: Path) -> Path:
    keys = {
        "dataset.phantom": "none",
        "dataset.images": images,
        "image.size_px": 64,
        "train.epochs": 2,
        "train.few_images_first": "never",
        "evaluate.bootstrap": 20,
        "name": "judge",
    }
    command = [sys.executable, "-m", "cxr_tui", "--batch", "demo"]
    command += ["--sessions", str(folder / "s"), "--cache", str(folder / "cache")]
    command += [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    subprocess.run(command, check=True, capture_output=True)
    (session,) = (one for one in (folder / "s").iterdir() if one.is_dir())
    return session


def peak_mib(process: int) -> float:
    """Of its resident memory, so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def killed_and_resumed(command: list[str], out: Path, images: int, kills: int) -> dict[str, Any]:
    """Each start's first and last row, and its memory after 500 rows and at its end."""
    draw = random.Random(0)
    at = sorted(draw.randrange(images // 20, images * 9 // 10) for _ in range(kills))
    starts: list[dict[str, Any]] = []
    for wanted in [*at, None]:
        first, early = _rows(out), None
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        peak = 0.0
        while process.poll() is None:
            rows = _rows(out)
            try:
                peak = peak_mib(process.pid)
            except (FileNotFoundError, IndexError):
                break  # ended meanwhile
            if early is None and rows - first >= 500:
                early = peak
            if wanted is not None and rows >= max(wanted, first + 1):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        code = process.wait()
        starts.append(
            {
                "from_row": first,
                "to_row": _rows(out),
                "code": code,
                "mib_after_500": early and round(early),
                "mib_at_end": round(peak),
            }
        )
    return {"starts": starts}


def _rows(out: Path) -> int:
    return max(0, out.read_bytes().count(b"\n") - 1) if out.exists() else 0


def faults_of(
    out: Path, linked: list[Path], originals: int, starts: list[dict[str, Any]]
) -> Iterator[str]:
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if starts[-1]["code"]:
        yield f"the last start ended with {starts[-1]['code']}"
    if [row["file"] for row in rows] != [str(path) for path in linked]:
        yield f"{len(rows):,} rows for {len(linked):,} images, or another order"
        return
    columns = [name for name in rows[0] if name.startswith("prob_")]
    scores_NF = np.array([[float(row[name]) for name in columns] for row in rows])
    for start in range(originals, len(rows), originals):
        some = scores_NF[start : start + originals]
        apart = float(np.abs(some - scores_NF[: len(some)]).max())
        if apart > _MOST_DIFFERENCE:
            yield f"rows from {start:,} on differ by {apart:.1e} from the same images' before"
    early = [one["mib_after_500"] for one in starts if one["mib_after_500"]]
    growth = max(
        (one["mib_at_end"] - one["mib_after_500"] for one in starts if one["mib_after_500"]),
        default=0,
    )
    if early and growth > _MOST_GROWTH_MIB:
        yield f"memory grew by {growth} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--session", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_phantom(folder / "set", patients=60, size_px=256, seed=4)
        session = options.session or trained(folder, folder / "set")
        images = sorted((folder / "set").rglob("*.png"))
        (folder / "many").mkdir()
        linked = [folder / "many" / f"{number:06d}.png" for number in range(options.images)]
        for number, path in enumerate(linked):
            path.hardlink_to(images[number % len(images)])
        out = folder / "out.csv"
        command = [sys.executable, "-m", "cxr_tui", "predict", str(session), str(folder / "many")]
        command += ["--out", str(out), "--resume", "--device", "cpu"]
        command += ["--cache", str(folder / "cache")]
        found = killed_and_resumed(command, out, options.images, options.kills)
        faults = list(faults_of(out, linked, len(images), found["starts"]))
    found |= {
        "images": options.images,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "cpu_seconds": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime),
        "faults": faults,
    }
    print(json.dumps(found, indent=1))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
