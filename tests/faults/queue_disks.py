"""Entries on a disk without room, and on one that can't be written.

    unshare --map-root-user --mount python tests/faults/queue_disks.py MOUNT_POINT [RECIPE]

With a recipe, its run lacks space until the disk grows. What the queue's commands said is printed
as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

import warm_start
from small_disk import fill

from core.errors import CxrError
from core.recipe_toml import load_recipe
from core.store.queue.entry import Ended
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next

_PROGRAM = [sys.executable, "-m", "cxr_tui"]


def queue_on_disks(mount_point: Path, *recipe: Path) -> list[str]:
    """The command that does it, in a mount namespace of its own."""
    program = [sys.executable, __file__, str(mount_point), *map(str, recipe)]
    return ["unshare", "--map-root-user", "--mount", *program]


def seen(disk: Path) -> dict[str, Any]:
    """Do it all."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    queue = Queue(disk / "sessions")
    for name in ("a", "b"):
        queue.add(load_recipe("demo"), name)
    fill(disk / "ballast")
    full = _all(queue)
    taken = take_next(queue)  # the lock needs no room
    assert taken is not None
    full["begin"] = _said(taken.begin)
    full["end"] = _said(lambda: taken.end(Ended("finished", 0)))
    taken.release()
    full["entries"] = [entry.state() for entry in queue.entries()]
    full["left"] = sorted(path.name for path in queue.path.glob(".*"))
    (disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    read_only = _all(queue)
    read_only["take"] = _said(lambda: take_next(queue))
    read_only["entries"] = [entry.state() for entry in queue.entries()]
    return {"full": full, "read_only": read_only}


def seen_of_a_run(disk: Path, recipe: Path) -> list[Any]:
    """What a worker and a look at the queue say, without room for the run and then with it."""
    options = ["-t", "tmpfs", "-o", "size=30m"]
    subprocess.run(["mount", *options, "tmpfs", str(disk)], check=True)
    queue = Queue(disk / "sessions")
    queue.add(load_recipe(str(recipe)), "a")
    small = _worked(queue)
    subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
    return [small, _worked(queue)]


def _worked(queue: Queue) -> dict[str, Any]:
    places = ["--sessions", str(queue.sessions), "--cache", str(queue.sessions / "cache")]
    work = [*_PROGRAM, "queue", "run", "--until-empty", "--device", "cpu", *places]
    done = warm_start.run(work, capture_output=True, text=True)
    return {
        "code": done.returncode,
        "says": done.stderr,
        "states": [entry.state() for entry in queue.entries()],
        "kinds": [type(event).__name__ for event in queue.entry("a").session.milestones()],
    }


def _all(queue: Queue) -> dict[str, Any]:
    entry = queue.entry("b")
    return {
        "add": _said(lambda: queue.add(load_recipe("demo"), "c")),
        "move": _said(lambda: queue.move(entry, 0)),
        "order": [one.session.name for one in queue.entries()],
    }


def _said(act: Any) -> str:
    try:
        act()
    except (CxrError, OSError) as error:
        return str(error)
    return "done"


if __name__ == "__main__":
    places = [Path(argument) for argument in sys.argv[1:]]
    print(json.dumps(seen(*places) if len(places) == 1 else seen_of_a_run(*places)))
