"""A session that is moved or removed while it runs: nothing is begun anew in its old place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from small_runs import made_session, program

from core.errors import RunFailedError, StoppedError
from core.events import (
    DatasetReady,
    EpochDone,
    Event,
    Failed,
    Finished,
    Resumed,
    StepRecorded,
    Stopped,
    TestStarted,
)
from core.requests import Request
from core.run import Machine, run
from core.store import heartbeat
from core.store.session import Session
from core.training.keeping import has_checkpoint


@pytest.fixture
def session(tmp_path: Path, phantom_dir: Path) -> Session:
    changes = {"train.few_images_first": "never", "evaluate.bootstrap": 0}
    return made_session(tmp_path, phantom_dir, epochs=1, **changes)


def told_by(
    session: Session, cache_dir: Path, kind: type[Event], then: Callable[[], object]
) -> list[Event]:
    """Run it, and do something at the first event of a kind; what it told."""
    told: list[Event] = []

    def emit(event: Event) -> None:
        told.append(event)
        if isinstance(event, kind) and sum(isinstance(e, kind) for e in told) == 1:
            then()

    try:
        run(session, emit, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    except StoppedError:
        assert isinstance(told[-1], Stopped)
    return told


@pytest.mark.parametrize("kind", [DatasetReady, StepRecorded, TestStarted])
def test_moved_it_keeps_a_checkpoint_where_it_is_now_and_stops(
    session: Session, cache_dir: Path, tmp_path: Path, kind: type[Event]
) -> None:
    there = tmp_path / "elsewhere"

    def move() -> None:
        session.path.rename(there)
        session.path.mkdir()  # somebody begins another one of the name

    told = told_by(session, cache_dir, kind, move)

    stopped = told[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.moved_to == str(there)
    assert f"moved to {there} while it ran" in stopped.reason
    assert list(session.path.iterdir()) == []
    assert list(Session(there).events()) == told
    # It looks now and then: after the data there may have been steps meanwhile.
    assert has_checkpoint(Session(there)) == (stopped.step > 0 or kind is not DatasetReady)
    if kind is StepRecorded:
        again = told_by(Session(there), cache_dir, Event, lambda: None)
        assert isinstance(again[-1], Finished)
        assert [e.step for e in again if isinstance(e, Resumed)] == [stopped.step]


def test_a_lock_that_was_removed_stops_the_run_with_a_checkpoint(
    session: Session, cache_dir: Path
) -> None:
    stopped = told_by(session, cache_dir, StepRecorded, (session.path / "lock").unlink)[-1]
    assert isinstance(stopped, Stopped)
    assert (stopped.moved_to, stopped.step > 0) == ("", True)
    assert "its lock was removed or replaced while it ran" in stopped.reason
    assert has_checkpoint(session)
    again = told_by(session, cache_dir, Event, lambda: None)
    assert isinstance(again[-1], Finished)


@pytest.mark.parametrize("kind", [DatasetReady, StepRecorded, EpochDone])
def test_removed_it_ends_by_name_and_makes_no_folder(
    session: Session, cache_dir: Path, kind: type[Event]
) -> None:
    told: list[Event] = []

    def emit(event: Event) -> None:
        told.append(event)
        if isinstance(event, kind):
            shutil.rmtree(session.path)

    with pytest.raises(RunFailedError, match="folder was removed while it ran") as ended:
        run(session, emit, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    assert ended.value.exit_code == 4
    assert isinstance(told[-1], Failed)
    assert told[-1].exit_code == 4
    assert not session.path.exists()


def test_events_that_an_editor_replaced_end_the_run_by_their_name(
    session: Session, cache_dir: Path
) -> None:
    def save() -> None:
        beside = session.path / "events.jsonl~"
        shutil.copy(session.events_path, beside)
        beside.replace(session.events_path)

    with pytest.raises(RunFailedError, match=r"events\.jsonl: was removed or replaced"):
        told_by(session, cache_dir, StepRecorded, save)


def test_moved_under_a_running_program_it_says_where_to_go_on(
    session: Session, cache_dir: Path, tmp_path: Path
) -> None:
    there = tmp_path / "elsewhere"
    command = program(
        cache_dir, "--resume", str(session.path), "--json", "--set", "train.epochs=90"
    )
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True, cwd=tmp_path) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if "StepRecorded" in line)
        session.path.rename(there)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 75, said
    assert f"--resume {there}" in said
    assert str(session.path) not in said.partition("stopped")[2]
    assert not session.path.exists()


def test_the_sign_of_life_goes_with_the_folder(
    session: Session, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    with session.writing() as writer:
        session.path.rename(tmp_path / "elsewhere")
        session.path.mkdir()
        os.utime(tmp_path / "elsewhere" / "heartbeat", (0, 0))
        assert heartbeat.beats_within(tmp_path / "elsewhere", 30)
        assert writer.session.path == writer.moved_to == tmp_path / "elsewhere"
        monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 30)  # for so long its end is waited for
    assert list(session.path.iterdir()) == []
