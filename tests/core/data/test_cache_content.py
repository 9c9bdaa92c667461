"""Bytes decide: which image is which, whatever names, sizes and times say, and what is damaged."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from cached_images import (
    SIZE_PX,
    decoded,
    found,
    holds_what_the_files_hold,
    opened,
    ready,
    write_images,
)
from PIL import Image

from core.data.cache import file_signature as signatures
from core.data.cache.cache import ImageCache, IngestProgress, open_cache
from core.data.cache.cache_rows import ROW
from core.data.cache.file_signature import UNKNOWN, file_signature
from core.data.images.image_files import find_images
from core.errors import DataError

SLOT_BYTES = SIZE_PX**2


def two_sets(folder: Path, num_images: int = 6) -> tuple[Path, Path]:
    """Other images of the same names, sizes and times of change."""
    for seed, name in enumerate("ab"):
        for image in write_images(folder / name, num_images, seed=seed):
            os.utime(folder / name / image, ns=(0, 0))
    return folder / "a", folder / "b"


def damage(cache: ImageCache, *slots: int) -> None:
    with (cache.folder / "pixels.u8").open("r+b") as pixels:
        for slot in slots:
            pixels.seek(slot * SLOT_BYTES + 5)
            byte = pixels.read(1)
            pixels.seek(-1, os.SEEK_CUR)
            pixels.write(bytes([byte[0] ^ 1]))


def all_rows(cache: ImageCache) -> np.ndarray:
    return cache.pixels(cache.rows_of(cache.names))


def test_two_data_sets_of_the_same_names_sizes_and_times_keep_their_own_pixels(
    tmp_path: Path,
) -> None:
    a, b = two_sets(tmp_path)
    of_a = opened(tmp_path / "cache", a)
    of_b = opened(tmp_path / "cache", b)
    assert of_a.folder == of_b.folder
    assert holds_what_the_files_hold(of_b, b)
    assert holds_what_the_files_hold(of_a, a)  # opened before b came, and read again
    assert of_a.take_mended() == []
    told: list[IngestProgress] = []
    for images in (a, b, a):  # neither costs the other anything from now on
        again = opened(tmp_path / "cache", images, progress=told.append)
        assert holds_what_the_files_hold(again, images)
    assert told == []


def test_images_that_were_replaced_in_place_are_decoded_whatever_their_times_say(
    tmp_path: Path,
) -> None:
    a, b = two_sets(tmp_path)
    before = opened(tmp_path / "cache", a)
    was = decoded(a, before.names)
    for path in b.iterdir():
        shutil.copy2(path, a / path.name)
    assert holds_what_the_files_hold(opened(tmp_path / "cache", a), a)
    assert np.array_equal(all_rows(before), was)


def test_a_copy_of_a_data_set_is_read_and_not_decoded(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 5)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    shutil.copytree(tmp_path / "nih", tmp_path / "copy")
    size = (first.folder / "pixels.u8").stat().st_size
    written = (first.folder / "pixels.u8").stat().st_mtime_ns
    assert ready(tmp_path / "cache", tmp_path / "copy") == 0
    assert holds_what_the_files_hold(
        opened(tmp_path / "cache", tmp_path / "copy"), tmp_path / "nih"
    )
    assert (first.folder / "pixels.u8").stat().st_mtime_ns == written
    assert (first.folder / "pixels.u8").stat().st_size == size
    assert ready(tmp_path / "cache", tmp_path / "copy") == 5
    assert ready(tmp_path / "cache", tmp_path / "nih") == 5


def test_an_archive_replaced_by_one_of_the_same_size_and_time_is_decoded(tmp_path: Path) -> None:
    a, b = two_sets(tmp_path, 2)
    archive = tmp_path / "tarred" / "images_1.tar"
    archive.parent.mkdir()
    for images in (a, b):
        with tarfile.open(archive, "w") as tar:
            for path in sorted(images.iterdir()):
                tar.add(path, path.name)
        os.utime(archive, ns=(0, 0))
        files = find_images(archive.parent, [path.name for path in a.iterdir()]).files
        cache = open_cache(
            tmp_path / "cache", files, list(files), size_px=SIZE_PX, resize="squash", threads=2
        )
        assert holds_what_the_files_hold(cache, images)


def test_damaged_rows_are_decoded_anew_into_slots_of_their_own(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 6)
    reader = opened(tmp_path / "cache", tmp_path / "nih")
    damage(reader, 1, 4)
    damaged = (reader.folder / "pixels.u8").read_bytes()
    assert holds_what_the_files_hold(reader, tmp_path / "nih")
    assert reader.take_mended() == [names[1], names[4]]
    assert reader.take_mended() == []
    after = (reader.folder / "pixels.u8").read_bytes()
    assert after[: len(damaged)] == damaged  # whoever reads it reads what was there
    assert len(after) == len(damaged) + 2 * SLOT_BYTES
    later = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(later, tmp_path / "nih")
    assert later.take_mended() == []


def test_damage_is_noticed_whenever_it_comes(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    damage(cache, 2)
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    assert cache.take_mended() == [names[2]]


def test_a_cache_that_was_cut_short_is_mended(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 5)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    os.truncate(cache.folder / "pixels.u8", 3 * SLOT_BYTES + 1)
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    assert cache.take_mended() == names[3:]
    assert holds_what_the_files_hold(opened(tmp_path / "cache", tmp_path / "nih"), tmp_path / "nih")


def test_damage_in_a_cache_that_is_locked_or_replaced_costs_time_alone(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 4)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    damage(cache, 0)
    pixels = cache.folder / "pixels.u8"
    other = pixels.read_bytes()
    pixels.unlink()
    pixels.write_bytes(other)  # as an ingest that made the cache anew
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    assert pixels.read_bytes() == other
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


@pytest.mark.parametrize("change", ["other bytes", "gone"])
def test_a_damaged_row_whose_file_changed_ends_the_run_by_name(tmp_path: Path, change: str) -> None:
    names = write_images(tmp_path / "nih", 4)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    damage(cache, 2)
    (tmp_path / "nih" / names[2]).unlink()
    if change == "other bytes":
        write_images(tmp_path / "nih", 1, seed=9, first=3)
    assert np.array_equal(
        cache.pixels(np.array([0, 1, 3])), decoded(tmp_path / "nih", [names[n] for n in (0, 1, 3)])
    )
    with pytest.raises(DataError, match=f"{names[2]} is damaged in the cache") as refused:
        cache.pixels(np.array([1, 2]))
    assert refused.value.exit_code == 3


def test_a_cache_of_an_earlier_version_is_decoded_anew_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    write_images(tmp_path / "nih", 5)
    running = opened(tmp_path / "cache", tmp_path / "nih")
    manifest = running.folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    (running.folder / "rows.bin").write_bytes(os.urandom(5 * ROW.itemsize))
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert len(cache.notices) == 1
    assert "an earlier version" in cache.notices[0]
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    assert holds_what_the_files_hold(running, tmp_path / "nih")
    assert opened(tmp_path / "cache", tmp_path / "nih").notices == ()


def test_a_neighbour_that_is_cut_short_is_no_bus_error(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 4)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    write_images(tmp_path / "nih", 1, first=100)

    def cut_short() -> bool:  # asked after the first row that was taken over
        os.truncate(first.folder / "pixels.u8", 0)
        return False

    cache = opened(tmp_path / "cache", tmp_path / "nih", should_stop=cut_short)
    assert cache.folder != first.folder
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_a_damaged_row_of_a_neighbour_is_not_taken_over(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 4)
    damage(opened(tmp_path / "cache", tmp_path / "nih"), 0, 1, 2)
    write_images(tmp_path / "nih", 1, first=100)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")
    assert cache.take_mended() == []


def test_rows_of_a_neighbour_are_taken_over_for_files_that_were_copied(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    first = opened(tmp_path / "cache", tmp_path / "nih")
    with (first.folder / "rows.bin").open("r+b") as log:  # its marks, for a telltale width
        records = np.frombuffer(log.read(), ROW).copy()
    assert set(records["width_px"].tolist()) == {24}
    shutil.copytree(tmp_path / "nih", tmp_path / "more")
    write_images(tmp_path / "more", 1, first=100)
    cache = opened(tmp_path / "cache", tmp_path / "more")
    assert np.array_equal(cache.pixels(cache.rows_of(names)), decoded(tmp_path / "nih", names))


def test_a_log_that_grew_long_is_written_anew_and_keeps_what_holds(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 2)
    sizes = []
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    log = cache.folder / "rows.bin"
    whole = log.read_bytes()
    log.write_bytes(whole + bytes((8 * 2 + 4096 - 3) * ROW.itemsize))
    for number in range(3):
        os.utime(tmp_path / "nih" / names[0], ns=(0, number))
        cache = opened(tmp_path / "cache", tmp_path / "nih")
        assert holds_what_the_files_hold(cache, tmp_path / "nih")
        sizes.append(log.stat().st_size)
    assert max(sizes) < 10 * ROW.itemsize


def test_a_cache_full_of_images_that_are_no_more_begins_anew(tmp_path: Path) -> None:
    first = None
    for seed in range(5):
        write_images(tmp_path / "nih", 3, seed=seed)
        cache = opened(tmp_path / "cache", tmp_path / "nih")
        first = first or cache
        assert holds_what_the_files_hold(cache, tmp_path / "nih")
        assert (cache.folder / "pixels.u8").stat().st_size <= 3 * 3 * SLOT_BYTES
    assert first is not None
    assert all_rows(first).shape == (3, SIZE_PX, SIZE_PX)
    assert first.take_mended() == []


def test_one_digest_tells_whether_images_are_the_same(tmp_path: Path) -> None:
    a, b = two_sets(tmp_path)
    shutil.copytree(a, tmp_path / "copy")
    digests = [
        opened(tmp_path / "cache", images).content_digest([path.name for path in a.iterdir()])
        for images in (a, b, tmp_path / "copy")
    ]
    assert digests[0] == digests[2] != digests[1]
    cache = opened(tmp_path / "cache", b)
    assert cache.met_with_other_bytes(cache.names[:2]) == list(cache.names[:2])
    assert opened(tmp_path / "other", b).met_with_other_bytes(cache.names) == []


def status(**given: int) -> os.stat_result:
    """With times in nanoseconds; 0 for what isn't given."""

    class Status:
        st_dev = st_size = st_ino = st_mtime_ns = st_ctime_ns = 0

    made = Status()
    vars(made).update(given)
    return made  # type: ignore[return-value]


