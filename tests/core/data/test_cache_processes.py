"""Caches that are filled by several processes, by killed ones, and on disks that are too small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cached_images import (
    SIZE_PX,
    holds_what_the_files_hold,
    opened,
    ready,
    write_images,
)

from core.data.cache.cache import IngestProgress
from core.errors import StoppedError

# Other processes: a script on its own, since what is tested is what the kernel does.

SCRIPT = """
import os, signal, sys
from pathlib import Path
from core.data.cache.cache import open_cache
from core.data.images.image_files import find_images
from core.errors import DataError
assert "torch" not in sys.modules
cache, images = Path(sys.argv[1]), Path(sys.argv[2])
files = find_images(images, [path.name for path in images.iterdir()]).files
def run(progress=None, should_stop=None):
    return open_cache(cache, files, list(files), size_px=16, resize="squash", threads=2,
                      progress=progress, should_stop=should_stop)
"""

KILLED_MIDWAY = """
left = iter(range(300))  # it is asked whether to stop at every image
def kill_at_300():
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
run(should_stop=kill_at_300)
"""

WAITING_MIDWAY = """
asked = []
def wait_for_word(step):
    if not asked:
        asked.append(step)
        print("holding", flush=True)
        sys.stdin.readline()
run(wait_for_word)
print("done", flush=True)
"""

DISK_FILLED_MIDWAY = """
from core.data.cache.cache import count_ready
filler = cache / "filler"
left = iter(range(300))
def fill_the_disk():
    if next(left, None) is None and not filler.exists():
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
try:
    run(should_stop=fill_the_disk)
except DataError as error:
    print(error)
print(count_ready(cache, files, list(files), size_px=16, resize="squash"))
filler.unlink()
first = []
run(lambda step: first or first.append(step.done))
print(first[0])
print(count_ready(cache, files, list(files), size_px=16, resize="squash"))
"""

REFUSED = """
import resource
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    run()
except DataError as error:
    print(error)
"""


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", SCRIPT + script, *map(str, arguments)]


def on_small_disk(size: str, mount_point: Path, run: list[str]) -> list[str]:
    """The command in a mount namespace of its own, with a real disk of this size."""
    mount = f"mount -t tmpfs -o size={size} tmpfs '{mount_point}' && exec \"$@\""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *run]


def can_mount() -> bool:
    try:
        attempt = subprocess.run(on_small_disk("1m", Path("/tmp"), ["true"]), check=False)
    except OSError:
        return False
    return attempt.returncode == 0


def test_an_ingest_that_was_killed_goes_on_from_its_last_group(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 400)
    killed = subprocess.run(
        command(KILLED_MIDWAY, tmp_path / "cache", tmp_path / "nih"), check=False
    )
    assert killed.returncode == -9
    assert 256 <= ready(tmp_path / "cache", tmp_path / "nih") < 400
    told: list[IngestProgress] = []
    cache = opened(tmp_path / "cache", tmp_path / "nih", progress=told.append)
    assert told[0].done >= 256
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_two_processes_wait_for_each_other_and_the_second_decodes_nothing(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 20)
    with subprocess.Popen(
        command(WAITING_MIDWAY, tmp_path / "cache", tmp_path / "nih"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        waits: list[IngestProgress] = []
        with pytest.raises(StoppedError):
            opened(
                tmp_path / "cache",
                tmp_path / "nih",
                progress=waits.append,
                should_stop=lambda: len(waits) == 2,
            )
        assert waits[0].waiting_for is not None
        assert waits[0].waiting_for.startswith(f"process {other.pid} on ")
        told: list[IngestProgress] = []

        def let_it_go_on(step: IngestProgress) -> None:
            told.append(step)
            if len(told) == 1:
                other.stdin.write("go on\n")  # type: ignore[union-attr]
                other.stdin.flush()  # type: ignore[union-attr]

        cache = opened(tmp_path / "cache", tmp_path / "nih", progress=let_it_go_on)
        assert other.stdout.readline() == "done\n"
    assert told[0].waiting_for is not None
    assert {step.done for step in told if step.waiting_for is None} == {20}
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 20)
    with subprocess.Popen(
        command(WAITING_MIDWAY, tmp_path / "cache", tmp_path / "nih"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        cache = opened(tmp_path / "cache", tmp_path / "nih", progress=lambda _: other.kill())
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


@pytest.mark.skipif(not can_mount(), reason="no right to mount a small disk")
def test_a_disk_that_fills_up_is_named_and_what_was_decoded_is_kept(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 1_500)
    (tmp_path / "cache").mkdir()
    run = command(DISK_FILLED_MIDWAY, tmp_path / "cache", tmp_path / "nih")
    done = subprocess.run(
        on_small_disk("3m", tmp_path / "cache", run), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    message, kept, first_after, in_the_end = done.stdout.splitlines()
    assert "the disk of the cache is full" in message
    assert str(tmp_path / "cache") in message
    assert "--cache DIR" in message
    assert 256 <= int(kept) < 1_500
    assert first_after == kept
    assert in_the_end == "1500"


@pytest.mark.skipif(not can_mount(), reason="no right to mount a small disk")
def test_a_disk_that_is_too_small_is_refused_before_the_start(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 50)
    (tmp_path / "cache").mkdir()
    run = command(REFUSED, tmp_path / "cache", tmp_path / "nih")
    done = subprocess.run(
        on_small_disk("600k", tmp_path / "cache", run), capture_output=True, text=True, check=True
    )
    assert "the cache of 50 images at 16 px needs 1.0 MiB, and the disk has 0." in done.stdout
    assert "--cache DIR" in done.stdout


def test_a_limit_on_file_sizes_is_told_as_a_full_disk(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 50)
    run = command(REFUSED, tmp_path / "cache", tmp_path / "nih", 50 * SIZE_PX**2 - 1)
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "the disk of the cache is full, or the quota is exhausted" in done.stdout
    assert "--cache DIR" in done.stdout
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
