"""How long the walk over MIMIC-CXR-JPG's folders takes beside os.scandir alone.

    python tests/bench/folder_listing.py                377,110 files, minutes
    python tests/bench/folder_listing.py --images 38000

Empty files in the collection's layout (a folder a study, ten above them) and in one flat folder.
Each round times, in turn: os.scandir over all folders, the same with each file's status, and the
product's walk with a table of all names. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from core.data.images.image_files import find_images

_IMAGES_OF_A_STUDY = (1, 1, 2, 2, 2)
_STUDIES_OF_A_PATIENT = (1, 2, 3, 4, 7)


def nested(root: Path, images: int) -> set[str]:
    """A folder a study and a patient, as MIMIC-CXR-JPG has them; the keys of its images."""
    drawn = random.Random(0)
    keys: list[str] = []
    patient = study = 0
    while len(keys) < images:
        patient += 1
        above = f"p{10 + patient % 10}/p1{patient:07d}"
        for _ in range(drawn.choice(_STUDIES_OF_A_PATIENT)):
            study += 1
            folder = f"{above}/s5{study:07d}"
            (root / folder).mkdir(parents=True)
            for _ in range(min(drawn.choice(_IMAGES_OF_A_STUDY), images - len(keys))):
                keys.append(f"{folder}/{len(keys):08x}-02aa804e-bde0afdd-112c0b34.jpg")
                (root / keys[-1]).touch()
    return set(keys)


def flat(root: Path, images: int) -> set[str]:
    """All in one folder."""
    keys = {f"{number:08d}_000.png" for number in range(images)}
    for key in keys:
        (root / key).touch()
    return keys


def scanned(root: Path, *, with_status: bool) -> int:
    """Files below ``root``, by os.scandir."""
    count, waiting = 0, [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    count += 1
                    if with_status:
                        entry.stat()
    return count


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=377_110)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for layout in (nested, flat):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            keys = layout(root, options.images)
            rounds = [
                (
                    _seconds(lambda root=root: scanned(root, with_status=False)),
                    _seconds(lambda root=root: scanned(root, with_status=True)),
                    _seconds(lambda root=root, keys=keys: find_images(root, keys)),
                )
                for _ in range(options.rounds)
            ]
            bare, status, ours = (median(column) for column in zip(*rounds, strict=True))
            print(
                f"{layout.__name__}: {len(keys):,} files; scandir {bare:.2f} s, with each status "
                f"{status:.2f} s, the walk {ours:.2f} s: {bare / ours:.2f} of scandir, "
                f"{status / ours:.2f} of scandir with status",
                flush=True,
            )


if __name__ == "__main__":
    main()
