"""Overlays on a disk that fails at its Nth change: the command says so, whole files stay.

python tests/faults/overlay_faults.py SESSION CACHE
"""

from __future__ import annotations

import errno
import itertools
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from failing import Failure, on_failing_disk, restarted_with_failing_disk
from warm_start import load_libraries


def sweep_overlays(session: Path, cache: Path) -> dict[str, object]:
    """Fail each change in turn, then save them all."""
    from core.evaluation.maps.cams import chosen_candidates, draw_cams
    from core.evaluation.maps.map_source import open_map_source
    from core.evaluation.maps.methods import method_named
    from core.store.sessions import open_session

    load_libraries()
    source = open_map_source(open_session(session, session.parent), cache, "cpu")
    candidates = chosen_candidates(source, None, 2, seed=0)

    def draw() -> None:
        draw_cams(source, candidates, method_named("cam"))

    cams = session / "cams"
    faults: list[str] = []
    for nth in itertools.count(1):
        for error in (errno.ENOSPC, errno.EIO):
            failure = Failure(nth, error, for_good=error == errno.ENOSPC)
            code, message, changes = on_failing_disk(cams, failure, draw)
            faults += [f"{failure}: {fault}" for fault in _torn_files(cams)]
            # Making a folder that is there already may fail once.
            unharmed = code == 0 and (changes < nth or not failure.for_good)
            if not unharmed and (code != 2 or "disk" not in message or str(cams) not in message):
                faults.append(f"{failure}: ended with {code}: {message}")
        if changes < nth:
            break
    code, message, _ = on_failing_disk(cams, Failure(), draw)
    if code != 0 or not (cams / "cams.csv").exists():
        faults.append(f"with room it ended with {code}: {message}")
    return {"changes": changes, "faults": faults}


def _torn_files(cams: Path) -> list[str]:
    from PIL import Image

    torn = [f"{path.name} is left" for path in cams.glob(".*")]
    for path in cams.glob("*.png"):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError as error:
            torn.append(f"{path.name} is torn: {error}")
    return torn


def main() -> int:
    """The sweep over one session."""
    with tempfile.TemporaryDirectory() as folder:
        if (code := restarted_with_failing_disk(Path(folder))) is not None:
            return code
        seen = sweep_overlays(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps(seen, indent=1))
    return 1 if seen["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
