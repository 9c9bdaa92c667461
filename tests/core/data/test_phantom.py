"""The phantom through its door: NIH's layout and quirks, known truth, byte for byte."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image
from small_runs import children_of

from core.data.phantom import PhantomCounts, drawing, write_phantom
from core.data.phantom.cohort import draw_cohort
from core.errors import DataError, UsageError
from core.findings import FINDINGS

NIH_MEDIAN_BOXES = {
    "Atelectasis": (171, 118),
    "Cardiomegaly": (478, 382),
    "Effusion": (208, 277),
    "Infiltration": (228, 265),
    "Mass": (120, 141),
    "Nodule": (70, 68),
    "Pneumonia": (229, 275),
    "Pneumothorax": (201, 206),
}
PATIENTS = 60


@dataclass(frozen=True)
class Written:
    """A phantom on disk, read back with nothing but the csv module."""

    folder: Path
    counts: PhantomCounts
    progress: list[tuple[int, int]]

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def names(self, name: str) -> list[str]:
        return (self.folder / name).read_text().split("\n")

    @property
    def files(self) -> dict[str, Path]:
        return {path.name: path for path in self.folder.glob("images_*/images/*.png")}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("phantom") / "nih"
    progress: list[tuple[int, int]] = []
    counts = write_phantom(
        folder,
        patients=PATIENTS,
        size_px=48,
        seed=3,
        progress=lambda done, total: progress.append((done, total)),
    )
    return Written(folder, counts, progress)


@pytest.fixture(scope="module")
def large_phantom(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Many patients, small images: for whatever is counted."""
    folder = tmp_path_factory.mktemp("large_phantom") / "nih"
    return Written(folder, write_phantom(folder, patients=500, size_px=32, seed=0), [])


def test_the_files_are_those_of_nih_and_the_truth(phantom: Written) -> None:
    assert {path.name for path in phantom.folder.iterdir() if path.is_file()} == {
        "Data_Entry_2017_v2020.csv",
        "BBox_List_2017.csv",
        "train_val_list.txt",
        "test_list.txt",
        "truth.csv",
    }
    folders = sorted(path.name for path in phantom.folder.iterdir() if path.is_dir())
    assert len(folders) >= 2
    assert folders == [f"images_{n:03d}" for n in range(1, len(folders) + 1)]
    # Beside it, nothing is left of the making.
    assert [path.name for path in phantom.folder.parent.iterdir()] == ["nih"]


def test_tables_have_the_headers_of_nih_where_its_files_are_at_hand(phantom: Written) -> None:
    where = os.environ.get("CXR_NIH_DIR")
    if not where:
        pytest.skip("CXR_NIH_DIR is not set: no copy of NIH's tables to compare with")
    for name in ("Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"):
        with (
            (Path(where) / name).open(newline="") as real,
            (phantom.folder / name).open(newline="") as ours,
        ):
            assert ours.readline() == real.readline()


def test_the_box_table_is_ragged_and_says_infiltrate(large_phantom: Written) -> None:
    lines = (large_phantom.folder / "BBox_List_2017.csv").read_text().splitlines()
    assert lines[0] == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    spellings = {line.split(",")[1] for line in lines[1:]}
    assert spellings == (set(NIH_MEDIAN_BOXES) - {"Infiltration"}) | {"Infiltrate"}
    assert {len(line.split(",")) for line in lines[1:]} == {6}
    assert len(lines) - 1 == large_phantom.counts.boxes


def test_label_rows_are_written_as_nih_writes_them(phantom: Written) -> None:
    rows = phantom.rows("Data_Entry_2017_v2020.csv")
    assert len(rows) == phantom.counts.images
    assert len({row["Patient ID"] for row in rows}) == phantom.counts.patients == PATIENTS
    for row in rows:
        named = re.fullmatch(r"(\d{8})_(\d{3})\.png", row["Image Index"])
        assert named is not None
        assert int(named[1]) == int(row["Patient ID"])
        assert int(named[2]) - int(row["Follow-up #"]) in (0, 1)
        labels = row["Finding Labels"].split("|")
        assert labels == ["No Finding"] or (
            labels == sorted(labels) and set(labels) <= set(FINDINGS)
        )
        assert row["View Position"] in ("PA", "AP")
        assert row["Patient Gender"] in ("F", "M")
        assert 0 <= int(row["Patient Age"]) <= 95
        assert 1000 < int(row["OriginalImage[Width"]) < 4000
        assert 0.1 < float(row["OriginalImagePixelSpacing[x"]) < 0.2
    assert any("|" in row["Finding Labels"] for row in rows)


def test_lists_cover_all_images_and_end_without_a_newline(phantom: Written) -> None:
    train_val, test = phantom.names("train_val_list.txt"), phantom.names("test_list.txt")
    assert "" not in train_val + test
    in_table = [row["Image Index"] for row in phantom.rows("Data_Entry_2017_v2020.csv")]
    assert sorted(train_val + test) == sorted(in_table) == sorted(phantom.files)
    assert len(set(in_table)) == len(in_table)


