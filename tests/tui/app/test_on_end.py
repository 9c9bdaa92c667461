"""The user's command at a run's end: what it is told, and that nothing of it costs anything."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from pathlib import Path

import pytest

from core.events import Evaluated, RunStarted, Stopped
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session
from cxr_tui.runs.on_end import OnEnd, RunWatch
from cxr_tui.terminal.title import Title, title_sequence


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return create_session(tmp_path / "sessions", load_recipe("demo"), "mine")


def test_it_is_told_of_session_state_code_and_figure(session: Session) -> None:
    command = "echo $CXR_SESSION,$CXR_STATE,$CXR_EXIT_CODE,$CXR_MEAN_AUROC"
    for code, mean in ((0, 0.84021), (75, None), (4, None)):
        assert OnEnd(command).run(session, code, mean) == ""
    told = [line for line in session.log.read_text().splitlines() if line.startswith("/")]
    path = session.path.absolute()
    assert told == [f"{path},finished,0,0.8402", f"{path},stopped,75,", f"{path},failed,4,"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("exit 3", "exit code 3"),
        ("kill -9 $$", "ended by signal 9"),
        ("/no/such/program", "exit code 127"),
        ("sleep 1000", "ended after 0.5 seconds"),
        ("trap '' TERM; sleep 1000 & sleep 1000", "ended after 0.5 seconds"),
        ("exec >&- 2>&-; sleep 1000", "ended after 0.5 seconds"),
        ("yes", "ended after 2,000 bytes of output"),
        ("yes | head -c 2001; exit 0", "ended after 2,000 bytes of output"),
    ],
)
def test_one_that_fails_hangs_or_floods_is_a_warning(
    session: Session, command: str, says: str
) -> None:
    started = time.monotonic()
    warning = OnEnd(command, longest_seconds=0.5, most_bytes=2000).run(session, 0, None)
    assert warning == f"on-end: {says}: {command}"
    assert time.monotonic() - started < 10
    kept = session.log.read_text()
    assert f"on-end: {says}\n" in kept
    assert len(kept) < 3000


def test_what_it_started_is_ended_with_it_where_it_hangs(session: Session, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    command = f"sleep 1000 > {shlex.quote(str(alive))} & wait"
    assert "ended after" in OnEnd(command, longest_seconds=0.5).run(session, 0, None)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # nobody holds the other end any more
    os.close(reader)


def test_a_program_left_behind_is_not_waited_for(session: Session) -> None:
    started = time.monotonic()
    assert OnEnd("echo told; sleep 8 &", longest_seconds=30).run(session, 0, None) == ""
    assert time.monotonic() - started < 6
    assert "told\non-end: done\n" in session.log.read_text()


def test_control_characters_of_its_output_do_not_reach_a_terminal(session: Session) -> None:
    OnEnd(r"printf '\033]0;owned\007\377'").run(session, 0, None)
    kept = session.log.read_bytes()
    assert b"\x1b" not in kept
    assert "␛]0;owned␇".encode() in kept


def test_it_ends_on_request(session: Session) -> None:
    on_end = OnEnd("sleep 1000", should_end=lambda: True)
    assert on_end.run(session, 0, None) == "on-end: ended on request: sleep 1000"


def test_a_deleted_session_and_a_log_that_refuses_do_not_stop_it(
    session: Session, tmp_path: Path
) -> None:
    proof = shlex.quote(str(tmp_path / "proof"))
    assert OnEnd(f"touch {proof}").run(Session(tmp_path / "gone"), 3, None) == ""
    assert (tmp_path / "proof").exists()
    session.log.unlink(missing_ok=True)
    session.log.mkdir()
    assert "its output can't be kept (Is a directory)" in OnEnd("true").run(session, 0, None)


def test_a_runs_events_tell_whether_it_began_and_its_figure() -> None:
    watch = RunWatch()
    watch(Stopped(step=0, reason="", moved_to="/there"))
    assert (watch.has_begun, watch.mean_auroc, watch.moved_to) == (False, None, "/there")
    watch(RunStarted(name="mine", host="here", pid=1))
    watch(Evaluated(report={"mean_auroc": 0.5}))
    assert (watch.has_begun, watch.mean_auroc) == (True, 0.5)
    watch(Evaluated(report={"mean_auroc": None}))
    assert watch.mean_auroc is None


def test_the_title_is_set_and_put_back_on_a_terminal_that_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def written() -> bytes:
        master, slave = os.openpty()
        with os.fdopen(slave, "w") as terminal, Title(terminal) as title:
            title.say("mine finished\x1b[31m\nhere", rings=True)
            os.write(slave, b".")
        found = b""
        with contextlib.suppress(OSError):  # its other end is closed, and all is read
            while piece := os.read(master, 1000):
                found += piece
        os.close(master)
        return found

    expected = "\x1b[22;2t\x1b]2;mine finished␛[31m here\a\a.\x1b[23;2t"
    assert written() == expected.encode()
    for without in ("dumb", "linux", ""):
        monkeypatch.setenv("TERM", without)
        assert written() == b"."
        assert title_sequence("mine") == ""


def test_nothing_is_written_where_there_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, Title(file) as title:
        title.say("mine finished", rings=True)
    assert (tmp_path / "file").read_bytes() == b""
