"""Decode once: what a cache holds, and what it survives."""

from __future__ import annotations

import fcntl
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from cached_images import (
    SIZE_PX,
    decoded,
    files_of,
    found,
    holds_what_the_files_hold,
    opened,
    ready,
    write_images,
)
from PIL import Image

from core.data.cache.cache import IngestProgress, cache_size_bytes, open_cache
from core.data.images.image_files import find_images
from core.data.images.repair import Repair
from core.errors import DataError, StoppedError


def test_a_row_is_its_image_at_the_input_size(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 30)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert cache.names == tuple(names)
    assert cache.size_px == SIZE_PX
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    rows = cache.rows_of([names[7], names[2], names[7]])
    assert rows.tolist() == [7, 2, 7]
    assert cache.pixels(rows).shape == (3, SIZE_PX, SIZE_PX)
    assert cache.pixels(rows).flags.writeable  # a copy: nobody can write into the cache
    assert cache.original_sizes_px(rows).tolist() == [[24, 20]] * 3


def test_what_was_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 400)
    cache = open_cache(
        tmp_path / "cache", images := found(tmp_path / "nih"), list(images), size_px=256,
        resize="squash",
    )  # fmt: skip
    cache.pixels(np.arange(4))
    before = mapped_bytes()
    for row in range(400):
        cache.pixels(np.array([row]))
    assert mapped_bytes() - before < 4 * 2**20  # of 25 MiB