def test_no_patient_is_in_both_lists(large_phantom: Written) -> None:
    patients = [
        {name[:8] for name in large_phantom.names(f"{part}_list.txt")}
        for part in ("train_val", "test")
    ]
    assert not patients[0] & patients[1]
    assert 0.25 < len(patients[1]) / 500 < 0.35


def test_images_are_grey_but_for_a_few_with_four_channels(phantom: Written) -> None:
    modes = []
    for path in phantom.files.values():
        with Image.open(path) as image:
            assert image.size == (48, 48)
            assert image.format == "PNG"
            modes.append(image.mode)
            pixels = np.asarray(image)
            if image.mode == "RGBA":
                assert (pixels[..., :3] == pixels[..., :1]).all()
                assert (pixels[..., 3] == 255).all()
    assert set(modes) == {"L", "RGBA"}
    assert modes.count("RGBA") < 0.05 * len(modes)


def test_boxes_lie_inside_the_image_and_belong_to_labelled_findings(
    large_phantom: Written,
) -> None:
    labels = {
        row["Image Index"]: row["Finding Labels"].split("|")
        for row in large_phantom.rows("Data_Entry_2017_v2020.csv")
    }
    drawn: dict[str, set[str]] = {name: set() for name in labels}
    for row in large_phantom.rows("truth.csv"):
        x, y, w, h = (float(row[side]) for side in "xywh")
        assert min(x, y) >= 0
        assert min(w, h) > 0
        assert max(x + w, y + h) <= 1024
        drawn[row["Image Index"]].add(row["finding"])
    # Every label has a lesion, and every lesion its label.
    assert drawn == {name: set(found) - {"No Finding"} for name, found in labels.items()}


def test_the_box_table_is_the_truth_of_the_test_part(large_phantom: Written) -> None:
    test = set(large_phantom.names("test_list.txt"))
    expected = {
        (row["Image Index"], row["finding"], *(row[side] for side in "xywh"))
        for row in large_phantom.rows("truth.csv")
        if row["Image Index"] in test and row["finding"] in NIH_MEDIAN_BOXES
    }
    lines = (large_phantom.folder / "BBox_List_2017.csv").read_text().splitlines()[1:]
    boxed = [tuple(line.replace("Infiltrate", "Infiltration").split(",")) for line in lines]
    assert set(boxed) == expected
    assert len(boxed) == len(expected)


@pytest.mark.parametrize("finding", sorted(NIH_MEDIAN_BOXES))
def test_lesions_have_the_median_size_of_nihs_boxes(large_phantom: Written, finding: str) -> None:
    rows = [row for row in large_phantom.rows("truth.csv") if row["finding"] == finding]
    assert len(rows) >= 60
    sizes = tuple(median(float(row[side]) for row in rows) for side in "wh")
    assert sizes == pytest.approx(NIH_MEDIAN_BOXES[finding], rel=0.12)


def test_a_wide_heart_is_wider_than_half_the_chest(large_phantom: Written) -> None:
    half_widths = {
        f"{patient.number:08d}": patient.chest.half_width for patient in draw_cohort(500, 0)
    }
    for row in large_phantom.rows("truth.csv"):
        if row["finding"] == "Cardiomegaly":
            assert float(row["w"]) > half_widths[row["Image Index"][:8]]


def test_prevalence_is_high_and_the_test_part_is_iller(large_phantom: Written) -> None:
    rows = large_phantom.rows("Data_Entry_2017_v2020.csv")
    test = set(large_phantom.names("test_list.txt"))

    def prevalence(finding: str, part: list[dict[str, str]]) -> float:
        return sum(finding in row["Finding Labels"].split("|") for row in part) / len(part)

    for finding in ("Cardiomegaly", "Effusion", "Mass", "Pneumothorax", "Nodule"):
        assert 0.13 < prevalence(finding, rows) < 0.22
    assert 0.01 < prevalence("Hernia", rows) < 0.045
    assert 0.33 < prevalence("No Finding", rows) < 0.47
    in_test = [row for row in rows if row["Image Index"] in test]
    in_train = [row for row in rows if row["Image Index"] not in test]
    assert prevalence("No Finding", in_test) < prevalence("No Finding", in_train) - 0.03
    assert 0.33 < sum(row["View Position"] == "AP" for row in rows) / len(rows) < 0.47
    assert 2.6 < len(rows) / 500 < 3.4


def test_findings_mostly_stay_from_one_follow_up_to_the_next(large_phantom: Written) -> None:
    had = stayed = 0
    before: tuple[str, set[str]] = ("", set())
    for row in large_phantom.rows("Data_Entry_2017_v2020.csv"):
        now = set(row["Finding Labels"].split("|")) - {"No Finding"}
        if row["Patient ID"] == before[0] and before[1] and now:
            had, stayed = had + len(before[1]), stayed + len(before[1] & now)
        before = (row["Patient ID"], now)
    assert 0.7 < stayed / had < 0.95


