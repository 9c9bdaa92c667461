"""Where the images are: folders, links and archives as people have them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.data.cache.file_signature import UNKNOWN, file_signature
from core.data.images import folder_walk, image_files
from core.data.images.image_files import ask_statuses, find_images, images_fingerprint
from core.errors import DataError

NAMES = [f"{patient:08d}_{follow_up:03d}.png" for patient in range(1, 5) for follow_up in range(2)]


def put(path: Path, content: bytes = b"an image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_archive(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("layout", ["{k}/images/{name}", "{name}", "a/b/c/{k}/d/{name}"])
def test_images_are_found_in_any_layout(tmp_path: Path, layout: str) -> None:
    for number, name in enumerate(NAMES):
        put(tmp_path / layout.format(k=f"images_{number // 4 + 1:03d}", name=name))
    found = find_images(tmp_path, NAMES)
    assert list(found.files) == sorted(NAMES)
    assert (found.extra, found.shadowed) == (0, 0)
    assert sum(found.folders.values()) == len(NAMES)
    first = found.files[NAMES[0]]
    assert first.path.read_bytes() == b"an image"
    assert (first.num_bytes, first.member) == (8, None)
    assert first.signature == file_signature(first.path.stat())


@pytest.mark.parametrize("slow_from", [0.0, 60.0])
def test_sizes_are_asked_of_all_files_on_a_fast_and_on_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_from: float
) -> None:
    monkeypatch.setattr(image_files, "_SLOW_SECONDS", slow_from)
    names = [f"{number:08d}_000.png" for number in range(450)]
    for number, name in enumerate(names):
        put(tmp_path / name, b"x" * number)
    files = find_images(tmp_path, names).files
    (tmp_path / names[7]).unlink()
    assert all(file.status is None for file in files.values())
    ask_statuses(files.values())
    assert [file.status[0] for file in files.values() if file.status] == [
        number if number != 7 else 0 for number in range(450)
    ]
    assert files[names[8]].signature == file_signature((tmp_path / names[8]).stat())
    assert files[names[7]].signature == UNKNOWN


@pytest.mark.parametrize("slow_from", [0.0, 60.0])
def test_asking_for_sizes_can_be_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_from: float
) -> None:
    monkeypatch.setattr(image_files, "_SLOW_SECONDS", slow_from)
    put(tmp_path / NAMES[0])

    def give_up(count: int) -> None:
        raise InterruptedError(count)

    with pytest.raises(InterruptedError):
        ask_statuses(find_images(tmp_path, NAMES[:1]).files.values(), give_up)


def test_images_are_counted_by_folder(tmp_path: Path) -> None:
    for name in NAMES[:3]:
        put(tmp_path / "nih" / "images_001" / "images" / name)
    put(tmp_path / "nih" / NAMES[3])
    found = find_images(tmp_path / "nih", NAMES)
    assert found.folders == {".": 1, "images_001/images": 3}


def test_what_the_table_does_not_name_is_extra_unless_it_is_no_image(tmp_path: Path) -> None:
    put(tmp_path / "x" / NAMES[0])
    for other in ("extra.png", "x/scan.JPG", "notes.txt", "labels.csv"):
        put(tmp_path / other)
    found = find_images(tmp_path, NAMES)
    assert list(found.files) == NAMES[:1]
    assert found.extra == 2
    assert found.extra_examples == ("extra.png", "x/scan.JPG")


@pytest.mark.parametrize("ending", [".dcm", ".DCM", ".dicom", ".png", ""])
def test_a_name_without_an_ending_stands_for_an_image_with_any(tmp_path: Path, ending: str) -> None:
    names = ["1.2.276.0.7230010.3.1.4", "50a418190bc3fb1ef1633bf9678929b3"]
    for name in names:
        (tmp_path / f"{name}{ending}").write_bytes(b"x")
    (tmp_path / "50a418190bc3fb1ef1633bf9678929b3.txt").write_bytes(b"x")
    found = find_images(tmp_path, names)
    assert {name: file.path.name for name, file in found.files.items()} == {
        name: f"{name}{ending}" for name in names
    }


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    store, root = tmp_path / "store", tmp_path / "nih"
    put(store / "images" / NAMES[0])
    lone = put(tmp_path / "elsewhere" / "x.png")
    root.mkdir()
    (root / "images_001").symlink_to(store)
    (root / NAMES[1]).symlink_to(lone)
    (root / NAMES[2]).symlink_to(tmp_path / "nowhere")
    found = find_images(root, NAMES)
    assert list(found.files) == NAMES[:2]
    assert found.folders == {".": 1, "images_001/images": 1}


def test_a_folder_that_a_link_shows_too_is_seen_under_its_own_path(tmp_path: Path) -> None:
    names = [f"patient{patient}/study1/view1.jpg" for patient in (1, 2)]
    for name in names:
        put(tmp_path / name)
    (tmp_path / "latest").symlink_to(tmp_path / "patient2" / "study1")
    (tmp_path / "all").symlink_to(tmp_path)

    found = find_images(tmp_path, names)

    assert sorted(found.files) == names
    assert (found.shadowed, found.extra) == (0, 0)
    assert found.files[names[1]].path == tmp_path / names[1]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    put(tmp_path / "a" / "b" / NAMES[0])
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a" / "itself")
    (tmp_path / "again").symlink_to(tmp_path / "a" / "b")
    found = find_images(tmp_path, NAMES)
    assert list(found.files) == NAMES[:1]
    assert found.shadowed == 0


def test_of_two_files_with_one_name_the_first_path_is_used(tmp_path: Path) -> None:
    for folder in ("c", "a", "b/deep"):
        put(tmp_path / folder / NAMES[0], folder.encode())
    found = find_images(tmp_path, NAMES)
    assert found.files[NAMES[0]].path == tmp_path / "a" / NAMES[0]
    assert found.shadowed == 2


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], dict[str, int]]:
    """A folder a study, as in MIMIC-CXR-JPG, with what else may lie there: key -> file; counts."""
    root = tmp_path_factory.mktemp("many")
    where: dict[str, Path] = {}
    for patient in range(900):
        for study in range(1 + patient % 3):
            folder = f"p{10 + patient % 4}/p{patient:05d}/s{study}"
            key = f"{folder}/image.jpg"
            where[key] = put(root / "files" / key)
    # In a folder that comes later: the first one is used.
    put(root / "files2" / next(iter(where)))
    linked = "p99/p1/s1/image.jpg"
    elsewhere = put(root / ".elsewhere" / "p1/s1/image.jpg").parents[2]
    (root / "files/p13").joinpath("p99").symlink_to(elsewhere)
    where[linked] = root / "files/p13" / linked
    file_link = root / "files/p11/p00401/s0/other.jpg"
    file_link.symlink_to(where["p12/p00002/s0/image.jpg"])
    where["p11/p00401/s0/other.jpg"] = file_link
    put(root / "files/p12/p00002/.hidden/p1/s1/image.jpg")
    put(root / "files/p12/p00006/s0/extra.jpg")
    put(root / "files/p12/p00006/s0/notes.txt")
    os.mkfifo(root / "files/p10/p00800/s0/pipe.jpg")
    return root, where, {"shadowed": 1, "extra": 1, "places": len(where)}


def found_as_expected(many: Many, progress: Callable[[int], None] | None) -> None:
    root, where, counts = many
    found = find_images(root, list(where), progress=progress)
    assert {key: file.path for key, file in found.files.items()} == where
    assert (found.shadowed, found.extra) == (counts["shadowed"], counts["extra"])
    assert sum(found.folders.values()) == len(where)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that list folders; they do so whatever number of cores there are."""
    kept: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **settings: Any) -> subprocess.Popen[bytes]:
        kept.append(popen(*arguments, **settings))
        return kept[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(folder_walk, "_SLOW_SECONDS", 0.0)
    return kept


Many = tuple[Path, dict[str, Path], dict[str, int]]


def test_many_folders_are_listed_by_other_processes_with_the_same_result(
    many: Many, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found_as_expected(many, None)
    helped = len(started)
    assert helped > 1
    assert all(child.poll() is not None for child in started), "they end with the walk"
    monkeypatch.setattr(folder_walk, "_FOLDERS_ALONE", 10**9)
    found_as_expected(many, None)
    assert len(started) == helped


def test_processes_that_are_killed_while_they_list_cost_nothing(
    many: Many, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_walk, "_SECONDS_BETWEEN_REPORTS", 0.0)

    def kill_half(_: int) -> None:
        for child in started[::2]:
            child.kill()

    found_as_expected(many, kill_half)
    assert started
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found_as_expected(many, None)


def test_a_walk_that_is_given_up_leaves_no_process(
    many: Many, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_walk, "_SECONDS_BETWEEN_REPORTS", 0.0)

    class GivenUpError(Exception):
        pass

    def stop(_: int) -> None:
        if started:
            raise GivenUpError

    with pytest.raises(GivenUpError):
        found_as_expected(many, stop)
    assert all(child.poll() is not None for child in started)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "z" / NAMES[0])
    put(tmp_path / ".snapshot" / NAMES[0])
    put(tmp_path / f"._{NAMES[1]}")
    found = find_images(tmp_path, NAMES)
    assert found.files[NAMES[0]].path == tmp_path / "z" / NAMES[0]
    assert (found.extra, found.shadowed) == (0, 0)


@pytest.mark.parametrize(("ending", "mode"), [(".tar.gz", "w:gz"), (".tar", "w"), (".tgz", "w:gz")])
def test_images_are_found_inside_archives(tmp_path: Path, ending: str, mode: str) -> None:
    for number in (1, 2):
        members = {f"images/{name}": name.encode() for name in NAMES[number * 4 - 4 : number * 4]}
        members |= {
            f"images/._{NAMES[0]}": b"mac",
            f"images/extra_{number}.png": b"e",
            "t.txt": b"",
        }
        put_archive(tmp_path / f"images_{number:02d}{ending}", members, mode)
    found = find_images(tmp_path, NAMES)
    assert list(found.files) == sorted(NAMES)
    assert found.extra == 2
    assert found.folders == {f"images_01{ending}": 4, f"images_02{ending}": 4}
    first = found.files[NAMES[0]]
    assert first.path == tmp_path / f"images_01{ending}"
    assert (first.member, first.num_bytes) == (f"images/{NAMES[0]}", len(NAMES[0]))


def test_a_loose_file_wins_over_an_archived_one(tmp_path: Path) -> None:
    put_archive(tmp_path / "images_01.tar.gz", {f"images/{name}": b"x" for name in NAMES})
    put(tmp_path / "z" / NAMES[0])
    found = find_images(tmp_path, NAMES)
    assert found.files[NAMES[0]].member is None
    assert found.files[NAMES[1]].member is not None
    assert found.shadowed == 1


def test_archives_are_left_closed_where_loose_files_hold_every_name(tmp_path: Path) -> None:
    put(tmp_path / "images_01.tar.gz", b"not an archive at all")
    for name in NAMES:
        put(tmp_path / name)
    assert len(find_images(tmp_path, NAMES).files) == len(NAMES)


def test_an_archive_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, listings = tmp_path / "nih", tmp_path / "listings"
    put_archive(root / "images_01.tar.gz", {f"images/{NAMES[0]}": b"one"})
    expected = find_images(root, NAMES, listings=listings)
    monkeypatch.setattr(tarfile, "open", None)  # nothing opens it again
    assert find_images(root, NAMES, listings=listings) == expected


def test_an_archive_of_the_same_size_and_time_is_listed_again(tmp_path: Path) -> None:
    root, listings = tmp_path / "nih", tmp_path / "listings"
    archive = put_archive(root / "images_01.tar", {f"images/{NAMES[0]}": b"one"}, "w")
    status = archive.stat()
    assert list(find_images(root, NAMES, listings=listings).files) == NAMES[:1]
    put_archive(archive, {f"images/{NAMES[1]}": b"two"}, "w")
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert archive.stat().st_size == status.st_size
    assert list(find_images(root, NAMES, listings=listings).files) == NAMES[1:2]


def test_a_damaged_listing_is_made_again(tmp_path: Path) -> None:
    root, listings = tmp_path / "nih", tmp_path / "listings"
    put_archive(root / "images_01.tar.gz", {f"images/{NAMES[0]}": b"one"})
    expected = find_images(root, NAMES, listings=listings)
    (kept,) = listings.iterdir()
    for damage in (b"", b"[1, 2]", b"\xff", kept.read_bytes().replace(b"00000001", b"00000002")):
        kept.write_bytes(damage)
        assert find_images(root, NAMES, listings=listings) == expected


def test_a_listing_that_cannot_be_kept_is_no_reason_to_stop(tmp_path: Path) -> None:
    put_archive(tmp_path / "nih" / "images_01.tar.gz", {NAMES[0]: b"one"})
    in_the_way = put(tmp_path / "listings")
    assert find_images(tmp_path / "nih", NAMES, listings=in_the_way).files


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8])
def test_an_archive_that_ends_early_is_refused_by_name(
    tmp_path: Path, mode: str, kept: float
) -> None:
    archive = tmp_path / "images_01.tar.gz"
    put_archive(archive, {name: os.urandom(5_000) for name in NAMES}, mode)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * kept)])
    with pytest.raises(DataError, match=r"images_01\.tar\.gz: .*is truncated"):
        find_images(tmp_path, NAMES, listings=tmp_path / "listings")
    assert not (tmp_path / "listings").exists()


