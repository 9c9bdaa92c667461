"""Draw and write the images of a phantom on all cores.

More than two threads don't help: NumPy's many small operations contend for the GIL, and sixteen
draw no faster than one. So a set that takes seconds is drawn by subprocesses, which inherit no open
files and can start under the console. Each reads its images from a file and writes a byte for each
finished one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import TypeAdapter

from core.data.cache.ingest import usable_cores
from core.data.phantom.anatomy import Chest
from core.data.phantom.cohort import Patient, Visit
from core.data.phantom.imaging import lesions_on_image, render
from core.data.phantom.lesions import Lesion
from core.data.phantom.streams import image_stream, patient_stream
from core.errors import DataError

_MOST_THREADS, _MOST_PROCESSES = 2, 16
_SECONDS_A_PROCESS = 2.0
"""Seconds of drawing that justify a process: it takes a tenth of that to start."""

_FIXED_SECONDS, _SECONDS_AT_256_PX = 0.003, 0.012
"""Seconds per image on one core: a constant, and a part proportional to its pixels."""

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from core.data.phantom.drawing import draw_share; sys.exit(draw_share())"
)
_KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
"""For glibc: don't return freed layers to the system each time (halves the time)."""

_DISK_FAILED = 74
_SLICE_SECONDS = 0.2


@dataclass(frozen=True)
class ImageJob:
    """One image to render, and its file."""

    patient: Patient
    visit: Visit
    folder: str
    rgba: bool


@dataclass(frozen=True)
class _Share:
    """The images that one subprocess draws."""

    folder: Path
    jobs: Sequence[ImageJob]
    size_px: int
    seed: int


def chest_and_lesions(job: ImageJob, seed: int) -> tuple[Chest, tuple[Lesion, ...]]:
    """The chest and lesions of an image, without rendering."""
    patient, visit = job.patient, job.visit
    stream = image_stream(seed, patient.number, visit.follow_up)
    return lesions_on_image(patient.chest, patient.sites_at(visit), stream, view=visit.view)


def draw_images(
    folder: Path, jobs: Sequence[ImageJob], *, size_px: int, seed: int
) -> Generator[int, None, None]:
    """Draw and write every image; yields the number done from time to time, and finally all.

    The jobs' folders must exist. The bytes don't depend on how they are drawn. After the generator
    is closed, nothing more is written.

    Raises:
        OSError: the disk is full or fails.
        DataError: a drawing process was killed.
    """
    share = _Share(folder, jobs, size_px, seed)
    with contextlib.ExitStack() as stack:
        drawn = None
        if (processes := _worthwhile_processes(len(jobs), size_px)) > 1:
            drawn = _begun(share, processes, stack)
            if drawn is None:
                stack.close()  # of the processes already started
        yield from _by_threads(share) if drawn is None else drawn


def _worthwhile_processes(num_images: int, size_px: int) -> int:
    seconds = num_images * (_FIXED_SECONDS + _SECONDS_AT_256_PX * (size_px / 256) ** 2)
    return min(usable_cores(), _MOST_PROCESSES, int(seconds / _SECONDS_A_PROCESS))


def _by_threads(share: _Share) -> Iterator[int]:
    pool = ThreadPoolExecutor(min(usable_cores(), _MOST_THREADS), thread_name_prefix="phantom")
    yield 0
    try:
        for done, _ in enumerate(pool.map(lambda job: _draw(share, job), share.jobs), start=1):
            yield done
    finally:
        # After a failure the rest isn't needed, and no thread may write any more.
        pool.shutdown(wait=True, cancel_futures=True)


def _begun(share: _Share, processes: int, stack: contextlib.ExitStack) -> Iterator[int] | None:
    """Draw with subprocesses; None if none can be started.

    Raises:
        OSError: the disk is full.
    """
    marks, given_marks = os.pipe()
    stack.callback(os.close, marks)
    children, errors = [], []
    try:
        for number in range(processes):
            order = stack.enter_context(_nameless_file(share.folder))
            own = _Share(share.folder, share.jobs[number::processes], share.size_px, share.seed)
            order.write(_as_json(own))
            order.seek(0)
            errors.append(stack.enter_context(_nameless_file(share.folder)))
            child = _started(order, given_marks, errors[-1])
            if child is None:
                return None
            children.append(child)
            stack.callback(_end, child)
    finally:
        os.close(given_marks)
    return _by_processes(marks, children, errors)