def test_a_signature_is_of_size_times_and_inode() -> None:
    known = {"st_size": 5, "st_ino": 7, "st_mtime_ns": 11, "st_ctime_ns": 13}
    signature = file_signature(status(**known))
    assert signature == file_signature(status(**known, st_dev=99))  # mounted elsewhere
    others = {file_signature(status(**known | {key: known[key] + 1})) for key in known}
    assert len(others | {signature, file_signature(status(**known), "a.png")}) == 6


def test_whole_seconds_are_not_a_running_clock_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in squashfs, or on a disk that a reproducible build wrote."""
    long_ago = status(st_size=5, st_ctime_ns=1_600_000_000 * 10**9)
    assert file_signature(long_ago) == UNKNOWN
    monkeypatch.setattr(signatures, "_file_system", lambda _device: "lustre")
    assert file_signature(long_ago) != UNKNOWN
    just_now = status(st_ctime_ns=signatures.time.time_ns() // 10**9 * 10**9)
    assert file_signature(just_now) == UNKNOWN


@pytest.mark.parametrize("kind", ["fuse.rclone", "fuseblk", "exfat", "erofs"])
def test_a_time_that_may_be_a_settable_one_is_not_believed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = status(st_size=5, st_mtime_ns=11, st_ctime_ns=11)
    assert file_signature(changed) != UNKNOWN
    monkeypatch.setattr(signatures, "_file_system", lambda _device: kind)
    assert file_signature(changed) == UNKNOWN


def test_files_without_a_signature_are_read_again_and_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write_images(tmp_path / "nih", 4)
    monkeypatch.setattr(signatures, "_SECOND_NS", 1)  # every time is one of whole seconds
    first = opened(tmp_path / "cache", tmp_path / "nih")
    written = (first.folder / "pixels.u8").stat().st_mtime_ns
    assert ready(tmp_path / "cache", tmp_path / "nih") == 0
    opened(tmp_path / "cache", tmp_path / "nih")
    assert (first.folder / "pixels.u8").stat().st_mtime_ns == written
    status = (tmp_path / "nih" / names[3]).stat()
    Image.effect_noise((24, 20), 50).save(tmp_path / "nih" / names[3], compress_level=0)
    assert (tmp_path / "nih" / names[3]).stat().st_size == status.st_size
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    assert holds_what_the_files_hold(cache, tmp_path / "nih")


def test_found_again_means_found_equal(tmp_path: Path) -> None:
    write_images(tmp_path / "nih", 2)
    assert found(tmp_path / "nih") == found(tmp_path / "nih")