def test_an_archive_cut_off_between_two_files_is_refused_too(tmp_path: Path) -> None:
    archive = put_archive(tmp_path / "images_01.tar", dict.fromkeys(NAMES, b"x" * 512), "w")
    archive.write_bytes(archive.read_bytes()[: 1024 * 3])
    with pytest.raises(DataError, match="is truncated"):
        find_images(tmp_path, NAMES)


def test_an_archive_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path / "images_01.tar.gz", b"<html>Please log in</html>" * 50)
    with pytest.raises(DataError, match=r"images_01\.tar\.gz: the archive can't be read"):
        find_images(tmp_path, NAMES)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nih: there is no such folder\..*dataset\.images"
    ) as caught:
        find_images(tmp_path / "nih", NAMES)
    assert caught.value.exit_code == 3
    with pytest.raises(DataError, match="not a folder"):
        find_images(put(tmp_path / "file"), NAMES)


def test_a_folder_without_an_image_of_the_table_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="It is empty; the table expects"):
        find_images(tmp_path, NAMES)
    put(tmp_path / "a" / "readme.txt")
    put(tmp_path / "a" / "labels.csv")
    with pytest.raises(
        DataError, match=r"no image files, only others: 1 \.txt, 1 \.csv|1 \.csv, 1 "
    ):
        find_images(tmp_path, NAMES)
    put(tmp_path / "a" / "IM-0001.jpg")
    with pytest.raises(DataError) as caught:
        find_images(tmp_path, NAMES)
    message = str(caught.value)
    assert "1 other image files, such as a/IM-0001.jpg" in message
    assert f"names such as {NAMES[0]}" in message


