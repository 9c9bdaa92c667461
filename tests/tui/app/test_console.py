"""Sessions and Training, by their keys, over a real run on its thread."""

import json
import os
import re
import shutil
import socket

import pytest
from console import plain, press, shows, until

from core.events import Diagnosed, EpochDone, Failed, Finished, RunStarted
from core.recipe_toml import load_recipe
from core.store import heartbeat
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.runs.open_session import OpenSession


def small_demo(phantom_dir, **changes):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "evaluate.bootstrap": 20,
    } | changes
    return load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])


def a_session(folder, name, *events):
    session = create_session(folder, load_recipe("demo"), name)
    with session.writing() as writer:
        for event in events:
            writer.append(event)
    return session


def epoch(number, mean, **changes):
    fields = {
        "epoch": number,
        "step": number * 10,
        "train_loss": 0.5,
        "val_loss": 0.4,
        "auroc": {"Mass": mean},
        "mean_auroc": mean,
        "selected_on": ("Mass",),
        "is_best": True,
        "learning_rate": 0.1,
        "seconds": 3.0,
    } | changes
    return EpochDone(**fields)


async def test_a_new_user_is_told_the_next_step(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        assert "enter       train on the synthetic set" in plain(app)
        assert "o           choose a data set of your own" in plain(app)


async def test_a_session_of_another_folder_is_not_shown_here(workspace, tmp_path):
    there = a_session(tmp_path / "elsewhere", "one")
    left = tmp_path / "console.json"
    left.write_text(json.dumps({"screen": "training", "session": str(there.path)}))
    app = ConsoleApp(workspace, preferences=left)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        assert app.workspace.shown is None


async def test_coming_back_to_an_empty_list_keeps_every_key_working(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        for key, mode in (
            ("4", "training"),
            ("1", "sessions"),
            ("4", "training"),
            ("1", "sessions"),
        ):
            await press(pilot, key)
            await until(pilot, lambda mode=mode: app.current_mode == mode, mode)
        await press(pilot, "a")
        await shows(pilot, "A new session")


async def test_n_enter_asks_and_then_trains(workspace, phantom_dir, monkeypatch):
    monkeypatch.setattr(workspace, "first_recipe", lambda: small_demo(phantom_dir))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        await press(pilot, "a")
        await shows(pilot, "train the demo on the synthetic set")
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "training", "the training screen")
        await until(pilot, lambda: workspace.running is None, "the end of the run", 120)
        assert workspace.shown.view.state == "finished"
        await shows(pilot, "✓ finished")
        assert "Cardiomegaly" in plain(app)
        await press(pilot, "full_stop")
        await shows(pilot, "chance 0.5")


async def test_stopping_keeps_a_checkpoint_and_resuming_goes_on(workspace, phantom_dir):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.start_run(small_demo(phantom_dir, **{"train.epochs": 50}))
        await until(pilot, lambda: workspace.shown.view.step > 0, "the first step", 120)
        assert "P pause" in plain(app)
        await press(pilot, "P")
        await shows(pilot, "‖ paused")
        await shows(pilot, "P continue")
        top, *_ = plain(app).splitlines()
        assert "‖ paused …" in top
        assert top.endswith("-demo")
        await press(pilot, "?")
        await shows(pilot, "Keys of training")
        assert "continue" in plain(app)
        assert "checkpoint now" not in plain(app)
        await press(pilot, "escape", "P")
        await shows(pilot, "● running …")
        await press(pilot, "X")
        await shows(pilot, "Stop ")
        await press(pilot, "y")
        await until(pilot, lambda: workspace.running is None, "the stop", 60)
        await shows(pilot, "■ stopped")
        stopped_at = workspace.shown.view.step
        app.resume_run(workspace.shown.name)
        await until(pilot, lambda: workspace.shown.view.step > stopped_at, "more steps", 60)
        await press(pilot, "q")
        await shows(pilot, "leave it running, without a screen")
        await press(pilot, "s")
        await until(
            pilot, lambda: not workspace.running or not workspace.running.is_ours, "the end"
        )


async def test_keys_that_ask_a_run_are_hidden_and_explained_where_none_is_on(workspace):
    here = socket.gethostname()
    a_session(workspace.sessions, "dead", RunStarted(name="dead", host=here, pid=1))
    a_session(
        workspace.sessions,
        "done",
        RunStarted(name="done", host="h", pid=1),
        Finished(epochs=1, best_epoch=1, seconds=1.0),
    )
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await press(pilot, "2", "4", "X")
        await shows(pilot, "No session is shown: 1")
        for name, state, why in (
            ("dead", "○ interrupted", "dead isn't running: 4, r resumes it"),
            ("done", "✓ finished", "done is finished"),
        ):
            app.open_session(name, "training")
            await shows(pilot, f"{name} · {state}")
            await until(pilot, lambda: "P pause" not in plain(app), "the keys that are left")
            for key in "PXCT":
                app.clear_notifications()
                await press(pilot, key)
                await shows(pilot, why)
            app.clear_notifications()
            await press(pilot, "?")
            await shows(pilot, "Keys of training")
            assert "stop with a checkpoint" not in plain(app)
            await press(pilot, "escape")


async def test_t_tries_learning_rates_on_a_copy_while_the_run_waits(workspace, phantom_dir):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.start_run(small_demo(phantom_dir, **{"train.epochs": 50}))
        await until(pilot, lambda: workspace.shown.view.step > 0, "the first step", 120)
        await press(pilot, "T")
        await until(pilot, lambda: "rate-range" in workspace.shown.view.health, "the answer", 120)
        at = workspace.shown.view.health["rate-range"].step
        await until(pilot, lambda: workspace.shown.view.step > at, "the next step", 60)
        await press(pilot, "P")
        await shows(pilot, "‖ paused")
        await press(pilot, "T")
        said = [notice.message for notice in app._notifications]
        assert "It is paused: continue with P, then T tries learning rates." in said
        await press(pilot, "X", "y")
        await until(pilot, lambda: workspace.running is None, "the stop", 60)


async def test_q_quits_at_once_where_nothing_runs(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        await press(pilot, "q")
        await until(pilot, lambda: not app.is_running or app._exit, "the exit")
    assert app.return_code == 0


async def test_the_list_shows_states_by_word_and_why_a_run_failed(workspace):
    a_session(
        workspace.sessions,
        "bad",
        RunStarted(name="bad", host="h", pid=1),
        Failed(message="loss not finite at step 812", exit_code=4),
    )
    a_session(workspace.sessions, "good", RunStarted(name="good", host="h", pid=1), epoch(1, 0.842))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "✗ failed")
        screen = plain(app)
        assert "0.842" in screen
        assert "○ interrupted" in screen
        assert "▲ loss" not in screen
        await press(pilot, "end")
        await shows(pilot, "▲ loss not finite at step 812")
        await press(pilot, "home")
        await until(pilot, lambda: "▲ loss" not in plain(app), "the first session's line")


async def test_a_warning_takes_the_whole_line_and_no_column_s_place(workspace):
    found = (
        "the scores of val say nearly the same for every image, though it has seen positive ones"
    )
    a_session(
        workspace.sessions,
        "ill",
        RunStarted(name="ill", host="h", pid=1),
        Diagnosed(check="x", severity="warning", text=found, evidence={}, remedy=""),
        epoch(1, 0.842),
    )
    for width in (80, 160):
        app = ConsoleApp(workspace)
        async with app.run_test(size=(width, 24)) as pilot:
            await shows(pilot, "interrupted ▲")
            await shows(pilot, "▲ the scores of val")
            await until(
                pilot, lambda app=app: found in " ".join(plain(app).split()), "the whole of it"
            )
            screen = plain(app)
            (head,) = [line for line in screen.splitlines() if "best at" in line]
            assert "size" in head
            assert head.index("state") < 20


async def test_a_long_reason_or_name_never_takes_the_other_columns(workspace):
    a_session(
        workspace.sessions,
        "bad",
        RunStarted(name="bad", host="h", pid=1),
        Failed(
            message="dataset.images: /data/nih is missing, or not accessible. " * 4, exit_code=3
        ),
    )
    a_session(workspace.sessions, "good", RunStarted(name="good", host="h", pid=1), epoch(1, 0.842))
    longest = "long-" + "n" * 75
    a_session(workspace.sessions, longest, RunStarted(name=longest, host="h", pid=1))
    app = ConsoleApp(workspace)
    for size in ((80, 24), (120, 30)):
        async with app.run_test(size=size) as pilot:
            await shows(pilot, "✗ failed")
            (line,) = [line for line in plain(app).splitlines() if line.startswith(" good")]
            assert "0.842" in line
            assert re.search(r"\d+ (s|min)\b", line)
            assert "long-nn" in plain(app)
            assert "…nn" in plain(app)
            assert "size" in plain(app).splitlines()[1]
        app = ConsoleApp(workspace)


async def test_the_columns_are_narrow_again_after_a_long_name_is_gone(workspace):
    for name in ("a" * 21, "b"):
        a_session(workspace.sessions, name, RunStarted(name=name, host="h", pid=1))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "a" * 21)
        before = plain(app).splitlines()[1].index("state")
        shutil.rmtree(workspace.sessions / ("a" * 21))
        app.screen.refresh_view()
        await until(pilot, lambda: "aaaa" not in plain(app), "the row to go")
        assert plain(app).splitlines()[1].index("state") < before


