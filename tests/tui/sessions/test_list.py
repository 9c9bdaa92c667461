"""The list of sessions: its columns, its order, and the place that it keeps."""

import re
import time
from dataclasses import replace

import pytest
from console import plain, press, shows, until
from told_sessions import begun, epoch_done, model, step

from core.events import Finished, RunStarted
from core.recipe_toml import load_recipe
from core.store.sessions import create_session, delete_session, rename_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.sessions.folder import SessionsFolder
from cxr_tui.sessions.screen import SessionsScreen


def kept(workspace, name, *told, **keys):
    changes = [f"{key.replace('__', '.')}={value}" for key, value in keys.items()]
    session = create_session(workspace.sessions, load_recipe("demo", changes), name)
    with session.writing() as writer:
        for event in told:
            writer.append(event)
    return session


def names_shown(app):
    return [
        line.split()[0] for line in plain(app).splitlines()[2:] if re.match(r" [a-z]+-\d", line)
    ]


async def test_a_wide_list_says_what_was_trained_how_fast_and_on_what(workspace):
    now, mass = time.time(), ["Mass"]
    kept(
        workspace,
        "mass-320",
        replace(begun(), time=now),
        replace(model(), time=now),
        step(1, now),
        dataset__findings=mass,
        image__size_px=320,
    )
    kept(workspace, "five-0")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "mass-320")
        head = plain(app).splitlines()[1]
        for name in ("findings", "px", "images/s", "device"):
            assert name in head
        (line,) = [line for line in plain(app).splitlines() if "mass-320" in line]
        assert re.search(r" Mass +320 +8  a processor", line)
        assert "5 findings" in plain(app)
    async with ConsoleApp(workspace).run_test(size=(80, 24)) as pilot:
        await shows(pilot, "mass-320")
        head = plain(pilot.app).splitlines()[1]
        assert head.split() == [
            "name",
            "state",
            "epoch",
            "val",
            "AUROC",
            "best",
            "at",
            "age",
            "size",
        ]


async def test_o_orders_by_each_column_in_turn_and_its_head_says_so(workspace):
    for name, auroc in (("a-1", 0.6), ("b-2", 0.9), ("c-3", None)):
        told = [] if auroc is None else [epoch_done(1, 1010.0, mass=auroc, hernia=auroc)]
        kept(workspace, name, begun(), *told)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        newest_first = names_shown(app)
        await press(pilot, "O")
        await shows(pilot, "name▾")
        assert names_shown(app) == ["a-1", "b-2", "c-3"]
        await press(pilot, "O", "O", "O")
        await shows(pilot, "val AUROC▾")
        assert names_shown(app) == ["b-2", "a-1", "c-3"]
        await press(pilot, "V")
        await shows(pilot, "val AUROC▴")
        assert names_shown(app) == ["a-1", "b-2", "c-3"]
        await press(pilot, "2")
        await press(pilot, "1")
        await shows(pilot, "val AUROC▴")
        await press(pilot, "O", "O", "O", "O")
        await until(pilot, lambda: "▾" not in plain(app), "the order of before")
        assert names_shown(app) == newest_first


async def test_a_click_on_a_head_orders_by_it_and_a_second_one_turns_the_order(workspace):
    for name in ("a-1", "b-2", "c-3"):
        kept(workspace, name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        await pilot.click("#list", offset=(2, 0))
        await shows(pilot, "name▾")
        assert names_shown(app) == ["a-1", "b-2", "c-3"]
        await pilot.click("#list", offset=(2, 0))
        await shows(pilot, "name▴")
        assert names_shown(app) == ["c-3", "b-2", "a-1"]


async def test_a_long_list_stays_where_it_is_while_the_folder_is_read(workspace):
    for number in range(40):
        kept(workspace, f"run-{number}")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "40 sessions")
        await press(pilot, *["down"] * 30, *["up"] * 8)
        await until(pilot, lambda: app.screen._table.scroll_y > 5, "the place")
        before = names_shown(app)
        chosen = app.screen._table.chosen
        kept(workspace, "new-1", begun(), Finished(epochs=1, best_epoch=1, seconds=1.0))
        app.screen.refresh_view()
        await shows(pilot, "41 sessions")
        await until(pilot, lambda: chosen in names_shown(app), "the place of before")
        assert app.screen._table.chosen == chosen
        assert len(set(before) & set(names_shown(app))) >= len(before) - 1


def test_a_session_that_gets_the_name_of_one_that_is_gone_is_another_one(workspace):
    one = kept(workspace, "one", begun(), *(epoch_done(n, 1010.0) for n in range(1, 6)))
    two = kept(workspace, "two", begun(), epoch_done(1, 1010.0))
    folder = SessionsFolder()
    assert {s.name: s.epoch for s, _ in folder.read(workspace.sessions)} == {"one": 5, "two": 1}
    delete_session(one)
    rename_session(two, "one")
    assert {s.name: s.epoch for s, _ in folder.read(workspace.sessions)} == {"one": 1}


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
async def test_every_column_is_whole_at_every_width(workspace, width):
    for number in range(3):
        kept(workspace, f"20261123-120000-nih-mass-{number}", begun(), model(), step(1, 1010.0))
    kept(workspace, "far-0", RunStarted(name="x", host="h", pid=1), epoch_done(4, 1010.0))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(width, 30)) as pilot:
        await shows(pilot, "4 sessions")
        table = app.screen.query_one("#list")
        await until(pilot, lambda: table.virtual_size.width > 0 < table.size.width, "the table")
        assert table.virtual_size.width <= table.size.width


async def test_nobody_is_told_that_there_are_no_sessions_before_the_folder_was_read(
    workspace, monkeypatch
):
    kept(workspace, "one-1")
    monkeypatch.setattr(SessionsScreen, "refresh_view", lambda _: None)
    async with ConsoleApp(workspace).run_test(size=(80, 24)) as pilot:
        await shows(pilot, "enter open")
        await pilot.resize_terminal(100, 30)
        await pilot.pause(0.01)
        assert "0 sessions" not in plain(pilot.app)
        assert "No sessions" not in plain(pilot.app)


@pytest.mark.parametrize(("digit", "mode"), [("4", "training"), ("5", "results"), ("6", "cams")])
async def test_a_screen_of_a_session_shows_the_one_under_the_cursor_where_none_was_opened(
    workspace, digit, mode
):
    kept(workspace, "run-0")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "run-0")
        await press(pilot, digit)
        await until(pilot, lambda: app.current_mode == mode, "the screen")
        assert app.workspace.shown is not None
        assert app.workspace.shown.name == "run-0"
