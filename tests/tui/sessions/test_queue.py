"""The queue over the list of sessions: seen, ordered, paused, emptied, tried again."""

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun

from core.recipe_toml import load_recipe
from core.store.queue.entry import Ended
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next
from cxr_tui.app.app import ConsoleApp


@pytest.fixture
def queue(workspace):
    return Queue(workspace.sessions)


def add(queue, *names):
    for name in names:
        queue.add(load_recipe("demo"), name)


def names(queue):
    return [entry.session.name for entry in queue.entries()]


def foot(app):
    return plain(app).splitlines()[-1]


async def opened(pilot, words="alpha"):
    await shows(pilot, "queue: ")
    await press(pilot, "E")
    await shows(pilot, "takes")
    await shows(pilot, words)


def keys(app):
    return {
        binding.binding.description
        for binding in app.screen.active_bindings.values()
        if binding.enabled and binding.binding.id and binding.binding.id.startswith("queue.")
    }


async def test_the_queue_is_ordered_paused_and_emptied_by_keys(workspace, queue):
    add(queue, "alpha", "beta", "gamma")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        assert "expected end unknown" in plain(app)
        await press(pilot, "]")
        await until(pilot, lambda: names(queue) == ["beta", "alpha", "gamma"], "one later")
        await until(pilot, lambda: app.screen._table.cursor_row == 1, "the cursor goes with it")
        await press(pilot, "]")
        await until(pilot, lambda: names(queue) == ["beta", "gamma", "alpha"], "the last")
        await until(pilot, lambda: app.screen._table.cursor_row == 2, "the cursor goes with it")
        await press(pilot, "]", "[")
        await until(pilot, lambda: names(queue) == ["beta", "alpha", "gamma"], "one earlier")
        await press(pilot, "P")
        await until(pilot, lambda: queue.is_paused, "paused")
        await shows(pilot, "P continue")
        await press(pilot, "P")
        await until(pilot, lambda: not queue.is_paused, "not paused")
        await until(pilot, lambda: app.screen._table.cursor_row == 1, "the cursor stays")
        await press(pilot, "d")
        await until(pilot, lambda: names(queue) == ["beta", "gamma"], "one removed")
        await shows(pilot, "2 waiting")
        await press(pilot, "U")
        await shows(pilot, "remove 2 entries")
        await press(pilot, "y")
        await until(pilot, lambda: names(queue) == [], "emptied")
        await press(pilot, "escape")
        await shows(pilot, "No sessions yet")
        await until(pilot, lambda: "E queue" not in plain(app), "no key for an empty queue")


async def test_only_keys_that_do_something_are_named(workspace, queue):
    add(queue, "alpha", "beta")
    held = take_next(queue)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert keys(app) == {"open", "pause", "start", "none waiting", "back"}
        await press(pilot, "j")
        await until(pilot, lambda: "delete" in keys(app), "delete")
        assert "earlier" not in keys(app)
        assert "resume" not in keys(app)
        held.end(Ended("failed", 3, "the data set vanished"))
        held.release()
        await shows(pilot, "1 failed")
        await press(pilot, "g")
        await shows(pilot, "the data set vanished")
        assert keys(app) >= {"resume", "delete", "pause"}
        await press(pilot, "r")
        await until(pilot, lambda: queue.entry("alpha").ended is None, "it waits again")


async def test_a_failure_with_markup_and_escapes_is_shown_as_text(workspace, queue):
    add(queue, "alpha")
    held = take_next(queue)
    held.end(Ended("failed", 3, "[red]/data\x1b[31m/[/nih] is gone"))
    held.release()
    (queue.path / "0002-demo").mkdir()
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await shows(pilot, "[red]/data")
        assert "\x1b[31m" not in plain(app)
        await press(pilot, "j")
        await shows(pilot, "entry.json: is missing")
        assert "damaged" in plain(app)


async def test_the_list_says_what_the_queue_does(workspace, queue):
    a_session(workspace, begun(), name="a-1")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "1 session,")
        assert "E queue" not in plain(app)
        add(queue, "alpha", "beta")
        await shows(pilot, "queue: 2 waiting")
        queue.pause()
        await shows(pilot, "queue: paused, 2 waiting")


async def test_enter_opens_the_session_of_an_entry(workspace, queue):
    add(queue, "alpha")
    held = take_next(queue)
    a_session(workspace, begun(), name="alpha")
    held.begin()
    held.end(Ended("failed", 4, "out of memory"))
    held.release()
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await press(pilot, "enter")
        await shows(pilot, "alpha · ")
        assert app.current_mode == "training"
        assert workspace.shown.name == "alpha"