def _nameless_file(folder: Path) -> BinaryIO:
    return tempfile.TemporaryFile(dir=folder)


def _started(order: BinaryIO, marks: int, errors: BinaryIO) -> subprocess.Popen[bytes] | None:
    """Start a drawing process; None if the system can't: threads are used then."""
    if not sys.executable:
        return None
    # Isolated: the working folder, perhaps somebody's data set, may contain a json.py. That ignores
    # environment variables, so file names get our encoding explicitly.
    spelling = f"utf8={sys.flags.utf8_mode}"
    command = [sys.executable, "-I", "-X", spelling, "-c", _CHILD, json.dumps(sys.path)]
    try:
        return subprocess.Popen(
            command, stdin=order, stdout=marks, stderr=errors, env=os.environ | _KEEPS_MEMORY
        )
    except OSError:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _by_processes(
    marks: int, children: Sequence[subprocess.Popen[bytes]], errors: Sequence[BinaryIO]
) -> Iterator[int]:
    done, given = 0, b"."
    while given:
        # Yield several times a second even during start-up: the caller may want to stop.
        if select.select([marks], [], [], _SLICE_SECONDS)[0]:
            given = os.read(marks, 65536)
            done += len(given)
        yield done
    for child, told in zip(children, errors, strict=True):
        if (code := child.wait()) == 0:
            continue
        told.seek(0)
        lines = told.read().decode(errors="replace").strip().splitlines() or [""]
        if code == _DISK_FAILED:
            raise OSError(int(lines[-1]), os.strerror(int(lines[-1])))
        how = f"signal {-code}" if code < 0 else f"code {code}, {lines[-1]}"
        raise DataError(
            f"a process that drew the phantom failed with {how}",
            why="Nothing of it was kept",
            remedy="If memory ran out, use fewer cores (taskset) and try again.",
        )


def draw_share() -> int:
    """The subprocess's work: reads its share from stdin, writes a byte to stdout for each image."""
    # The parent handles these signals and ends us; a scheduler sends them to all processes.
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(kind, signal.SIG_IGN)
    share = _of_json(sys.stdin.buffer.read())
    for job in share.jobs:
        try:
            _draw(share, job)
        except OSError as error:
            if error.errno is None:  # not a disk error
                raise
            sys.stderr.write(f"{error.errno}\n")  # for the parent
            return _DISK_FAILED
        os.write(1, b".")  # if the parent is gone, this ends the process
    return 0


def _as_json(share: _Share) -> bytes:
    told = asdict(share) | {"folder": os.fspath(share.folder)}
    return json.dumps(told).encode("ascii")


def _of_json(text: bytes) -> _Share:
    told = json.loads(text)
    jobs = TypeAdapter(tuple[ImageJob, ...]).validate_python(told["jobs"])
    return _Share(Path(told["folder"]), jobs, told["size_px"], told["seed"])


def _draw(share: _Share, job: ImageJob) -> None:
    patient, visit = job.patient, job.visit
    chest, lesions = chest_and_lesions(job, share.seed)
    grey_SS = render(
        chest,
        lesions,
        size_px=share.size_px,
        view=visit.view,
        patient_stream=patient_stream(share.seed, patient.number),
        stream=image_stream(share.seed, patient.number, visit.follow_up),
    )
    path = share.folder / job.folder / "images" / visit.file_name
    path.write_bytes(_png(grey_SS, rgba=job.rgba))


def _png(grey_SS: npt.NDArray[np.uint8], *, rgba: bool) -> bytes:
    image = Image.fromarray(grey_SS)
    if rgba:
        image = image.convert("RGBA")
    encoded = io.BytesIO()
    # Noise hardly compresses: a higher level only costs time.
    image.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
