"""Going on with a session takes no more memory the more steps its runs have recorded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.event_lines import event_line
from core.events import CheckpointWritten, StepRecorded

MIB = 2**20
FEW, MANY = 100_000, 600_000

_PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
WRITER = """
import sys
from pathlib import Path
from core.store.past import Past
from core.store.session import Session

session = Session(Path(sys.argv[1]))
with session.writing() as writer:
    assert Past.of(session).acknowledged_step == int(sys.argv[2])
    assert writer.events_begin_with(writer.events_seal())
"""
DOOR = """
import sys
from cxr_tui.cli import main

assert main(["--resume", sys.argv[1]]) == 0
"""


def with_steps(trained: Path, folder: Path, steps: int) -> Path:
    """A finished session whose run recorded so many more steps than it did, before its end."""
    path = Path(shutil.copytree(trained, folder / str(steps))) / "events.jsonl"
    *before, figures, finished = path.read_text().splitlines(keepends=True)
    step = StepRecorded(
        time=1.8e9,
        step=steps,
        epoch=1,
        train_loss=0.123456789,
        learning_rate=1e-3,
        gradient_norm=0.123456789,
        images_per_second=123.456789,
    )
    kept = CheckpointWritten(time=1.8e9, name="last", step=steps, epoch=1, reason="asked for")
    with path.open("w") as stream:
        stream.writelines(before)
        stream.write((event_line(step) + "\n") * steps)
        stream.writelines((event_line(kept) + "\n", figures, finished))
    return path.parent


@pytest.mark.parametrize("program", [WRITER, DOOR], ids=["its writer", "the program's door"])
def test_memory_does_not_grow_with_the_steps_recorded(
    trained_dir: Path, tmp_path: Path, program: str
) -> None:
    peaks = []
    for steps in (FEW, MANY):
        session = with_steps(trained_dir, tmp_path, steps)
        command = [sys.executable, "-c", program + _PEAK, str(session), str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(1024 * int(done.stdout.split()[-1]))
        shutil.rmtree(session)
    assert peaks[1] - peaks[0] < 16 * MIB, peaks  # of 90 MiB more on disk, 200 as events