@pytest.fixture
def by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them draw whatever little there is."""
    monkeypatch.setattr(drawing, "usable_cores", lambda: 3)
    monkeypatch.setattr(drawing, "_SECONDS_A_PROCESS", 1e-6)


@pytest.mark.parametrize("threads", [1, 5])
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(
    phantom: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(drawing, "usable_cores", lambda: threads)
    again = tmp_path / "again"
    assert write_phantom(again, patients=PATIENTS, size_px=48, seed=3) == phantom.counts
    assert digests(again) == digests(phantom.folder)


@pytest.mark.usefixtures("by_processes")
def test_several_processes_draw_the_same_bytes_and_tell_how_far_they_are(
    phantom: Written, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    before, drawers = set(children_of(os.getpid())), set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        drawers.update(children_of(os.getpid()))

    again = tmp_path / "again"
    counts = write_phantom(again, patients=PATIENTS, size_px=48, seed=3, progress=progress)
    assert counts == phantom.counts
    assert digests(again) == digests(phantom.folder)
    assert told[-1] == phantom.progress[-1]
    assert len(told) > 3
    assert len(drawers - before) == 3


@pytest.mark.usefixtures("by_processes")
def test_where_no_process_can_be_started_threads_draw_it(
    phantom: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    write_phantom(tmp_path / "again", patients=PATIENTS, size_px=48, seed=3)
    assert digests(tmp_path / "again") == digests(phantom.folder)


@pytest.mark.usefixtures("by_processes")
def test_a_process_that_is_killed_while_it_draws_is_told_and_nothing_is_left(
    tmp_path: Path,
) -> None:
    before, killed = set(children_of(os.getpid())), []

    def kill_one(done: int, total: int) -> None:
        if not killed:
            killed.append(min(set(children_of(os.getpid())) - before))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(DataError, match="a process that drew the phantom failed with signal 9"):
        write_phantom(tmp_path / "nih", patients=300, size_px=32, seed=0, progress=kill_one)
    assert list(tmp_path.iterdir()) == []
    assert set(children_of(os.getpid())) <= before


def test_another_seed_gives_another_set(phantom: Written, tmp_path: Path) -> None:
    write_phantom(tmp_path / "other", patients=4, size_px=48, seed=4)
    ours = digests(phantom.folder)
    for name, digest in digests(tmp_path / "other").items():
        assert ours.get(name) != digest


def test_labels_and_boxes_do_not_depend_on_the_image_size(tmp_path: Path) -> None:
    for size_px in (32, 40):
        write_phantom(tmp_path / str(size_px), patients=6, size_px=size_px, seed=9)
    small, large = digests(tmp_path / "32"), digests(tmp_path / "40")
    assert {name for name in small if small[name] == large[name]} == {
        name for name in small if not name.endswith(".png")
    }


def test_progress_is_told_up_to_the_last_image(phantom: Written) -> None:
    total = phantom.counts.images
    assert phantom.progress[-1] == (total, total)
    assert [done for done, _ in phantom.progress] == sorted({done for done, _ in phantom.progress})
    assert len(phantom.progress) > 3


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_phantom(tmp_path, patients=2, size_px=32, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(DataError, match="a file, not a folder"):
        write_phantom(tmp_path / "thesis.txt", patients=2, size_px=32, seed=0)


def test_an_empty_folder_is_used_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "scratch")
    write_phantom(tmp_path / "link", patients=2, size_px=32, seed=0)
    assert (tmp_path / "scratch" / "truth.csv").is_file()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    ("patients", "size_px", "seed"), [(1, 64, 0), (2, 16, 0), (2, 2048, 0), (2, 64, -1)]
)
def test_numbers_out_of_bounds_are_refused(
    tmp_path: Path, patients: int, size_px: int, seed: int
) -> None:
    with pytest.raises(UsageError, match="must be"):
        write_phantom(tmp_path / "new", patients=patients, size_px=size_px, seed=seed)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("seconds_a_process", [1e-6, 1e6], ids=["processes", "threads"])
def test_when_the_disk_is_full_nothing_is_left_behind(
    tmp_path: Path, seconds_a_process: float
) -> None:
    pytest.importorskip("resource", reason="file size limits are a matter of Unix")
    # A limit on file size stands in for the disk: a real write fails, in the middle of the set.
    script = """
import resource, sys
from pathlib import Path
from core.data.phantom import drawing, write_phantom
from core.errors import DataError
drawing._SECONDS_A_PROCESS, drawing.usable_cores = float(sys.argv[2]), lambda: 2
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_phantom(Path(sys.argv[1]), patients=20, size_px=256, seed=0)
except DataError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "deep" / "nih"), str(seconds_a_process)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "the phantom can't be written: File too large" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize("seconds_a_process", [1e-6, 1e6], ids=["processes", "threads"])
def test_stopping_it_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_a_process: float
) -> None:
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    monkeypatch.setattr(drawing, "_SECONDS_A_PROCESS", seconds_a_process)
    before = set(children_of(os.getpid()))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "nih", patients=40, size_px=32, seed=0, progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert set(children_of(os.getpid())) <= before
