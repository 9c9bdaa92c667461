"""Searches in the list of sessions: one row each, their trials under it, and their own view."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun

pytest.importorskip("optuna")

import told_searches
from told_searches import EPOCHS, a_search, a_trial

from cxr_tui.app.app import ConsoleApp

GOOD, BETTER, POOR = [0.7] * EPOCHS, [0.8] * EPOCHS, [0.5]


@pytest.fixture
def search(workspace):
    """Two complete trials, one pruned, one running; and a session that is of no search."""
    a_session(workspace, begun(), name="alone")
    search = a_search(workspace.sessions, trials=9)
    a_trial(search, *GOOD)
    a_trial(search, *BETTER)
    a_trial(search, *POOR)
    running = a_trial(search, 0.85, 0.65, ends=False)
    yield search
    running.release()


def elsewhere(workspace, *curves):
    """Trials of another process."""
    root = str(Path(__file__).parents[3])
    subprocess.run(
        [sys.executable, told_searches.__file__, str(workspace.sessions), json.dumps(curves)],
        check=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": root},
    )


def keys(app):
    return {
        binding.binding.description
        for binding in app.screen.active_bindings.values()
        if binding.enabled and binding.binding.id and binding.binding.show
    }


async def test_a_search_is_one_row_and_its_trials_are_folded_under_it(workspace, search):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "4 trials of 9: 1 running, 2 complete, 1 pruned; best val AUROC")
        assert "0.800, trial 01" in " ".join(plain(app).split())
        (row,) = [line for line in plain(app).splitlines() if "▸ night" in line]
        assert "● 4 trials" in row
        assert "0.800" in row
        assert "trial-0" not in plain(app)
        assert "unfold" in keys(app)
        assert not keys(app) & {"fold", "resume", "reuse recipe", "rename", "mark"}

        await press(pilot, "right")
        await shows(pilot, "▾ night")
        listed = [line.split()[0] for line in plain(app).splitlines()[2:] if line[2:4].strip()]
        assert listed[:6] == ["▾", "trial-03", "trial-02", "trial-01", "trial-00", "alone"]
        await press(pilot, "j", "j")
        await until(pilot, lambda: {"fold", "resume"} <= keys(app), "a trial's keys")
        assert app.screen.at_hand().endswith("/night-trial-02")
        await press(pilot, "left")
        await shows(pilot, "▸ night")
        assert app.screen.at_hand().endswith("/searches/night")  # the cursor is on the search again
        await press(pilot, "r", "R", "space")
        assert "▸ night" in plain(app)


async def test_a_search_is_deleted_with_its_sessions_but_not_while_it_is_worked_on(workspace):
    a_session(workspace, begun(), name="alone")
    search = a_search(workspace.sessions, trials=9)
    a_trial(search, *GOOD)
    running = a_trial(search, 0.85, ends=False)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shows(pilot, "▸ night")
        await press(pilot, "d")
        await shows(pilot, "Delete the search night?")
        assert "2 sessions" in plain(app)
        await press(pilot, "y")
        await shows(pilot, "while a process works on it")
        assert len([*workspace.sessions.glob("night-trial-*")]) == 2
        running.release()
        await press(pilot, "d")
        await shows(pilot, "Delete the search night?")
        await press(pilot, "y")
        await until(pilot, lambda: not search.place.path.exists(), "the end of the search")
        await until(pilot, lambda: "▸ night" not in plain(app), "the list without it")
        gone = lambda: not [*workspace.sessions.glob("night-*")]  # noqa: E731
        await until(pilot, gone, "the end of its sessions")
        assert (workspace.sessions / "alone").is_dir()


async def test_a_filter_finds_trials_that_are_folded(workspace, search):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "▸ night")
        await press(pilot, "/", *"al-02", "enter")
        await shows(pilot, "the filter shows 1")
        assert "night-trial-02" in plain(app)
        assert "▸ night" not in plain(app)


async def test_the_view_of_a_search_follows_what_another_process_does(workspace, search):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "▸ night")
        await press(pilot, "enter")
        await shows(pilot, "night · 4 trials of 9: 1 running, 2 complete, 1 pruned")
        await shows(pilot, "best so far")
        rows = [line.split() for line in plain(app).splitlines() if re.match(r" +0\d  ", line)]
        assert [row[:3] for row in rows] == [
            ["03", "0.650", "running,"],
            ["01", "0.800", "complete"],
            ["00", "0.700", "complete"],
            ["02", "0.500", "pruned"],
        ]
        shown = next(one for one in search.trials() if one.number == 1)
        assert shown.params["train.optimizer"] in rows[1]
        assert "which key mattered" not in plain(app)  # too few

        elsewhere(workspace, [0.9] * EPOCHS, [0.95] * EPOCHS)
        await shows(pilot, "6 trials of 40: 1 running, 4 complete, 1 pruned")
        await shows(pilot, "which key mattered: ")
        await press(pilot, "g", "j", "j", "j", "j", "j")
        await shows(pilot, "trial 02: halving after epoch 1")
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "training", "the trial's training")
        assert workspace.shown.name == "night-trial-02"


async def test_a_storage_that_cannot_be_read_gives_a_sentence_and_the_rest_stays(workspace, search):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "▸ night")
        await press(pilot, "enter")
        await shows(pilot, "night · 4 trials of 9")
        journal = search.place.journal
        journal.rename(journal.with_name("away"))
        await shows(pilot, "can't be read")
        assert "its sessions are intact" in " ".join(plain(app).split()).casefold()
        assert "0.800  complete" in plain(app)
        with socket.socket() as taken:  # bound and not listening: every connection is refused
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            search.place.remember_storage(f"postgresql+pg8000://me:…@127.0.0.1:{port}/night")
            await press(pilot, "escape")
            await shows(pilot, "Its password is not kept here")
            assert "▸ night" in plain(app)
            assert "4 trials" in plain(app)
        journal.with_name("away").write_bytes(b"not a journal\n")
        search.place.remember_storage(str(journal.with_name("away")))
        await shows(pilot, "can't be read")


async def test_nobody_but_optuna_reads_a_study_and_without_it_the_row_says_so(
    workspace, search, monkeypatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in [one for one in sys.modules if one.startswith("core.search.")]:
        monkeypatch.delitem(sys.modules, name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, '"cxr-tui[search]"')
        assert "▸ night" in plain(app)
        assert "4 trials" in plain(app)
