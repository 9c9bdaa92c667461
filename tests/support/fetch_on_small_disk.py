"""A fetch on a disk of a megabyte that fills up in the middle, and gets room again.

    unshare --map-root-user --mount python tests/support/fetch_on_small_disk.py MOUNT_POINT

What was said, in order, is printed as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from file_server import served

from core.errors import DataError
from core.model.input_spec import IMAGENET
from core.model.pretrained.fetching import Progress, fetch
from core.model.pretrained.known import KnownWeights

_DISK_BYTES = 1_000_000


def main(disk: Path) -> None:
    """Fetch on a disk that fills up, then on one with room, then on one that is too small."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    content, filler, said = os.urandom(700_000), disk / "filler", []

    def fill(progress: Progress) -> None:
        if progress.done and not filler.exists():
            filler.write_bytes(bytes(_DISK_BYTES // 2))

    with served(content) as server:
        known = KnownWeights(
            *("stand-in", "a stand-in", "nothing", "stand-in.pth", server.url, "", "none"),
            *(IMAGENET, len(content), server.sha256),
        )
        for tell in (fill, fill, lambda _: None):
            try:
                said.append(fetch(known, disk / "weights", tell=tell).name)
            except DataError as error:
                said.append(str(error))
            if len(said) > 1:
                filler.unlink(missing_ok=True)
        said += server.ranges
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
