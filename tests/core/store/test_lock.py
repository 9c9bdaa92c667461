"""Who may write a session: on this machine, from another host, and after a crash of either."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from core.errors import SessionError, StoppedError
from core.events import RunStarted
from core.recipe import Recipe
from core.requests import Request
from core.store import heartbeat, lock
from core.store.sessions import create_session
from core.store.summary import SessionSummary


@pytest.fixture
def session(tmp_path):
    return create_session(tmp_path / "sessions", Recipe(), "mine")


def held_elsewhere(session, *, beat_age_seconds=None, **changes):
    """A lock as another host leaves it on a file system that doesn't carry flock."""
    owner = {"host": "node-17", "pid": 4242, "started": 1_700_000_000.0} | changes
    (session.path / "lock").write_text(json.dumps(owner))
    beat = session.path / "heartbeat"
    beat.touch()
    if beat_age_seconds is not None:
        then = time.time() - beat_age_seconds
        os.utime(beat, (then, then))


@pytest.fixture
def watched_briefly(monkeypatch):
    monkeypatch.setattr(lock, "WATCH_SECONDS", 0.3)


def test_another_host_that_beats_holds_the_lock_and_is_named(session):
    held_elsewhere(session)
    assert session.is_being_written()
    with pytest.raises(
        SessionError, match="host node-17, process 4242, since 2023-11-1"
    ) as refused:
        session.writing()
    assert "heartbeat" in str(refused.value)
    assert json.loads((session.path / "lock").read_text())["pid"] == 4242


def test_a_stop_is_heard_while_a_silent_owner_is_watched(session):
    held_elsewhere(session, beat_age_seconds=300)

    def stop():
        raise StoppedError("asked to stop")

    with pytest.raises(StoppedError):
        session.writing(stop)
    assert json.loads((session.path / "lock").read_text())["host"] == "node-17"


def test_a_silent_owner_on_another_host_is_taken_over_and_that_is_said(session, watched_briefly):
    held_elsewhere(session, beat_age_seconds=300)
    assert not session.is_being_written()
    with session.writing() as writer:
        assert "host node-17, process 4242" in writer.taken_over
        owner = json.loads((session.path / "lock").read_text())
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())


def test_an_old_time_is_no_proof_of_silence_where_it_still_beats(session, monkeypatch):
    """The two hosts' clocks differ by five minutes; only watching tells."""
    monkeypatch.setattr(lock, "WATCH_SECONDS", 30)
    held_elsewhere(session, beat_age_seconds=300)
    ended = threading.Event()

    def beat():
        while not ended.wait(0.1):
            then = time.time() - 300
            os.utime(session.path / "heartbeat", (then, then))

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(SessionError, match="node-17"):
            session.writing()
    finally:
        ended.set()
        beating.join()


def test_a_clean_end_leaves_the_lock_free_for_every_host(session):
    with session.writing():
        assert json.loads((session.path / "lock").read_text())["pid"] == os.getpid()
    assert (session.path / "lock").read_bytes() == b""
    assert not session.is_being_written()


def test_a_container_of_another_name_on_this_kernel_leaves_no_lock_behind(session):
    held_elsewhere(session, boot=lock._boot())
    assert not session.is_being_written()
    with session.writing() as writer:
        assert writer.taken_over is None


@pytest.mark.parametrize("instead", [None, b"", "its copy"])
def test_whose_lock_file_was_removed_is_known_by_its_next_beat(session, monkeypatch, instead):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    with session.writing() as writer:
        named = (session.path / "lock").read_bytes()
        (session.path / "lock").unlink()
        if instead is not None:
            (session.path / "lock").write_bytes(named if instead == "its copy" else instead)
        with pytest.raises(SessionError, match="another process writes to this session"):
            session.writing()
        assert writer.take_request() is Request.STOP
        monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 30)  # for so long its end is waited for


def refuse_to_watch(monkeypatch):
    """Make whoever watches a heartbeat fail."""

    def watched(*_):
        raise AssertionError("watched")

    monkeypatch.setattr(lock, "beats_within", watched)


def test_after_a_clean_end_or_a_kill_nobody_has_to_wait(session, monkeypatch):
    refuse_to_watch(monkeypatch)
    for _ in range(2):
        with session.writing():
            pass
    (session.path / "lock").unlink()
    with session.writing():
        pass
    held_elsewhere(session, host=socket.gethostname(), pid=2**22 + 1, boot=lock._boot())
    with session.writing():
        pass


OTHER_BOOT = "00000000-1111-2222-3333-444444444444"


