import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import core
from core.errors import SessionError
from core.events import CheckpointWritten, EarlyStopped, Finished, RunStarted, StepRecorded
from core.recipe import Recipe
from core.requests import Request
from core.store.files import write_whole
from core.store.recorder import Recorder
from core.store.sessions import create_session, list_sessions, open_session, rename_session
from core.store.summary import SessionSummary


def started():
    return RunStarted(name="x", host="here", pid=1)


def test_the_recipe_is_there_before_anything_else(tmp_path):
    session = create_session(tmp_path / "sessions", Recipe(name="mine"))
    assert session.recipe == Recipe(name="mine")
    assert session.name.endswith("-mine")


def test_two_starts_in_one_second_get_two_directories(tmp_path):
    made = [create_session(tmp_path, Recipe(name="twin")) for _ in range(5)]
    assert len({session.path for session in made}) == 5


def test_a_name_that_is_taken_is_refused(tmp_path):
    create_session(tmp_path, Recipe(), "mine")
    with pytest.raises(SessionError, match="a session of this name exists already"):
        create_session(tmp_path, Recipe(), "mine")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", ".hidden", "a\0b", "x" * 200])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(SessionError):
        create_session(tmp_path / "sessions", Recipe(), name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_session_is_refused_by_name(tmp_path):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(SessionError, match=r"holiday: is not a session"):
        open_session("holiday", tmp_path)


def test_an_unknown_session_names_the_nearest_one(tmp_path):
    create_session(tmp_path, Recipe(), "mass-320")
    with pytest.raises(SessionError, match="Did you mean 'mass-320'"):
        open_session("mass-32", tmp_path)


def test_events_come_back_in_order_with_their_time(tmp_path):
    session = create_session(tmp_path, Recipe())
    with session.writing() as writer:
        for step in range(3):
            writer.append(CheckpointWritten(name="last", step=step, epoch=1, reason="asked for"))
    steps = list(session.events())
    assert [event.step for event in steps] == [0, 1, 2]
    assert all(event.time > 0 for event in steps)


def test_a_torn_last_line_is_passed_over_and_then_cut_off(tmp_path):
    session = create_session(tmp_path, Recipe())
    with session.writing() as writer:
        writer.append(started())
    events = session.path / "events.jsonl"
    with events.open("ab") as stream:
        stream.write(b'{"event": "EarlyStop')
    assert [type(event) for event in session.events()] == [RunStarted]
    with session.writing() as writer:
        writer.append(EarlyStopped(epoch=2, best_epoch=1))
    assert [type(event) for event in session.events()] == [RunStarted, EarlyStopped]
    assert all(json.loads(line) for line in events.read_text().splitlines())


def test_a_second_writer_is_refused_with_the_owner_named(tmp_path):
    session = create_session(tmp_path, Recipe())
    with session.writing():
        assert session.is_being_written()
        with pytest.raises(SessionError, match=str(os.getpid())):
            session.writing()
    assert not session.is_being_written()


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    session = create_session(tmp_path, Recipe())
    code = (
        "import sys, os, signal; from pathlib import Path; from core.store.session import Session;"
        f"writer = Session(Path({str(session.path)!r})).writing();"
        "print('mine', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "mine\n"
    assert session.is_being_written()
    owner.kill()
    owner.wait()
    with session.writing():
        assert session.is_being_written()
    owner.stdin.close()
    owner.stdout.close()


def test_requests_from_elsewhere_are_taken_once_but_a_pause_stands(tmp_path):
    session = create_session(tmp_path, Recipe())
    with session.writing() as writer:
        assert writer.take_request() is Request.CONTINUE
        session.ask(Request.PAUSE)
        assert writer.take_request() is Request.PAUSE
        assert writer.take_request() is Request.PAUSE
        session.ask(Request.STOP)
        assert writer.take_request() is Request.STOP
        assert writer.take_request() is Request.PAUSE
        session.ask(Request.CONTINUE)
        assert writer.take_request() is Request.CONTINUE


def ended_by(session, error):
    with Recorder(session, lambda _: None) as record:
        record(started())
        raise error


@pytest.mark.parametrize("error", [ValueError("oops"), KeyboardInterrupt(), SessionError("no")])
def test_however_a_run_leaves_one_terminal_event_is_its_last(tmp_path, error):
    session = create_session(tmp_path, Recipe())
    with pytest.raises(type(error)):
        ended_by(session, error)
    kinds = list(session.events())
    assert [event.ends_run for event in kinds] == [False, True]
    assert "Traceback" in session.log.read_text()


def test_the_summary_knows_the_state_by_its_word(tmp_path):
    session = create_session(tmp_path, Recipe(), "one")
    assert SessionSummary.of(session).state == "new"
    with session.writing() as writer:
        writer.append(started())
        assert SessionSummary.of(session).state == "running"
        writer.append(
            StepRecorded(
                step=1,
                epoch=1,
                train_loss=1.0,
                learning_rate=0.1,
                gradient_norm=None,
                images_per_second=1.0,
            )
        )
    assert SessionSummary.of(session).state == "interrupted"
    os.utime(session.path / "heartbeat", (0, 0))
    assert SessionSummary.of(session).state == "silent"
    with session.writing() as writer:
        writer.append(Finished(epochs=1, best_epoch=1, seconds=1.0))
    assert SessionSummary.of(session).state == "finished"


def test_a_damaged_recipe_does_not_hide_the_other_sessions(tmp_path):
    create_session(tmp_path, Recipe(), "good")
    broken = create_session(tmp_path, Recipe(), "broken")
    (broken.path / "recipe.toml").write_text("name = [")
    summaries = {s.name: s for s in map(SessionSummary.of, list_sessions(tmp_path))}
    assert set(summaries) == {"good", "broken"}
    assert "not valid TOML" in summaries["broken"].message


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path):
    file = tmp_path / "kept.txt"
    write_whole(file, b"old")

    def fail(stream):
        stream.write(b"half of the new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(file, fail)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "state.json", b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == mode


def test_the_umask_is_never_changed_not_even_for_a_moment():
    # It is the whole process's: a file that another thread makes meanwhile is open to all.
    root = Path(core.__file__).parent.parent
    sources = [*root.glob("core/**/*.py"), *root.glob("cxr_tui/**/*.py")]
    assert len(sources) > 200
    assert [path.name for path in sources if "umask(" in path.read_text()] == []


def test_a_session_is_renamed_unless_it_is_written_or_the_name_is_taken(tmp_path):
    session = create_session(tmp_path, Recipe(), "old")
    create_session(tmp_path, Recipe(), "taken")
    for name, words in (("taken", "exists already"), ("a/b", "is not a valid session name")):
        with pytest.raises(SessionError, match=words):
            rename_session(session, name)
    with session.writing(), pytest.raises(SessionError, match="while a process writes"):
        rename_session(session, "new")
    assert rename_session(session, "new").recipe == Recipe()
    assert {found.name for found in list_sessions(tmp_path)} == {"new", "taken"}
