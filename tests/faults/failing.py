"""The failing disk (failing_disk.c): compiled, preloaded, told when to fail; each try a fork."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("failing_disk.c")


@dataclass(frozen=True)
class Failure:
    """How the disk fails; the 0th change never comes."""

    nth: int = 0
    error: int = 0
    for_good: bool = False

    def __str__(self) -> str:
        how = "from then on" if self.for_good else "once"
        return f"change {self.nth}, {errno.errorcode.get(self.error)} {how}"


def restarted_with_failing_disk(folder: Path) -> int | None:
    """The exit code of this program, run again under the library; None where it is already.

    Raises:
        OSError, subprocess.CalledProcessError: there is no C compiler here.
    """
    if "failing_disk" in os.environ.get("LD_PRELOAD", ""):
        return None
    library = folder / "failing_disk.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    preloaded = {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    again = [sys.executable, *sys.argv]
    return subprocess.run(again, env=os.environ | preloaded, check=False).returncode


def on_failing_disk(
    folder: Path, failure: Failure, work: Callable[[], object]
) -> tuple[int, str, int]:
    """Do the work in a process of its own: exit code, message, and changes below ``folder``.

    The exit code is the one that the command line would give.
    """
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            answer: list[Any] = json.loads(stream.read() or b'[1, "died", 0]')
        os.waitpid(child, 0)
        return answer[0], answer[1], answer[2]
    try:
        os.close(reader)
        os.write(writer, json.dumps(_tried(folder, failure, work)).encode())
    finally:
        os._exit(0)


def _tried(folder: Path, failure: Failure, work: Callable[[], object]) -> tuple[int, str, int]:
    from core.errors import CxrError

    disk = ctypes.CDLL(None)
    disk.disk_arm(str(folder).encode(), failure.nth, failure.error, failure.for_good)
    code, message = 0, ""
    try:
        work()
    except CxrError as error:
        code, message = error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is what is looked for
        code, message = 1, f"{type(error).__name__}: {error}"
    changes = disk.disk_count()
    disk.disk_arm(b"", 0, 0, 0)
    return code, message, changes