def test_names_that_are_no_utf_8_are_shown_escaped(tmp_path: Path) -> None:
    put(tmp_path / NAMES[0])
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff\x1b[31m.png")).write_bytes(b"x")
    assert find_images(tmp_path, NAMES).extra_examples == ("bad\\udcff\\x1b[31m.png",)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may read, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_an_unreadable_folder_is_named_only_where_images_are_missing(open_folder: Path) -> None:
    """In a process that is not root, to whom no folder is closed."""
    put(open_folder / NAMES[0])
    closed = open_folder / "images_007"
    closed.mkdir(mode=0o000)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from core.data.images.image_files import find_images; from core.errors import DataError\n"
        "os.geteuid() == 0 and os.setresuid(65534, 65534, 65534)\n"
        "root, first, second = Path(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "print(len(find_images(root, [first]).files))\n"
        "try: find_images(root, [first, second])\n"
        "except DataError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(open_folder), NAMES[0], NAMES[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, message = done.stdout.splitlines()
    assert found == "1"
    assert message.startswith(f"{closed}: this folder can't be read: Permission denied")
    assert "1 images of the table were not found" in message


def test_progress_ends_at_the_number_found(tmp_path: Path) -> None:
    for name in NAMES:
        put(tmp_path / name)
    seen: list[int] = []
    find_images(tmp_path, NAMES, progress=seen.append)
    assert seen[-1] == len(NAMES)


def test_the_fingerprint_is_about_names_and_sizes_and_not_about_places(tmp_path: Path) -> None:
    for name in NAMES:
        put(tmp_path / "a" / name, b"12345")
        put(tmp_path / "b" / "deep" / name, b"54321")
    put_archive(tmp_path / "c" / "images_1.tar.gz", dict.fromkeys(NAMES, b"12345"))
    prints = [images_fingerprint(find_images(tmp_path / at, NAMES).files) for at in "abc"]
    assert len(set(prints)) == 1
    files = find_images(tmp_path / "a", NAMES).files
    assert images_fingerprint(reversed(files.values())) == prints[0]
    put(tmp_path / "a" / NAMES[3], b"123456")
    assert images_fingerprint(find_images(tmp_path / "a", NAMES).files) != prints[0]
    assert images_fingerprint(find_images(tmp_path / "b", NAMES[1:]).files) != prints[0]


@pytest.mark.skipif("CXR_NIH_DIR" not in os.environ, reason="CXR_NIH_DIR names no NIH images")
def test_the_real_images_lie_in_twelve_folders() -> None:
    root = Path(os.environ["CXR_NIH_DIR"])
    names = (root / "train_val_list.txt").read_text().split()
    names += (root / "test_list.txt").read_text().split()
    found = find_images(root, names)
    assert len(found.files) == 240
    assert found.folders == {f"images_{number:03d}/images": 20 for number in range(1, 13)}
    assert (found.extra, found.shadowed) == (0, 0)
