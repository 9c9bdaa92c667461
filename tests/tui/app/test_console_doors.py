"""How the console is left, what may write to its terminal, and sessions that others touch."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest
from console import plain, press, shows, until
from terminal import Terminal

from core.events import EpochStarted, RunStarted
from core.recipe_toml import load_recipe
from core.requests import Request
from core.store.sessions import create_session, open_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.runs.open_session import running

STRAY = """
import os, subprocess, sys, threading, time, warnings
from pathlib import Path

def stray():
    while not Path("go").exists():
        time.sleep(0.01)
    print("stray print")
    print("stray \\x1b[2J escape", file=sys.stderr)
    warnings.warn("stray warning")
    os.write(1, b"stray stdout\\n")
    os.write(2, b"stray 10 %\\rstray 20 %\\rstray 30 %\\n")
    subprocess.run(["sh", "-c", "echo stray child >&2"])
    Path("gone").touch()

threading.Thread(target=stray, daemon=True).start()
"""
BROKEN_KEY = """
from cxr_tui.app.app import ConsoleApp
ConsoleApp.action_keys = lambda self: 1 / 0
"""
BROKEN_WORKER = """
import core.store.sessions
core.store.sessions.list_sessions = lambda folder: 1 / 0
"""


def long_recipe(phantom_dir):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": 300,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "evaluate.bootstrap": 20,
    }
    return load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])


def console(tmp_path, cache_dir, *arguments, hook="", columns=80):
    """The console in a terminal, after a few lines of Python."""
    program = f"{hook}\nimport sys\nfrom cxr_tui.cli import main\nsys.exit(main(sys.argv[1:]))"
    places = ["--cache", str(cache_dir), "--device", "cpu"]
    return Terminal(
        [sys.executable, "-c", program, *places, *arguments],
        columns=columns,
        folder=tmp_path,
        environment={
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        },
    )


def resumed(terminal):
    """Go on with the session that is shown, from the list of sessions."""
    terminal.shows("mine · · new")
    terminal.send("1")
    terminal.shows("1 session,")
    terminal.send("r")


def last_event(tmp_path):
    lines = (tmp_path / "sessions/mine/events.jsonl").read_text().splitlines()
    return json.loads(lines[-1])


def test_nothing_that_libraries_print_reaches_the_screen(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, hook=STRAY) as terminal:
        terminal.shows("No sessions yet.")
        (tmp_path / "go").touch()
        terminal.until(lambda _: (tmp_path / "gone").exists(), 30, "the end of the prints")
        terminal.send("?")
        terminal.shows("Keys of sessions")
        assert "stray" not in terminal.text
        terminal.send("qq")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()
        assert "stray" not in terminal.text
    log = next((tmp_path / "state").rglob("console.txt")).read_text()
    for words in ("stray print", "stray ␛[2J escape", "stray stdout", "stray 30 %", "stray child"):
        assert f"  {words}\n" in log
    assert "UserWarning: stray warning" in log
    assert "20 %" not in log


def test_under_a_run_prints_go_to_its_log_and_abandoning_keeps_no_checkpoint(
    tmp_path, cache_dir, phantom_dir
):
    create_session(tmp_path / "sessions", long_recipe(phantom_dir), "mine")
    with console(tmp_path, cache_dir, "--attach", "mine", hook=STRAY) as terminal:
        resumed(terminal)
        terminal.shows_one_of(r"epoch ([2-9]|\d\d+) of 300", 180)
        (tmp_path / "go").touch()
        terminal.until(lambda _: (tmp_path / "gone").exists(), 30, "the end of the prints")
        terminal.send("q")
        terminal.shows("a     abandon it: quit immediately")
        assert "its last checkpoint is of step" in terminal.text
        terminal.send("a")
        assert terminal.exit_code() == 75
        assert terminal.is_restored()
        ended = last_event(tmp_path)
        assert ended["event"] == "Stopped"
        assert ended["reason"].startswith("abandoned")
        assert f"continue from step {ended['step']:,} with: cxr-tui --resume" in terminal.text
        assert "stray" not in terminal.text
    assert "  stray child\n" in (tmp_path / "sessions/mine/log.txt").read_text()


def test_a_defect_in_the_console_stops_the_run_and_says_where_its_traceback_is(
    tmp_path, cache_dir, phantom_dir
):
    create_session(tmp_path / "sessions", long_recipe(phantom_dir), "mine")
    with console(tmp_path, cache_dir, "--attach", "mine", hook=BROKEN_KEY) as terminal:
        resumed(terminal)
        terminal.shows_one_of(r"epoch \d+ of 300", 180)
        terminal.send("?")
        assert terminal.exit_code() == 1
        assert terminal.is_restored()
        assert (
            "cxr-tui: internal error (a bug in cxr-tui): ZeroDivisionError: division by zero"
            in terminal.text
        )
        assert "The traceback is in" in terminal.text
        assert "Traceback" not in terminal.text
        assert "with: cxr-tui --resume" in terminal.text
    assert last_event(tmp_path)["reason"] == "asked to stop"
    traceback = next((tmp_path / "state").rglob("defects.txt")).read_text()
    assert "ZeroDivisionError: division by zero" in traceback


def test_a_defect_on_a_worker_thread_ends_the_console_in_the_same_way(tmp_path, cache_dir):
    with console(tmp_path, cache_dir, hook=BROKEN_WORKER) as terminal:
        assert terminal.exit_code() == 1
        assert terminal.is_restored()
        assert "internal error (a bug in cxr-tui): ZeroDivisionError" in terminal.text
        assert "Traceback" not in terminal.text
    assert not list((tmp_path / "state").rglob("console.txt"))  # told once, not twice


def test_keys_that_cannot_be_used_are_refused_before_the_console_starts(tmp_path, cache_dir):
    (tmp_path / "config/cxr-tui").mkdir(parents=True)
    (tmp_path / "config/cxr-tui/keys.toml").write_text('[keys]\n"quit" = ""\n')
    with console(tmp_path, cache_dir, columns=400) as terminal:  # paths are as long as they are
        assert terminal.exit_code() == 2
        assert "can't be left without a key" in terminal.text
        assert "Sessions" not in terminal.text


async def test_the_quit_dialog_stays_by_default_and_abandoning_goes_back_to_the_checkpoint(
    workspace, phantom_dir
):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.start_run(long_recipe(phantom_dir))
        view = workspace.shown.view
        for key in ("enter", "escape"):
            await press(pilot, "q")
            await shows(pilot, "It has no checkpoint yet")
            await press(pilot, key)
            await until(pilot, lambda: "Quitting" not in plain(app), "the way back")
        await until(pilot, lambda: view.kept is not None and view.step > view.kept[1], "steps", 120)
        assert app.is_running
        await press(pilot, "q", "a")
        await until(pilot, lambda: not workspace.running.is_ours, "the end of the run")
    assert app.return_value == 75
    workspace.running.take_events()
    kept = view.kept[1]
    assert view.state == "stopped"
    *before, ended = workspace.running.session.events()
    assert ended.step == kept > 0
    assert not any(getattr(event, "reason", "") == "stopped" for event in before)


@pytest.mark.parametrize("key", ["a", "s"])
async def test_leaving_while_a_few_images_are_learnt_takes_no_step_and_says_so(
    workspace, phantom_dir, monkeypatch, key
):
    def learn_for_ever(_trainer, may_go_on, _seconds):
        while may_go_on(0):
            threading.Event().wait(0.01)

    monkeypatch.setattr("core.run.learn_few_images", learn_for_ever)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.start_run(long_recipe(phantom_dir))
        await shows(pilot, "overfitting a few images", 120)
        await press(pilot, "q")
        await shows(pilot, "its first step hasn't")
        assert "keeping every step" not in plain(app)
        assert "stop it, then quit" in plain(app)
        await press(pilot, key)
        await until(pilot, lambda: not workspace.running.is_ours, "the end of the run")
    told = list(workspace.running.session.events())
    assert told[-1].step == 0
    assert not any(isinstance(event, EpochStarted) for event in told)


async def test_two_consoles_show_one_session_and_the_second_can_stop_it(workspace, phantom_dir):
    session = create_session(workspace.sessions, long_recipe(phantom_dir), "mine")
    first = running(session, device="cpu", cache=workspace.cache)
    first.source.start()
    app = ConsoleApp(workspace)
    try:
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await until(pilot, session.is_being_written, "the first one's lock")
            app.resume_run("mine")
            await shows(pilot, "another process runs mine")
            await until(pilot, lambda: "of 300" in plain(app), "its epochs", 120)
            assert workspace.running is None
            await press(pilot, "X")
            await shows(pilot, "Another process runs it.")
            await press(pilot, "y")
            await until(pilot, lambda: not first.is_ours, "the first one's end")
            await shows(pilot, "■ stopped")
    finally:
        first.source.ask(Request.ABANDON)
        first.source.join()


async def test_a_second_run_on_the_device_is_not_started_unasked(workspace, phantom_dir):
    session = create_session(workspace.sessions, long_recipe(phantom_dir), "theirs")
    first = running(session, device="cpu", cache=workspace.cache)
    first.source.start()
    app = ConsoleApp(workspace)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            written = session.path / "environment.json"
            await until(pilot, written.is_file, "where it computes", 60)
            app.start_run(long_recipe(phantom_dir))
            await shows(pilot, "The device is taken")
            await shows(pilot, "theirs on cpu")
            await press(pilot, "escape")
            assert workspace.running is None
            app.start_run(long_recipe(phantom_dir))
            await shows(pilot, "The device is taken")
            await press(pilot, "y")
            await until(pilot, lambda: workspace.running is not None, "the second run")
            workspace.running.source.ask(Request.ABANDON)
            await until(pilot, lambda: workspace.running is None, "its end", 120)
    finally:
        first.source.ask(Request.ABANDON)
        first.source.join()


@pytest.mark.parametrize("door", ["list", "palette", "path"])
async def test_a_run_of_ours_is_ours_wherever_it_is_opened_from(
    workspace, phantom_dir, tmp_path, monkeypatch, door
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    workspace.sessions = Path("link/runs")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.start_run(long_recipe(phantom_dir))
        ours = workspace.running
        await until(pilot, lambda: ours.view.step > 0, "the first step", 120)
        await press(pilot, "1")
        await shows(pilot, "1 session")
        if door == "path":
            app.open_session(str(tmp_path / "disk" / "runs" / ours.name), "training")
        elif door == "palette":
            await press(pilot, ":", *"Show")
            await shows(pilot, "Show session")
            await press(pilot, "down", "enter")
        else:
            await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "training", "the screen Training")
        assert workspace.shown is ours
        await press(pilot, "X")
        await shows(pilot, "It stops after this step")
        assert "Another process" not in plain(app)
        assert "written by" not in plain(app)
        await press(pilot, "y")
        await until(pilot, lambda: workspace.running is None, "the stop")


def damage_recipe(path):
    (path / "recipe.toml").write_bytes(b"\x00\xff [[[")


def damage_events(path):
    lines = b'{"event": "StepRecorded", "step": "x"}\n[]\nnull\n{"event": 3}\n' + b"[" * 9000
    (path / "events.jsonl").write_bytes(b"\x00\xff\n" + lines + b"\n\x80half a li")


def replace_events_by_a_folder(path):
    (path / "events.jsonl").unlink()
    (path / "events.jsonl").mkdir()


def leave_the_recipe_alone(path):
    for item in list(path.iterdir()):
        if item.name != "recipe.toml":
            shutil.rmtree(item) if item.is_dir() else item.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        damage_recipe,
        damage_events,
        replace_events_by_a_folder,
        leave_the_recipe_alone,
        shutil.rmtree,
    ],
)
async def test_a_session_damaged_by_hand_leaves_the_console_alive(workspace, damage):
    session = create_session(workspace.sessions, load_recipe("demo"), "mine")
    with session.writing() as writer:
        writer.append(RunStarted(name="mine", host="h", pid=1))
    damage(session.path)
    app = ConsoleApp(workspace, attach="mine")
    async with app.run_test(size=(80, 24)) as pilot:
        for mode in app.MODES:
            app.action_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode, mode)
            await press(pilot, "P", "X", "escape")
        app.open_session("mine", "results")
        app.action_mode("sessions")
        await press(pilot, "?")
        await shows(pilot, "Keys of sessions")
    assert app.defect is None


async def test_a_session_deleted_while_it_is_shown_is_told_not_a_defect(workspace):
    session = create_session(workspace.sessions, load_recipe("demo"), "mine")
    with session.writing() as writer:
        writer.append(RunStarted(name="mine", host="h", pid=1))
        writer.append(EpochStarted(epoch=1, steps=10))
    app = ConsoleApp(workspace, attach="mine")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shows(pilot, "epoch 1")
        shutil.rmtree(session.path)
        await press(pilot, "P")
        await shows(pilot, "mine can't be asked")
        await press(pilot, "5")
        await until(pilot, lambda: app.current_mode == "results", "results")
    assert app.defect is None


async def test_the_palette_leads_to_screens_sessions_and_themes(workspace):
    create_session(workspace.sessions, load_recipe("demo"), "old-one")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "old-one")
        await press(pilot, ":")
        await shows(pilot, "Go to Data")
        assert "Screenshot" not in plain(app)
        await press(pilot, *"recipe")
        await until(pilot, lambda: "Go to Data" not in plain(app), "the narrowed list")
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "recipe", "the recipe")
        await press(pilot, ":", *"old-one")
        await shows(pilot, "Show session old-one")
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "training", "the session")
        before = app.theme
        await press(pilot, ":", *"theme")
        await shows(pilot, "Light colours")
        await press(pilot, "enter")
        await until(pilot, lambda: app.theme != before, "another theme")


async def test_a_colon_is_a_colon_while_a_field_is_edited(workspace):
    create_session(workspace.sessions, load_recipe("demo"), "old-one")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "old-one")
        await press(pilot, "/", ":")
        await until(pilot, lambda: app.focused.value == ":", "the colon in the field")
        assert "Go to Data" not in plain(app)


def test_a_session_is_never_abandoned_by_a_file(workspace):
    session = create_session(workspace.sessions, load_recipe("demo"), "mine")
    (session.path / "requests/abandon").touch()
    with open_session("mine", workspace.sessions).writing() as writer:
        assert writer.take_request() is Request.CONTINUE
