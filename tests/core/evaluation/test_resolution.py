"""The resolution study: several input sizes by one command, stopped, gone on with, compared."""

import copy
import json
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import warm_start
from small_runs import events_of, kinds_of, until

from core.data.tables.boxes import Boxes
from core.evaluation.predictions import Predictions
from core.evaluation.resolution.resolution import ScoredSize, compare_sizes
from core.evaluation.resolution.resolution_words import conclusion
from core.store.session import Session

SIZES = "32,64"


def program(folder, arguments):
    return warm_start.Popen(
        [sys.executable, "-m", "cxr_tui", *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def study_of(phantom_dir, cache_dir):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Nodule"]',
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "evaluate.bootstrap": 20,
        "name": "px",
    }
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    return ["resolution", "--sizes", SIZES, "--cache", cache_dir, "--device", "cpu", *sets]


@pytest.fixture(scope="module")
def studied(tmp_path_factory, phantom_dir, cache_dir):
    """A study that got a signal while it trained its second size, and was run again as it said."""
    folder = tmp_path_factory.mktemp("studied")
    stopped = program(folder, study_of(phantom_dir, cache_dir))
    second = Session(folder / "sessions" / "px-64px")
    until(lambda: stopped.poll() is not None or "StepRecorded" in kinds_of(second), "a step")
    stopped.send_signal(signal.SIGTERM)
    out, told = stopped.communicate(timeout=120)
    assert (stopped.returncode, out) == (75, ""), told
    (command,) = [line for line in told.splitlines() if line.startswith("continue with: ")]
    _, *arguments = shlex.split(command.removeprefix("continue with: "))
    finished = program(folder, [*arguments, "--json"])
    out, told = finished.communicate(timeout=120)
    assert finished.returncode == 0, told
    return folder, json.loads(out), told


def test_a_stopped_study_goes_on_and_trains_no_finished_size_again(studied):
    folder, _, told = studied
    first, second = (kinds_of(Session(folder / "sessions" / f"px-{px}px")) for px in (32, 64))
    assert (first.count("RunStarted"), second.count("RunStarted")) == (1, 2)
    assert (first.count("EpochDone"), second.count("EpochDone")) == (2, 2)
    assert second.count("Resumed") == 1
    assert "px-32px is already finished" in told


def test_its_figures_are_those_of_each_session(studied):
    folder, compared, _ = studied
    assert compared["sizes_px"] == [32, 64]
    assert list(compared["findings"]) == ["Nodule", "Cardiomegaly"]  # the smallest lesions first
    for size in ("32", "64"):
        session = Session(folder / "sessions" / f"px-{size}px")
        assert compared["sessions"][size] == str(session.path)
        report = session.read_json("evaluation/test.json")
        assert (compared["images"], compared["patients"]) == (report["images"], report["patients"])
        for finding, figures in compared["findings"].items():
            for key in ("auroc", "auroc_ci"):
                assert figures["at"][size][key] == report["findings"][finding][key]
        assert compared["mean_auroc"][size]["auroc_ci"] == report["mean_auroc_ci"]
    for figures in compared["findings"].values():
        at = figures["at"]
        gain = at["64"]["auroc"] - at["32"]["auroc"]
        assert figures["gain"]["auroc"] == pytest.approx(gain, abs=2e-6)  # of rounded figures
        assert at["64"]["median_box_px"] == pytest.approx(
            [2 * side for side in at["32"]["median_box_px"]], abs=0.02
        )


def test_a_second_call_trains_nothing_and_prints_the_table(studied, phantom_dir, cache_dir):
    folder, compared, _ = studied
    sessions = [Session(folder / "sessions" / f"px-{px}px") for px in (32, 64)]
    before = [events_of(session) for session in sessions]
    again = program(folder, study_of(phantom_dir, cache_dir))
    table, told = again.communicate(timeout=60)
    assert again.returncode == 0, told
    assert [events_of(session) for session in sessions] == before
    assert {"finding", "32", "64"} <= set(table.splitlines()[2].split())
    for name, figures in compared["findings"].items():
        (row,) = [line.split() for line in table.splitlines() if line.startswith(f" {name} ")]
        assert row[1:] == [f"{figures['at'][size]['auroc']:.3f}" for size in ("32", "64")]
    assert " ".join(compared["conclusion"].split()) in " ".join(table.split())
    lines = table[: table.index("·")].splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80


def test_sizes_of_other_settings_are_refused_before_anything_is_trained(
    studied, phantom_dir, cache_dir
):
    folder, _, _ = studied
    arguments = [*study_of(phantom_dir, cache_dir), "--sizes", "40,64", "--set", "train.epochs=3"]
    refused = program(folder, arguments)
    _, told = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "px-64px: train.epochs was 2, is 3" in told
    assert "--set name=NAME" in told
    assert not (folder / "sessions" / "px-40px").exists()


def test_sizes_scored_on_other_images_are_not_compared(studied, phantom_dir, cache_dir, tmp_path):
    shutil.copytree(studied[0] / "sessions", tmp_path / "sessions")
    scores = tmp_path / "sessions/px-64px/predictions/test.csv"
    scores.write_text("".join(scores.read_text().splitlines(keepends=True)[:-1]))
    refused = program(tmp_path, study_of(phantom_dir, cache_dir))
    _, told = refused.communicate(timeout=60)
    assert refused.returncode == 3
    assert "px-64px: was trained or scored on other images" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "64"], "two to 5 sizes, got 1"),
        (["--sizes", "64,9x"], "'9x' is not a number of pixels"),
        (["--sizes", "64,128,64"], "names 64 more than once"),
        (["--sizes", "16,64"], "image.size_px must be at least 32, got 16"),
        (["--sizes", "64,512"], "images of 256 px gain nothing from an input size of 512 px"),
        (["--set", "image.size_px=96"], "--sizes"),
    ],
)
def test_wrong_sizes_are_refused_by_name(cxr_tui, tmp_path, arguments, message):
    refused = cxr_tui("resolution", *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not list(tmp_path.iterdir())


IMAGES = 240
SMALL, LARGE = 40.0, 90.0


def lesions_seen(*, small_seen):
    """Scores of one size: large lesions are always found, small ones where they are seen."""
    rng = np.random.default_rng(1)
    labels_N = (np.arange(IMAGES) % 3 == 0).astype(np.float32)
    is_small_N = np.arange(IMAGES) % 2 == 0
    is_seen_N = (labels_N == 1) & (~is_small_N | small_seen)
    scores_N = np.where(is_seen_N, 0.9, 0.5 * rng.random(IMAGES))
    hearts_N = np.roll(labels_N, 1)
    return Predictions(
        images=np.array([f"{row}.png" for row in range(IMAGES)], dtype=object),
        patients=np.arange(IMAGES) // 2,
        findings=("Cardiomegaly", "Nodule"),
        labels_NF=np.column_stack([hearts_N, labels_N]),
        scores_NF=np.column_stack([0.2 + 0.6 * hearts_N, scores_N]),
    )


def boxes_of(test):
    rows = np.flatnonzero(test.labels_NF[:, 1] == 1)
    sides = np.where(rows % 2 == 0, SMALL, LARGE)
    zeros = np.zeros(len(rows))
    nodules = np.array(["Nodule"] * len(rows), dtype=object)
    return Boxes(test.images[rows], nodules, zeros, zeros, sides, sides / 2)


@pytest.fixture(scope="module")
def compared():
    sizes = [
        ScoredSize(64, lesions_seen(small_seen=False)),
        ScoredSize(256, lesions_seen(small_seen=True)),
    ]
    return compare_sizes(sizes, boxes_of(sizes[0].test), draws=200)


def test_small_lesions_that_come_back_with_pixels_are_told_from_large_ones(compared):
    nodules = compared["findings"]["Nodule"]
    assert nodules["at"]["256"]["auroc"] == 1.0
    assert nodules["at"]["64"]["larger_half"]["auroc"] == 1.0
    assert nodules["at"]["256"]["smaller_half"]["auroc"] == 1.0
    assert nodules["at"]["64"]["smaller_half"]["auroc"] == pytest.approx(0.5, abs=0.12)
    assert nodules["halves"]["smaller_half"]["positives"] == 40
    assert nodules["at"]["64"]["halves_cut_px"] == pytest.approx((SMALL + LARGE) / 2 / 16, abs=0.01)
    assert compared["findings"]["Cardiomegaly"]["halves"] is None


def test_the_conclusion_follows_the_figures(compared):
    compared = copy.deepcopy(compared)
    gain = compared["findings"]["Nodule"]["gain"]
    said = conclusion(compared)
    assert f"gained with pixels: Nodule +{gain['auroc']:.2f} (" in said
    assert "no difference beyond chance: Cardiomegaly 0.00" in said
    compared["findings"]["Cardiomegaly"]["gain"] = {"auroc": None, "auroc_ci": None}
    compared["findings"]["Nodule"]["positive_patients"] = 9
    said = conclusion(compared)
    assert "under 10 positive patients, too few to tell: Nodule" in said
    assert "no AUROC: Cardiomegaly" in said
