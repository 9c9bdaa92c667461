"""One process writes, others look and ask: each a process of its own."""

import subprocess
import sys

import pytest
import warm_start
from small_runs import (
    NAME,
    console,
    events_of,
    kinds_of,
    listed_state,
    made_session,
    program,
    until,
)

ASK = """
import sys
from pathlib import Path
from core.requests import Request
from core.store.session import Session
Session(Path(sys.argv[1])).ask(Request(sys.argv[2]))
"""


@pytest.fixture
def written(tmp_path, cache_dir, phantom_dir):
    """A long run by a process of its own, and the session it writes."""
    session = made_session(tmp_path, phantom_dir, epochs=300)
    writer = warm_start.Popen(
        program(cache_dir, "--resume", NAME),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield session, writer
    writer.kill()
    writer.wait()


def answered(screen, session, key, question, event, **what):
    """Press the key, say yes, and wait for the run's answer: an event with these fields."""
    before = len(events_of(session))

    def is_there(_):
        given = (e for e in events_of(session)[before:] if e["event"] == event)
        return any(what.items() <= e.items() for e in given)

    screen.send(key)
    screen.shows(question)
    screen.send("y")
    screen.until(is_there, 60, event)


@pytest.mark.slow
def test_attached_consoles_pause_keep_go_on_and_stop_a_run_of_another_process(
    tmp_path, cache_dir, written
):
    session, writer = written
    with (
        console(tmp_path, cache_dir, "--attach", NAME) as screen,
        console(tmp_path, cache_dir, "--attach", NAME) as beside,
    ):
        screen.shows_one_of(r"epoch \d+ of 300", 120)
        question = "Write a checkpoint of mine?"
        answered(screen, session, "C", question, "CheckpointWritten", reason="asked for")
        answered(screen, session, "P", "Pause mine?", "Paused")
        screen.shows("‖ paused")
        beside.shows("‖ paused")
        assert listed_state(session) == "paused"
        answered(beside, session, "P", "Continue mine?", "Continued")
        screen.shows("● running")
        answered(screen, session, "X", "Stop mine?", "Stopped")
        assert writer.wait(timeout=60) == 75
        for each in (screen, beside):
            each.shows("■ stopped")
            each.send("q")
            assert each.exit_code() == 0
    assert listed_state(session) == "stopped"


@pytest.mark.slow
def test_a_process_without_a_screen_asks_in_the_same_way_and_during_validation_too(written):
    session, writer = written

    def ask(request):
        subprocess.run([sys.executable, "-c", ASK, session.path, request], check=True)

    def reasons():
        return [e["reason"] for e in events_of(session) if e["event"] == "CheckpointWritten"]

    until(lambda: kinds_of(session)[-1:] == ["ValidationProgress"], "validation")
    ask("checkpoint")
    until(lambda: "asked for" in reasons(), "the checkpoint")
    ask("pause")
    until(lambda: kinds_of(session)[-1] == "Paused", "the pause")
    ask("continue")
    until(lambda: "Continued" in kinds_of(session), "going on")
    ask("pause")
    until(lambda: kinds_of(session)[-1] == "Paused", "the second pause")
    ask("stop")
    assert writer.wait(timeout=60) == 75
    assert kinds_of(session)[-1] == "Stopped"


@pytest.mark.slow
def test_a_session_is_told_as_interrupted_after_a_kill_and_can_be_gone_on_with(
    tmp_path, cache_dir, written
):
    session, writer = written
    with console(tmp_path, cache_dir, "--attach", NAME) as screen:
        screen.shows_one_of(r"epoch \d+ of 300", 120)
        assert listed_state(session) == "running"
        writer.kill()
        writer.wait()
        screen.shows("○ interrupted", 30)
        assert listed_state(session) == "interrupted"
    with session.writing() as writer_again:
        assert writer_again.taken_over is None