async def test_the_filter_narrows_the_list_and_digits_stay_in_it(workspace):
    for name in ("mass-1", "mass-2", "hernia"):
        a_session(workspace.sessions, name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "hernia")
        await press(pilot, "/", "s", "s", "-", "2")
        await until(pilot, lambda: "mass-1" not in plain(app), "the filtered list")
        await shows(pilot, "mass-2")  # the rows are drawn a frame after the list was emptied
        assert app.current_mode == "sessions"
        await press(pilot, "enter")
        await press(pilot, "escape")
        await shows(pilot, "hernia")


async def test_deleting_says_what_goes_and_asks(workspace):
    session = a_session(workspace.sessions, "old")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "old")
        await press(pilot, "d")
        await shows(pilot, "can't be undone.")
        await press(pilot, "escape")
        assert session.path.exists()
        await press(pilot, "d")
        await press(pilot, "y")
        await until(pilot, lambda: not session.path.exists(), "the deletion")
        await shows(pilot, "No sessions yet.")


async def test_a_session_held_by_a_suspended_process_is_not_deleted(workspace, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 3600)
    session = a_session(workspace.sessions, "old", RunStarted(name="old", host="h", pid=1))
    app = ConsoleApp(workspace)
    with session.writing():
        os.utime(session.path / "heartbeat", (0, 0))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await shows(pilot, "silent")
            await press(pilot, "d")
            await shows(pilot, "old is locked by a silent")
    assert session.path.exists()


