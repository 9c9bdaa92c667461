"""``cxr-tui search``: killed and gone on with, refused, and shared by a real PostgreSQL server."""

import json
import signal
import socket
import subprocess
import sys

import pytest
import warm_start
from postgres import has_postgres, postgres
from small_runs import kinds_of, until

from core.errors import DataError, UsageError
from core.store.session import Session
from core.store.sessions import list_sessions
from cxr_tui.commands.search import main

SPACE = """\
[train]
learning_rate = { low = 0.002, high = 0.02, scale = "log" }
optimizer = { choices = ["sgd", "adamw"] }
"""


def arguments(folder, phantom_dir, cache_dir, *more, images=60):
    (folder / "space.toml").write_text(SPACE)
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Nodule"]',
        "image.size_px": 32,
        "subset.max_images": images,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "train.min_positive_patients": 1,
        "evaluate.bootstrap": 0,
        "name": "tiny",
    }
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    places = ["--cache", cache_dir, "--device", "cpu", "--space", "space.toml"]
    return [*map(str, ["search", "demo", *places, *sets, *more])]


def started(folder, said):
    return warm_start.Popen(
        [sys.executable, "-m", "cxr_tui", *said],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_search_goes_on_with_no_trial_lost_or_doubled(tmp_path, phantom_dir, cache_dir):
    more = ["--trials", "4", "--seeds", "1", "--json"]
    said = arguments(tmp_path, phantom_dir, cache_dir, *more, images=150)
    sessions, journal = tmp_path / "sessions", tmp_path / "sessions/searches/tiny-search"
    killed = started(tmp_path, said)
    second = Session(sessions / "tiny-search-trial-01")
    until(lambda: killed.poll() is not None or "StepRecorded" in kinds_of(second), "a step")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with (journal / "study.journal").open("ab") as torn:
        torn.write(b'{"op_code":4,"wor')  # as a kill in the middle of a line leaves it

    killed = started(tmp_path, said)
    begun = lambda: [*sessions.glob("tiny-search-best-*")]  # noqa: E731
    until(lambda: killed.poll() is not None or begun(), "a best trial is trained anew")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    ended = Session(sessions / "tiny-search-trial-03").events_path.read_bytes()

    again = started(tmp_path, said)
    out, told = again.communicate(timeout=240)
    assert Session(sessions / "tiny-search-trial-03").events_path.read_bytes() == ended
    assert again.returncode == 0, told
    found = json.loads(out)
    names = [f"tiny-search-trial-{number:02d}" for number in range(4)]
    assert [one["session"] for one in found["trials"]] == names
    assert {one["state"] for one in found["trials"]} == {"complete"}
    starts = [kinds_of(Session(sessions / name)).count("RunStarted") for name in names]
    assert starts == [1, 2, 1, 1]  # the killed one went on, the others ran once
    assert kinds_of(second).count("Finished") == 1

    ranked = sorted(found["trials"], key=lambda one: -one["val_auroc"])
    candidates = found["candidates"]
    assert [one["session"] for one in candidates] == [one["session"] for one in ranked[:2]]
    chosen = max(candidates, key=lambda one: one["retrained_mean"])
    (best,) = [one for one in ranked if one["number"] == chosen["number"]]
    assert found["best"] == best
    (seed,), (unchanged,) = found["retrained"], found["unchanged"]
    assert [seed] == chosen["retrained"]
    assert (seed["seed"], unchanged["seed"]) == (1, 1)
    assert found["optimism"] == pytest.approx(best["val_auroc"] - seed["val_auroc"], abs=1e-5)
    assert found["gain"] == pytest.approx(seed["val_auroc"] - unchanged["val_auroc"], abs=1e-5)
    again_trained = Session(sessions / seed["session"]).recipe.train
    assert again_trained.learning_rate == best["values"]["train.learning_rate"]
    assert again_trained.optimizer == best["values"]["train.optimizer"]
    assert sum(found["importance"].values()) == pytest.approx(1, abs=0.01)
    assert (journal / "search.svg").read_text().startswith("<?xml")

    kept = list_sessions(sessions)
    assert len(kept) == 7
    assert all(one.recipe.evaluate.sealed for one in kept)
    assert not list(sessions.glob("*/predictions/test.csv"))

    other = [*said, "--set", "train.weight_decay=0.5"]
    refused = started(tmp_path, other)
    _, told = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "train.weight_decay was 0.01, is 0.5" in told
    assert "--name" in told


@pytest.fixture
def server():
    """A real PostgreSQL server of the test's own; (its address, a function that stops it)."""
    if not has_postgres():
        pytest.skip("no PostgreSQL server: as root, apt-get install postgresql")
    with postgres() as (address, stop):
        yield address, stop


def test_two_workers_share_a_search_by_postgresql_and_its_end_is_a_stop(
    tmp_path, phantom_dir, cache_dir, server
):
    pytest.importorskip("pg8000")
    address, stop_server = server
    for folder in ("one", "two"):  # two hosts: neither sees the other's sessions
        (tmp_path / folder).mkdir()
    shared = ["--storage", address, "--name", "night", "--seeds", "0", "--json"]
    first = arguments(tmp_path / "one", phantom_dir, cache_dir, *shared, "--trials", "4")
    joins = arguments(tmp_path / "two", phantom_dir, cache_dir, *shared, "--join")
    owner = started(tmp_path / "one", first)
    of_owner = Session(tmp_path / "one/sessions/night-trial-00")
    until(lambda: owner.poll() is not None or of_owner.path.exists(), "a trial")
    helper = started(tmp_path / "two", joins)
    _, told = helper.communicate(timeout=240)
    assert helper.returncode == 0, told
    out, told = owner.communicate(timeout=240)
    assert owner.returncode == 0, told
    found = json.loads(out)
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3]
    assert all(one["val_auroc"] is not None for one in found["trials"])
    here, there = (
        {one.name for one in list_sessions(tmp_path / folder / "sessions")}
        for folder in ("one", "two")
    )
    assert here | there == {f"night-trial-{number:02d}" for number in range(4)}
    assert not here & there
    assert there  # the second one did its share

    more = started(tmp_path / "one", [*first, "--trials", "9"])
    until(
        lambda: (
            more.poll() is not None or len(list_sessions(tmp_path / "one/sessions")) > len(here)
        ),
        "a fifth trial",
    )
    stop_server()
    _, told = more.communicate(timeout=240)
    assert more.returncode == 75, told
    assert "the search's storage does not answer" in told
    assert "the same command goes on" in told


def test_hours_that_are_over_begin_no_trial_and_that_is_said(tmp_path, phantom_dir, cache_dir):
    said = arguments(tmp_path, phantom_dir, cache_dir, "--hours", "1e-9")
    done = started(tmp_path, said)
    out, told = done.communicate(timeout=240)
    assert done.returncode == 0, told
    assert "The hours were over before a trial began. More --hours" in out
    assert list_sessions(tmp_path / "sessions") == []


def test_what_is_missing_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"postgresql+pg8000://me:secret@127.0.0.1:{port}/night"
    with pytest.raises(DataError, match="can't be opened") as refused:
        main(["demo", "--trials", "3", "--storage", address])
    assert "secret" not in str(refused.value)
    with pytest.raises(UsageError, match="there is no such storage"):
        main(["demo", "--join"])
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install \"cxr-tui\[search\]\""):
        main(["demo", "--trials", "3"])
    assert not list(tmp_path.rglob("recipe.toml"))
