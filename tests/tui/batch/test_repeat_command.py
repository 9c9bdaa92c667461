"""``cxr-tui repeat``: one recipe with several seeds, stopped, continued, added to and compared."""

import json
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
import warm_start
from small_runs import kinds_of, until

from core.store.session import Session
from cxr_tui.cli import main


def program(folder, arguments):
    return warm_start.Popen(
        [sys.executable, "-m", "cxr_tui", *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder, arguments):
    ended = program(folder, arguments)
    out, told = ended.communicate(timeout=240)
    assert ended.returncode == 0, told
    return json.loads(out), told


def repeat_of(phantom_dir, cache_dir, seeds):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Nodule"]',
        "image.size_px": 32,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "evaluate.bootstrap": 20,
        "name": "again",
    }
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    places = ["--cache", cache_dir, "--device", "cpu"]
    return ["repeat", "demo", "--seeds", seeds, *places, *sets]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory, phantom_dir, cache_dir):
    """A group that got a signal while it trained its second seed; run again with a third one."""
    folder = tmp_path_factory.mktemp("repeated")
    stopped = program(folder, repeat_of(phantom_dir, cache_dir, 2))
    second = Session(folder / "sessions" / "again-seed2")
    until(lambda: stopped.poll() is not None or "StepRecorded" in kinds_of(second), "a step")
    stopped.send_signal(signal.SIGTERM)
    out, told = stopped.communicate(timeout=120)
    assert (stopped.returncode, out) == (75, ""), told
    (command,) = [line for line in told.splitlines() if line.startswith("continue with: ")]
    _, *arguments = shlex.split(command.removeprefix("continue with: "))
    arguments[arguments.index("--seeds") + 1] = "3"
    return folder, *finished(folder, [*arguments, "--json"])


def test_a_stopped_group_goes_on_and_trains_no_finished_seed_again(repeated):
    folder, _, told = repeated
    runs = [kinds_of(Session(folder / f"sessions/again-seed{k}")) for k in (1, 2, 3)]
    assert [kinds.count("RunStarted") for kinds in runs] == [1, 2, 1]
    assert [kinds.count("EpochDone") for kinds in runs] == [1, 1, 1]
    assert runs[1].count("Resumed") == 1
    assert "again-seed1 is already finished" in told


def test_its_figures_are_those_of_each_session_and_their_spread(repeated):
    folder, found, _ = repeated
    reports = [
        json.loads((folder / f"sessions/again-seed{k}/evaluation/test.json").read_text())
        for k in (1, 2, 3)
    ]
    assert [run["seed"] for run in found["runs"]] == [1, 2, 3]
    for run, report in zip(found["runs"], reports, strict=True):
        assert run["mean_auroc"] == pytest.approx(report["mean_auroc"], abs=2e-6)
        for name, auroc in run["findings"].items():
            assert auroc == pytest.approx(report["findings"][name]["auroc"], abs=2e-6)
    means = [report["mean_auroc"] for report in reports]
    assert found["mean"]["auroc"] == pytest.approx(np.mean(means), abs=2e-6)
    assert found["mean"]["sd_over_seeds"] == pytest.approx(np.std(means, ddof=1), abs=2e-6)
    assert len(set(means)) == 3


def test_the_sessions_differ_in_their_seed_alone_and_are_one_group(repeated, capsys):
    sessions = repeated[0] / "sessions"
    recipes = [(sessions / f"again-seed{k}/recipe.toml").read_text() for k in (1, 3)]
    unlike = [
        (one, other)
        for one, other in zip(*(text.splitlines() for text in recipes), strict=True)
        if one != other
    ]
    assert unlike == [
        ('name = "again-seed1"', 'name = "again-seed3"'),
        ("seed = 1", "seed = 3"),
    ]
    names = [f"again-seed{k}" for k in (1, 2)]
    last = ["--against", "again-seed3", "--sessions", str(sessions), "--json"]
    assert main(["compare", *names, *last]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe_differences"] == {}
    assert report["runs"][0]["name"] == "again × 2"
    assert report["looks"]["sessions"] == 3


def test_other_settings_and_a_seed_of_ones_own_are_refused_before_anything_is_trained(
    repeated, phantom_dir, cache_dir, monkeypatch, capsys
):
    monkeypatch.chdir(repeated[0])
    arguments = list(map(str, repeat_of(phantom_dir, cache_dir, 4)))
    assert main([*arguments, "--set", "train.epochs=3"]) == 2
    assert "train.epochs was 1, is 3" in capsys.readouterr().err
    assert main([*arguments, "--set", "train.seed=4"]) == 2
    assert "--seeds" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main(["repeat", "demo", "--seeds", "1"])
    assert refused.value.code == 2
    assert not (repeated[0] / "sessions/again-seed4").exists()


def test_the_table_for_people_says_how_far_a_seed_moves_the_mean(
    repeated, phantom_dir, cache_dir, monkeypatch, capsys
):
    monkeypatch.chdir(repeated[0])
    assert main(list(map(str, repeat_of(phantom_dir, cache_dir, 3)))) == 0
    told = capsys.readouterr().out
    assert "again-seed3" in told
    assert "Two runs of this recipe differ by" in " ".join(told.split())