def test_another_machine_of_this_name_that_beats_holds_the_lock(session):
    """Cloned machines and containers share a name; the kernel's boot id tells them apart."""
    held_elsewhere(session, host=socket.gethostname(), boot=OTHER_BOOT)
    assert session.is_being_written()
    with pytest.raises(SessionError, match=r"another machine of this name.*process 4242"):
        session.writing()
    assert json.loads((session.path / "lock").read_text())["boot"] == OTHER_BOOT


def test_this_machine_before_a_restart_is_taken_over_once_it_is_silent(session, watched_briefly):
    held_elsewhere(session, beat_age_seconds=300, host=socket.gethostname(), boot=OTHER_BOOT)
    assert not session.is_being_written()
    with session.writing() as writer:
        assert "before a restart" in writer.taken_over
        owner = json.loads((session.path / "lock").read_text())
        assert owner["boot"] == lock._boot() != OTHER_BOOT


@pytest.mark.parametrize("boot", [None, OTHER_BOOT])
def test_where_a_kernel_has_no_boot_id_the_hosts_name_decides(session, monkeypatch, boot):
    monkeypatch.setattr(lock, "_boot", lambda: None)
    held_elsewhere(session, host=socket.gethostname(), boot=boot)
    assert not session.is_being_written()
    with session.writing() as writer:
        assert writer.taken_over is None


def test_without_flock_a_number_counted_in_another_container_says_nothing(session, without_flock):
    """Two containers on one kernel, both called localhost: each counts its own processes."""
    ours = {"host": socket.gethostname(), "boot": lock._boot()}
    held_elsewhere(session, pid=2**22 + 1, processes="pid:[1]", **ours)
    assert session.is_being_written()
    with pytest.raises(SessionError, match="heartbeat"):
        session.writing()
    held_elsewhere(session, pid=2**22 + 1, processes=lock._processes(), **ours)
    assert not session.is_being_written()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"host": 3, "pid": "x"}', b"\xff" * 99])
def test_a_lock_file_that_names_nobody_is_free(session, content):
    (session.path / "lock").write_bytes(content)
    assert not session.is_being_written()
    with session.writing():
        assert session.is_being_written()


@pytest.fixture
def without_flock(monkeypatch):
    """A file system that knows no flock; there is none here to be had."""

    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)


@pytest.fixture
def other_process():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_without_flock_a_living_process_holds_the_lock_and_a_dead_one_does_not(
    session, without_flock, other_process
):
    pid = other_process.pid
    born = lock._process_start(pid)
    here = {"host": socket.gethostname(), "pid": pid, "process_start": born, "boot": lock._boot()}
    held_elsewhere(session, **here)
    assert session.is_being_written()
    with pytest.raises(SessionError, match=f"process {pid}"):
        session.writing()
    other_process.kill()
    other_process.wait()
    assert not session.is_being_written()
    with session.writing():
        assert session.is_being_written()


def test_without_flock_a_process_of_the_same_number_is_not_the_owner(
    session, without_flock, other_process
):
    born = lock._process_start(other_process.pid)
    here = {"host": socket.gethostname(), "pid": other_process.pid, "process_start": born - 100}
    held_elsewhere(session, **here)
    assert not session.is_being_written()
    with session.writing():
        pass


def test_a_lock_that_may_not_be_opened_is_a_message(session):
    (session.path / "lock").unlink()
    (session.path / "lock").mkdir()
    with pytest.raises(SessionError, match=r"lock: is something else, but a session needs a file"):
        session.writing()


def test_it_beats_while_nothing_is_recorded_and_stops_with_the_writer(session, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    with session.writing():
        os.utime(session.path / "heartbeat", (0, 0))
        assert heartbeat.beats_within(session.path, 30)
        monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 30)  # for so long its end is waited for
    os.utime(session.path / "heartbeat", (0, 0))
    assert not heartbeat.beats_within(session.path, 0.2)


def test_what_was_asked_of_an_earlier_run_is_not_for_this_one(session):
    for request in (Request.STOP, Request.PAUSE, Request.CHECKPOINT):
        session.ask(request)
    with session.writing() as writer:
        assert writer.take_request() is Request.CONTINUE


def test_the_list_tells_another_host_that_beats_from_one_that_is_silent(session):
    with session.writing() as writer:
        writer.append(RunStarted(name="mine", host="node-17", pid=4242))
    held_elsewhere(session)
    assert SessionSummary.of(session).state == "running"
    held_elsewhere(session, beat_age_seconds=300)
    assert SessionSummary.of(session).state == "silent"