def mapped_bytes() -> int:
    """Of files, in this process's memory."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("RssFile:")[2].split()[0])


def test_only_wanted_rows_are_filled_and_the_rest_later(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 12)
    some = opened(tmp_path / "cache", tmp_path / "nih", wanted=names[3:6])
    assert ready(tmp_path / "cache", tmp_path / "nih") == 3
    assert some.rows_of(names[3:6]).tolist() == [3, 4, 5]
    with pytest.raises(DataError, match="has no pixels here: it was not requested"):
        some.rows_of(names[:1])
    with pytest.raises(DataError, match="has no pixels here"):
        some.rows_of(["another.png"])
    every = opened(tmp_path / "cache", tmp_path / "nih")
    assert every.folder == some.folder
    assert holds_what_the_files_hold(every, tmp_path / "nih")


def test_a_finished_cache_is_opened_without_lock_images_or_writing(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 10)
    files = found(tmp_path / "nih")
    first = opened(tmp_path / "cache", tmp_path / "nih")
    before = files_of(first)
    for file in files.values():
        file.path.unlink()
    with (first.folder / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody is writing other rows
        told: list[IngestProgress] = []
        again = open_cache(
            tmp_path / "cache",
            files,
            list(files),
            size_px=SIZE_PX,
            resize="squash",
            progress=told.append,
        )
    assert told == []
    assert files_of(again) == before
    assert np.array_equal(again.pixels(np.arange(10)), first.pixels(np.arange(10)))


def test_each_size_and_way_to_resize_has_its_own_cache(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 3)
    folders = {
        opened(tmp_path / "cache", tmp_path / "nih", size_px=size_px, resize=resize).folder
        for size_px in (8, 16)
        for resize in ("squash", "crop")
    }
    assert len(folders) == 4


def test_a_data_set_that_moved_is_the_same_one(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 5)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    (tmp_path / "nih").rename(tmp_path / "moved")
    told: list[IngestProgress] = []
    again = opened(tmp_path / "cache", tmp_path / "moved", progress=told.append)
    assert again.folder == first.folder
    assert told == []


def test_progress_counts_up_to_the_wanted_images(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 40)
    (tmp_path / "nih" / names[5]).write_bytes(b"")
    told: list[IngestProgress] = []
    opened(tmp_path / "cache", tmp_path / "nih", progress=told.append, max_quarantined_share=0.5)
    assert (told[0].done, told[0].total, told[0].quarantined) == (0, 40, 0)
    assert (told[-1].done, told[-1].total, told[-1].quarantined) == (40, 40, 1)
    assert [step.done for step in told] == sorted(step.done for step in told)
    assert told[-1].images_per_second > 0
    assert told[-1].seconds_left == 0


def test_archives_give_the_same_pixels_as_loose_files(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 9)
    for number in range(3):
        (tmp_path / "tarred").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / "tarred" / f"images_{number}.tar.gz", "w:gz") as tar:
            for name in reversed(names[number::3]):
                tar.add(tmp_path / "nih" / name, f"images/{name}")
    files = find_images(tmp_path / "tarred", names).files
    cache = open_cache(tmp_path / "cache", files, names, size_px=SIZE_PX, resize="squash")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_an_archive_that_lost_an_image_since_it_was_listed_costs_that_image(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 3)
    archive = tmp_path / "tarred" / "images_1.tar"
    archive.parent.mkdir()
    for kept in (names, names[:2]):
        with tarfile.open(archive, "w") as tar:
            for name in kept:
                tar.add(tmp_path / "nih" / name, name)
        if kept is names:
            files = find_images(archive.parent, names).files
    cache = open_cache(
        tmp_path / "cache", files, names, size_px=8, resize="crop", max_quarantined_share=1
    )
    assert cache.quarantined == {names[2]: "no longer in its archive"}


def broken_images(folder: Path) -> dict[str, bytes]:
    whole = next(iter(sorted(folder.iterdir()))).read_bytes()
    blank = io.BytesIO()
    Image.new("L", (30, 30), 0).save(blank, "PNG")
    return {
        "90000001_000.png": whole[: len(whole) // 2],
        "90000002_000.png": b"",
        "90000003_000.png": b"<html>Please log in</html>",
        "90000004_000.png": blank.getvalue(),
    }


def test_images_that_cannot_be_decoded_are_quarantined_by_name_and_reason(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 8)
    for name, content in broken_images(tmp_path / "nih").items():
        (tmp_path / "nih" / name).write_bytes(content)
    expected = {
        "90000001_000.png": "truncated",
        "90000002_000.png": "empty file",
        "90000003_000.png": "an HTML page, not an image",
        "90000004_000.png": "constant image (every pixel is 0)",
    }
    for _ in range(2):  # found out, and then remembered
        cache = opened(tmp_path / "cache", tmp_path / "nih", max_quarantined_share=0.4)
        assert cache.quarantined == expected
        assert np.array_equal(
            cache.pixels(cache.rows_of(names)), decoded(tmp_path / "nih", tuple(names))
        )
        with pytest.raises(DataError, match=r"90000002_000\.png has no pixels here: empty file"):
            cache.rows_of(["90000002_000.png"])
    listed = (cache.folder / "quarantine.csv").read_text().splitlines()
    assert listed[0] == "Image Index,reason"
    assert listed[1] == "90000001_000.png,truncated"
    assert len(listed) == 5


def test_above_the_share_it_refuses_to_start_and_says_which(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 8)
    for name, content in broken_images(tmp_path / "nih").items():
        (tmp_path / "nih" / name).write_bytes(content)
    for _ in range(2):
        with pytest.raises(DataError) as refused:
            opened(tmp_path / "cache", tmp_path / "nih", max_quarantined_share=0.3)
        message = str(refused.value)
        assert refused.value.exit_code == 3
        assert "4 of 12 images (33.33%)" in message
        assert "1 × truncated" in message
        assert "90000003_000.png: an HTML page, not an image" in message
        assert "dataset.max_quarantined_share" in message
        assert "quarantine.csv" in message


def test_the_share_is_of_the_wanted_images(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 8)
    for name, content in broken_images(tmp_path / "nih").items():
        (tmp_path / "nih" / name).write_bytes(content)
    assert opened(tmp_path / "cache", tmp_path / "nih", wanted=names).quarantined == {}


def test_a_quarantined_image_is_tried_again_once_it_changed(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    path = tmp_path / "nih" / names[1]
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(whole[:-60] + b"\0" * 60)  # as long as it should be, and yet broken
    cache = opened(tmp_path / "cache", tmp_path / "nih", max_quarantined_share=1)
    assert list(cache.quarantined) == [names[1]]
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 5_000_000_000))
    again = opened(tmp_path / "cache", tmp_path / "nih")
    assert again.folder == cache.folder
    assert holds_what_the_files_hold(again, tmp_path / "nih")
    assert (cache.folder / "quarantine.csv").read_text() == "Image Index,reason\n"


def test_an_image_that_cannot_be_read_now_is_tried_again_next_time(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    files = found(tmp_path / "nih")
    path = tmp_path / "nih" / names[2]
    path.rename(tmp_path / "aside")
    settings = {"size_px": SIZE_PX, "resize": "squash", "max_quarantined_share": 1.0}
    cache = open_cache(tmp_path / "cache", files, names, **settings)  # type: ignore[arg-type]
    assert cache.quarantined == {names[2]: "can't be read: No such file or directory"}
    (tmp_path / "aside").rename(path)
    cache = open_cache(tmp_path / "cache", files, names, **settings)  # type: ignore[arg-type]
    assert cache.quarantined == {}
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_an_image_that_changed_and_cannot_be_read_is_not_given_as_it_was(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    opened(tmp_path / "cache", tmp_path / "nih")
    os.utime(tmp_path / "nih" / names[1], ns=(0, 0))
    files = found(tmp_path / "nih")
    (tmp_path / "nih" / names[1]).unlink()
    cache = open_cache(
        tmp_path / "cache",
        files,
        names,
        size_px=SIZE_PX,
        resize="squash",
        max_quarantined_share=0.25,
    )
    assert list(cache.quarantined) == [names[1]]
    with pytest.raises(DataError, match="can't be read"):
        cache.rows_of(names)


def test_a_changed_image_is_decoded_again(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 6)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    path = tmp_path / "nih" / names[4]
    size, mtime_ns = path.stat().st_size, path.stat().st_mtime_ns
    write_images(tmp_path / "nih", 1, seed=9, first=5)
    os.utime(path, ns=(mtime_ns, mtime_ns + 1))
    assert path.stat().st_size == size
    assert ready(tmp_path / "cache", tmp_path / "nih") == 5
    again = opened(tmp_path / "cache", tmp_path / "nih")
    assert again.folder == first.folder
    assert holds_what_the_files_hold(again, tmp_path / "nih")


def test_images_that_were_only_touched_are_read_and_not_decoded_again(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 6)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    for name in names:
        os.utime(tmp_path / "nih" / name, ns=(0, 1_600_000_000_000_000_000))
    written = (first.folder / "pixels.u8").stat().st_mtime_ns
    again = opened(tmp_path / "cache", tmp_path / "nih")
    assert (again.folder / "pixels.u8").stat().st_mtime_ns == written
    assert holds_what_the_files_hold(again, tmp_path / "nih")
    told: list[IngestProgress] = []
    opened(tmp_path / "cache", tmp_path / "nih", progress=told.append)
    assert told == []


def test_a_data_set_that_grew_takes_over_the_rows_of_the_one_before(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 6)
    opened(tmp_path / "cache", tmp_path / "nih")
    expected_NSS = decoded(tmp_path / "nih", names)
    more = write_images(tmp_path / "nih", 2, first=100)
    files = found(tmp_path / "nih")
    for name in names:  # could not be read any more, and need not be
        (tmp_path / "nih" / name).unlink()
    cache = open_cache(
        tmp_path / "cache", files, list(files), size_px=SIZE_PX, resize="squash", threads=2
    )
    assert np.array_equal(cache.pixels(cache.rows_of(names)), expected_NSS)
    assert np.array_equal(cache.pixels(cache.rows_of(more)), decoded(tmp_path / "nih", more))
    assert cache.original_sizes_px(np.arange(6)).tolist() == [[24, 20]] * 6


def test_what_was_converted_is_counted(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    image = Image.open(tmp_path / "nih" / names[0])
    image.convert("RGBA").save(tmp_path / "nih" / names[1])
    image.convert("RGB").resize((50, 50)).save(tmp_path / "nih" / names[2])
    for _ in range(2):
        cache = opened(tmp_path / "cache", tmp_path / "nih")
        assert cache.converted == {"RGB": 1, "RGBA": 1}


def test_what_was_repaired_is_counted_now_and_when_it_comes_from_the_cache(tmp_path: Path) -> None:
    first, second, _ = write_images(tmp_path / "nih", 3)
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.open(tmp_path / "nih" / first).save(tmp_path / "nih" / first, exif=tag)
    deep = np.asarray(Image.open(tmp_path / "nih" / second)).astype(np.uint16) * 16
    deep[0, 0] = 65_535
    Image.fromarray(deep).save(tmp_path / "nih" / second)
    for _ in range(2):
        cache = opened(tmp_path / "cache", tmp_path / "nih")
        assert cache.repaired == {Repair.TURNED: 1, Repair.MARKER_CUT: 1}
        assert list(cache.read_otherwise().values()) == [1, 1, 1]  # and 16 bits made grey


@pytest.mark.parametrize("stop_at", [1, 17])
def test_a_stopped_ingest_keeps_what_it_has(tmp_path: Path, stop_at: int) -> None:
    write_images(tmp_path / "nih", 30)
    asked = iter(range(1_000))
    with pytest.raises(StoppedError, match="of 30 are ready") as stopped:
        opened(tmp_path / "cache", tmp_path / "nih", should_stop=lambda: next(asked) + 1 >= stop_at)
    assert stopped.value.exit_code == 75
    assert ready(tmp_path / "cache", tmp_path / "nih") == stop_at
    told: list[IngestProgress] = []
    cache = opened(tmp_path / "cache", tmp_path / "nih", progress=told.append)
    assert told[0].done == stop_at
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


@pytest.mark.parametrize("name", ["manifest.json", "rows.bin", "pixels.u8"])
@pytest.mark.parametrize("damage", [b"", b"\0", b"{}", b"\xff" * 4_000])
def test_a_damaged_cache_is_built_again(tmp_path: Path, name: str, damage: bytes) -> None:
    write_images(tmp_path / "nih", 5)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    (cache.folder / name).write_bytes(damage)
    again = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(again, tmp_path / "nih")


def test_rows_of_an_older_decoder_are_not_trusted(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 5)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    (cache.folder / "pixels.u8").write_bytes(bytes(5 * SIZE_PX**2))
    manifest = (cache.folder / "manifest.json").read_text()
    (cache.folder / "manifest.json").write_text(manifest.replace('"decoder": ', '"decoder": 99'))
    assert ready(tmp_path / "cache", tmp_path / "nih") == 0
    assert holds_what_the_files_hold(opened(tmp_path / "cache", tmp_path / "nih"), tmp_path / "nih")


def test_no_single_damaged_byte_of_a_record_is_trusted(tmp_path: Path) -> None:
    for name in write_images(tmp_path / "nih", 2):
        os.utime(tmp_path / "nih" / name, ns=(0, 1_600_000_000_000_000_000))
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    whole = (cache.folder / "rows.bin").read_bytes()
    for position in range(64, 128):
        content = bytearray(whole)
        content[position] ^= 4
        (cache.folder / "rows.bin").write_bytes(content)
        assert ready(tmp_path / "cache", tmp_path / "nih") == 1
    (cache.folder / "rows.bin").write_bytes(whole[64:] + whole[:64])  # each in the other's place
    assert ready(tmp_path / "cache", tmp_path / "nih") == 0


def test_a_cache_that_somebody_replaced_meanwhile_is_not_trusted(tmp_path: Path) -> None:
    """As two writers would, on a file system without locks."""
    write_images(tmp_path / "nih", 5)

    def replace_the_pixels() -> bool:
        (pixels,) = (tmp_path / "cache").glob("*/pixels.u8")
        pixels.unlink()
        pixels.write_bytes(bytes(5 * SIZE_PX**2))
        return False

    with pytest.raises(DataError, match="its files were replaced meanwhile"):
        opened(tmp_path / "cache", tmp_path / "nih", should_stop=replace_the_pixels)
    assert ready(tmp_path / "cache", tmp_path / "nih") == 0
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_a_lost_quarantine_list_is_found_out_again(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 3)
    (tmp_path / "nih" / names[0]).write_bytes(b"")
    cache = opened(tmp_path / "cache", tmp_path / "nih", max_quarantined_share=1)
    for damage in (b"", b"\xff\0", b"Image Index,reason\nonly a name\n"):
        (cache.folder / "quarantine.csv").write_bytes(damage)
        again = opened(tmp_path / "cache", tmp_path / "nih", max_quarantined_share=1)
        assert again.quarantined == {names[0]: "empty file"}


def test_a_file_where_the_cache_folder_should_be_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 2)
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(DataError, match=r"cache.*can't be written: .*--cache DIR"):
        opened(tmp_path / "cache", tmp_path / "nih")


def test_wanting_images_that_were_not_found_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 2)
    with pytest.raises(DataError, match=r"1 of the wanted images were not found, such as x\.png"):
        opened(tmp_path / "cache", tmp_path / "nih", wanted=["x.png", "00000001_000.png"])
    with pytest.raises(DataError, match="no images are wanted"):
        opened(tmp_path / "cache", tmp_path / "nih", wanted=[])


def test_the_size_of_all_of_nih_at_224_px_is_known_beforehand() -> None:
    assert 5.2 < cache_size_bytes(112_120, 224) / 2**30 < 5.3


@pytest.mark.skipif("CXR_NIH_DIR" not in os.environ, reason="CXR_NIH_DIR names no NIH images")
def test_the_real_images_all_reach_the_cache(tmp_path: Path) -> None:
    images = Path(os.environ["CXR_NIH_DIR"])
    cache = opened(tmp_path / "cache", images, size_px=224)
    assert len(cache.names) == 240
    assert cache.quarantined == {}
    assert cache.converted == {"RGBA": 4}
    rows = cache.rows_of(cache.names)
    assert set(cache.original_sizes_px(rows).ravel().tolist()) == {1024}
    assert 100 < cache.pixels(rows).mean() < 160
