"""The queue as any process sees it: added, ordered, paused, taken by one, kept through faults."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from core.errors import SessionError
from core.events import Failed, RunStarted
from core.recipe_toml import load_recipe
from core.store.queue.entry import Ended
from core.store.queue.queue import Queue
from core.store.queue.taking import take_next
from core.store.sessions import create_session, list_sessions, rename_session


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path / "sessions")


def added(queue, *names):
    return [queue.add(load_recipe("demo"), name) for name in names]


def names(queue):
    return [entry.session.name for entry in queue.entries()]


def states(queue):
    return [entry.state() for entry in queue.entries()]


def taken_name(queue, **settings):
    taken = take_next(queue, **settings)
    if taken is None:
        return None
    taken.release()
    return taken.entry.session.name


def test_entries_are_taken_in_the_order_in_which_they_were_added(queue):
    added(queue, "a", "b", "c")
    held = [take_next(queue) for _ in range(3)]
    assert [taken.entry.session.name for taken in held] == ["a", "b", "c"]
    assert take_next(queue) is None
    assert states(queue) == ["running"] * 3
    for taken in held:
        taken.release()
    assert states(queue) == ["waiting"] * 3


def test_an_entry_keeps_the_recipe_as_it_was_when_it_was_added(queue, tmp_path, monkeypatch):
    (tmp_path / "r.toml").write_text('name = "mine"\n[dataset]\nimages = "set"\n')
    entry = queue.add(load_recipe(tmp_path / "r.toml"))
    (tmp_path / "r.toml").write_text("broken")
    monkeypatch.chdir("/")
    assert queue.entry("1").recipe.dataset.images == tmp_path / "set"
    assert entry.session.name.endswith("-mine")


def test_a_waiting_entry_is_no_session_yet_but_its_name_is_taken(queue):
    added(queue, "a")
    assert list_sessions(queue.sessions) == []
    with pytest.raises(SessionError, match="exists already"):
        queue.add(load_recipe("demo"), "a")
    create_session(queue.sessions, load_recipe("demo"), "b")
    with pytest.raises(SessionError, match="exists already"):
        queue.add(load_recipe("demo"), "b")


@pytest.mark.parametrize(
    ("to", "order"),
    [(0, "cabd"), (1, "acbd"), (2, "abcd"), (3, "abdc"), (99, "abdc")],
)
def test_an_entry_is_moved_among_those_that_wait(queue, to, order):
    added(queue, *"abcd")
    queue.move(queue.entry("c"), to)
    assert "".join(names(queue)) == order
    added(queue, "e")
    assert "".join(names(queue)) == order + "e"


def test_a_moved_entry_never_stands_level_with_another(queue):
    added(queue, *"abc")
    expected = names(queue)
    for _ in range(60):
        queue.move(queue.entries()[2], 1)
        expected = [expected[0], expected[2], expected[1]]
        assert names(queue) == expected


def test_a_paused_queue_gives_nothing_to_any_worker(queue):
    added(queue, "a")
    queue.pause()
    assert take_next(queue) is None
    queue.go_on()
    assert taken_name(queue) == "a"


def test_what_a_worker_has_cannot_be_removed_and_the_rest_can(queue):
    added(queue, "a", "b")
    taken = take_next(queue)
    with pytest.raises(SessionError, match="another process"):
        queue.remove(queue.entry("a"))
    queue.remove(queue.entry("b"))
    taken.release()
    assert names(queue) == ["a"]


def test_the_entry_of_a_killed_worker_is_anyones(queue):
    added(queue, "a")
    program = (
        "import sys, os, signal; from pathlib import Path;"
        "from core.store.queue.queue import Queue; from core.store.queue.taking import take_next;"
        "taken = take_next(Queue(Path(sys.argv[1]))); taken.begin();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(queue.sessions)], check=False)
    assert killed.returncode == -9
    create_session(queue.sessions, load_recipe("demo"), "a")
    assert states(queue) == ["begun"]
    assert taken_name(queue) == "a"


def test_an_end_that_only_the_session_shows_is_recorded_and_not_run_again(queue):
    added(queue, "a", "b")
    session = create_session(queue.sessions, load_recipe("demo"), "a")
    with session.writing() as writer:
        writer.append(RunStarted(name="a", host="h", pid=1))
        writer.append(Failed(message="out of memory", exit_code=4))
    assert taken_name(queue) == "b"
    entry = queue.entry("a")
    assert (entry.ended.state, entry.ended.exit_code) == ("failed", 4)
    assert entry.ended.message == "out of memory"


@pytest.mark.parametrize("has_room_to_say_so", [True, False])
def test_a_run_that_lacked_space_has_not_ended_its_entry_whoever_looks(queue, has_room_to_say_so):
    added(queue, "a")
    session = create_session(queue.sessions, load_recipe("demo"), "a")
    taken = take_next(queue)
    for _ in range(6):  # more often than an entry's workers may die
        taken.begin()
        with session.writing() as writer:
            writer.append(RunStarted(name="a", host="h", pid=1))
            if has_room_to_say_so:
                writer.append(Failed(message="no room", exit_code=3, lacks_room=True))
    taken.leave_for_later()
    taken.release()
    assert states(queue) == ["begun"]
    assert taken_name(queue) == "a"


def test_a_failed_entry_can_wait_again(queue):
    added(queue, "a")
    session = create_session(queue.sessions, load_recipe("demo"), "a")
    with session.writing() as writer:
        writer.append(RunStarted(name="a", host="h", pid=1))
        writer.append(Failed(message="out of memory", exit_code=4))
    assert taken_name(queue) is None
    queue.put_back(queue.entry("a"))
    assert states(queue) == ["begun"]
    assert taken_name(queue) == "a"


def test_a_finished_entry_cannot_wait_again(queue):
    added(queue, "a")
    taken = take_next(queue)
    taken.end(Ended("finished", 0))
    taken.release()
    with pytest.raises(SessionError, match="is finished"):
        queue.put_back(queue.entry("a"))
    assert taken_name(queue) is None


def test_a_begun_session_that_was_renamed_is_not_made_a_second_time(queue):
    added(queue, "a")
    taken = take_next(queue)
    session = create_session(queue.sessions, taken.entry.recipe, "a")
    taken.begin()
    taken.release()
    rename_session(session, "better")
    assert taken_name(queue) is None
    assert "deleted or renamed" in queue.entry("a").ended.message


def test_an_entry_whose_session_another_process_runs_is_left_to_it(queue):
    added(queue, "a", "b")
    session = create_session(queue.sessions, load_recipe("demo"), "a")
    with session.writing():
        assert states(queue) == ["running", "waiting"]
        assert taken_name(queue) == "b"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"session": 3}', '{"session": "../../etc", "place": 1}'],
)
def test_a_damaged_entry_is_shown_and_stops_no_other(queue, content):
    added(queue, "a", "b")
    (queue.entry("a").path / "entry.json").write_text(content)
    damaged = queue.entries()[0]
    assert damaged.state() == "damaged"
    assert "entry.json" in damaged.fault
    assert "queue remove 1" in damaged.fault
    assert taken_name(queue) == "b"
    queue.remove(damaged)
    assert names(queue) == ["b"]


@pytest.mark.parametrize("name", ["recipe.toml", "ended.json"])
def test_other_damaged_files_of_an_entry_are_shown_too(queue, name):
    added(queue, "a", "b")
    (queue.entry("a").path / name).write_text("\x1b[31m[bold]")
    assert states(queue) == ["damaged", "waiting"]
    assert taken_name(queue) == "b"


def test_numbers_of_a_planted_entry_may_be_anything(queue):
    added(queue, "a")
    for place in ("NaN", "1e999", "9" * 400, "true", '"1"'):
        text = f'{{"session": "a", "place": {place}, "added": 0, "starts_before": 0}}'
        (queue.path / "0001-demo" / "entry.json").write_text(text)
        assert states(queue) == ["damaged"]


def test_links_in_the_queue_are_not_followed(queue, tmp_path):
    added(queue, "a")
    shutil.move(queue.path / "0001-demo", tmp_path / "elsewhere")
    (queue.path / "0001-demo").symlink_to(tmp_path / "elsewhere")
    assert queue.entries() == []
    lock = tmp_path / "elsewhere" / "lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "precious")
    shutil.move(tmp_path / "elsewhere", queue.path / "0002-demo")
    assert states(queue) == ["damaged"]
    assert take_next(queue) is None
    assert not (tmp_path / "precious").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    queue = Queue(tmp_path / "file")
    for act in (lambda: queue.add(load_recipe("demo")), queue.pause):
        with pytest.raises(SessionError, match="--sessions DIR"):
            act()
    assert queue.entries() == []


def test_entries_added_at_once_get_different_numbers_and_sessions(queue):
    program = (
        "import sys; from pathlib import Path; from core.recipe_toml import load_recipe;"
        "from core.store.queue.queue import Queue; queue = Queue(Path(sys.argv[1]));"
        "[queue.add(load_recipe('demo')) for _ in range(5)]"
    )
    command = [sys.executable, "-c", program, str(queue.sessions)]
    adding = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in adding] == [0, 0, 0]
    entries = queue.entries()
    assert [entry.number for entry in entries] == list(range(1, 16))
    assert len(set(names(queue))) == 15


def test_what_killed_processes_left_half_added_is_removed_but_nothing_else(queue):
    added(queue, "a")
    left, kept = queue.path / ".0002-demo.0a1b2c3d", queue.path / ".0003-demo.0a1b2c3d"
    for folder in (left, kept):
        folder.mkdir()
        (folder / "recipe.toml").write_text("")
    (kept / "my notes").write_text("")
    for folder in (left, kept):
        os.utime(folder, (0, 0))
    added(queue, "b")
    assert not left.exists()
    assert (kept / "my notes").exists()


def test_what_is_written_reads_back(queue):
    (entry,) = added(queue, "a")
    assert queue.entry("1") == entry
    taken = take_next(queue)
    taken.end(Ended("failed", 3, "‘gone’ \x1b[31m", 12.5))
    taken.release()
    assert queue.entry("a").ended == Ended("failed", 3, "‘gone’ \x1b[31m", 12.5)
    assert json.loads((entry.path / "entry.json").read_text())["session"] == "a"


def test_an_entry_that_kills_every_worker_is_given_up(queue):
    added(queue, "a", "b")
    session = create_session(queue.sessions, load_recipe("demo"), "a")
    with session.writing() as writer:
        writer.append(RunStarted(name="a", host="h", pid=1))
    for _ in range(5):
        taken = take_next(queue)
        assert taken.entry.session.name == "a"
        taken.begin()
        taken.release()
    assert taken_name(queue) == "b"
    assert "were killed" in queue.entry("a").ended.message
    queue.put_back(queue.entry("a"))
    assert taken_name(queue) == "a"
