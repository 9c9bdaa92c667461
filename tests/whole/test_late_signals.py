"""A stop is heard within seconds, whatever is under way: slow images, walks, tables, archives."""

import io
import os
import signal
import subprocess
import tarfile
import threading
import time
import tracemalloc

import numpy as np
import pytest
import warm_start
from PIL import Image
from small_runs import NAME, kinds_of, made_session, program, until
from tables import image_name, row_v2020, write_lines, write_v2020

from core.data.cache.cache import open_cache
from core.data.images import decode_jobs, folder_walk
from core.data.images.archives import list_archive, stream_archive
from core.data.images.image_files import find_images
from core.data.study import study
from core.errors import StoppedError
from core.in_slices import in_slices, is_somebody_left_behind
from core.recipe import Recipe


def stop(*_):
    raise StoppedError("asked to stop")


def slow_bmp(side_px):
    """Pillow's reader of this one is Python, a pair of bytes at a time: a second a megapixel."""
    row = bytes(v for x in range(side_px) for v in (1, x % 251)) + b"\0\0"
    pixels = row * side_px + b"\0\1"
    palette = b"".join(bytes((v, v, v, 0)) for v in range(256))
    start = 14 + 40 + len(palette)
    size = (start + len(pixels)).to_bytes(4, "little")
    header = b"BM" + size + bytes(4) + start.to_bytes(4, "little")
    fields = (40, side_px, side_px), (1, 8), (1, len(pixels), 0, 0, 256, 0)
    shape = b"".join(
        value.to_bytes(width, "little")
        for width, values in zip((4, 2, 4), fields, strict=True)
        for value in values
    )
    return header + shape + palette + pixels


def test_work_that_is_walked_away_from_is_not_waited_for():
    let_go = threading.Event()
    with pytest.raises(StoppedError):
        in_slices(let_go.wait, stop)
    assert is_somebody_left_behind()
    let_go.set()
    until(lambda: not is_somebody_left_behind(), "the work's end")
    with pytest.raises(TimeoutError, match="its own"):
        in_slices(lambda: (_ for _ in ()).throw(TimeoutError("its own")), stop)
    assert in_slices(lambda: 5, stop) == 5


def test_a_walk_asks_in_folders_without_an_image_too(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_walk, "_SECONDS_BETWEEN_REPORTS", -1)
    for number in range(20):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "notes.txt").touch()
    told = []

    def progress(found):
        told.append(found)
        if len(told) == 15:
            stop()

    with pytest.raises(StoppedError):
        find_images(tmp_path, ["00000001_000.png"], progress=progress)


@pytest.mark.parametrize("after_the_end", [False, True])
def test_an_archive_asks_within_a_member_and_after_its_end(tmp_path, after_the_end):
    entry, packed = tarfile.TarInfo("zeros"), io.BytesIO()
    entry.size = 0 if after_the_end else 100 * 2**20
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
        image = tarfile.TarInfo("a.png")
        tar.addfile(image, io.BytesIO())
        if after_the_end:
            tar.fileobj.write(bytes(100 * 2**20))
    archive = tmp_path / "images.tar.gz"
    archive.write_bytes(packed.getvalue())
    told = []
    assert [member.path for member in list_archive(archive, progress=told.append).members] == [
        "a.png"
    ]
    assert len(told) > 12
    asked = []
    assert list(stream_archive(archive, ["a.png"], lambda: asked.append(1))) == [("a.png", b"")]
    assert after_the_end or len(asked) > 8


def test_while_a_table_is_read_a_stop_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_PROGRESS_SECONDS", -1)
    patients = range(150_000)
    images = list(map(image_name, patients))
    write_v2020(tmp_path / "Data_Entry_2017_v2020.csv", map(row_v2020, patients))
    for part in ("train_val", "test"):
        write_lines(tmp_path / f"{part}_list.txt", images[part == "test" :: 2])
    recipe = Recipe.model_validate({"dataset": {"images": tmp_path}})
    told = []

    def progress(stage, *_):
        told.append(stage)
        stop()

    with pytest.raises(StoppedError):
        study.prepare_study(recipe, tmp_path / "cache", labels_only=True, progress=progress)
    assert told == ["reading the tables"]
    until(lambda: not is_somebody_left_behind(), "the reading's end", 60)


def test_an_image_that_takes_long_to_decode_is_not_waited_for(tmp_path):
    (tmp_path / "a.png").write_bytes(slow_bmp(1500))
    files = find_images(tmp_path, ["a.png"]).files
    with pytest.raises(StoppedError):
        open_cache(
            tmp_path / "c", files, ["a.png"], size_px=8, resize="squash", should_stop=lambda: True
        )
    assert is_somebody_left_behind()
    until(lambda: not is_somebody_left_behind(), "the decoding's end", 60)


def test_images_out_of_an_archive_wait_in_a_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_jobs, "_BYTES_IN_FLIGHT", 8 * 2**20)
    packed = io.BytesIO()
    Image.fromarray((np.indices((2000, 2000)).sum(0) % 251).astype(np.uint8)).save(packed, "BMP")
    names = [f"{number}.bmp" for number in range(30)]
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(packed.getvalue())
            tar.addfile(entry, io.BytesIO(packed.getvalue()))
    files = find_images(tmp_path, names).files
    tracemalloc.start()
    cache = open_cache(tmp_path / "c", files, names, size_px=8, resize="squash", threads=8)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not cache.quarantined
    assert peak_bytes < 40 * 2**20  # thirty images are 120 MiB


@pytest.mark.slow
def test_a_run_stops_in_the_middle_of_an_image(tmp_path, phantom_dir):
    folder = tmp_path / "set"
    subprocess.run(["cp", "-r", phantom_dir, folder], check=True)
    min(folder.rglob("*.png")).write_bytes(slow_bmp(5000))
    session = made_session(tmp_path, folder, epochs=1)
    run = warm_start.Popen(
        program(tmp_path / "cache", "--resume", NAME), cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: "IngestProgress" in kinds_of(session), "decoding")
        before = time.monotonic()
        os.kill(run.pid, signal.SIGTERM)
        assert run.wait(timeout=60) == 75
        assert time.monotonic() - before < 5
    finally:
        run.kill()
        run.wait()
    assert kinds_of(session)[-1] == "Stopped"


def test_a_signal_while_torch_is_loaded_leaves_a_session_that_can_go_on(tmp_path, phantom_dir):
    session = made_session(tmp_path, phantom_dir, epochs=1)
    run = subprocess.Popen(  # a warm start has torch, and nothing would be left to load
        program(tmp_path / "cache", "--resume", NAME), cwd=tmp_path, stderr=subprocess.PIPE
    )
    assert run.stderr is not None
    assert run.stderr.readline().startswith(b"session")  # said before torch is loaded
    before = time.monotonic()
    os.kill(run.pid, signal.SIGTERM)
    _, told = run.communicate(timeout=60)
    assert (run.returncode, kinds_of(session)) == (75, [])
    assert time.monotonic() - before < 5
    assert b"before it started; continue with: cxr-tui --resume" in told