async def test_a_run_that_said_it_ended_is_left_without_a_question(workspace, monkeypatch):
    said = [RunStarted(name="old", host="h", pid=1), Finished(epochs=1, best_epoch=1, seconds=1.0)]
    a_session(workspace.sessions, "old", *said)
    monkeypatch.setattr(OpenSession, "is_ours", True)  # its thread has not left yet
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "old")
        workspace.running = workspace.show("old")
        await until(pilot, lambda: workspace.running.view.is_over, "its end")
        await press(pilot, "q")
    assert app.return_value == 0


async def test_text_from_files_cannot_drive_the_screen(workspace):
    a_session(
        workspace.sessions,
        "evil",
        RunStarted(name="evil", host="h", pid=1),
        Failed(message="[/b]\x1b[2J‮", exit_code=4),
    )
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "[/b]␛[2J")
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode != "sessions", "another screen")
        app.action_mode("training")
        await shows(pilot, "✗ failed")
        assert "\x1b" not in plain(app)


async def test_keys_of_the_screen_are_told_by_a_question_mark(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        await press(pilot, "?")
        await shows(pilot, "Keys of sessions")
        assert "reuse recipe" not in plain(app)  # there is none to reuse
        assert "a  " in plain(app)


async def test_all_keys_of_a_screen_can_be_read_in_a_small_terminal(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("cams")
        await until(pilot, lambda: app.current_mode == "cams", "the maps")
        await press(pilot, "?")
        await shows(pilot, "Keys of cams")
        assert "Youden" not in plain(app)
        await press(pilot, "end")
        await shows(pilot, "Youden")
        await press(pilot, "escape")
        await until(pilot, lambda: "Keys of" not in plain(app), "the way back")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_screen_keeps_the_way_out_in_sight(workspace, size):
    a_session(workspace.sessions, "x" * 60, RunStarted(name="x", host="h", pid=1), epoch(1, 0.7))
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "xxx")
        for mode in app.MODES:
            app.action_mode(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode, mode)
            await until(pilot, lambda: plain(app).rstrip().endswith("q  ?"), f"the keys of {mode}")


async def test_keys_can_be_remapped_by_their_ids(workspace):
    app = ConsoleApp(workspace)
    app.set_keymap({"keys": "f5"})
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "No sessions yet.")
        await press(pilot, "f5")
        await shows(pilot, "Keys of sessions")
