"""Ctrl-Z and fg under a shell with job control: nothing is lost, and nothing else is changed."""

import os
import shlex
import signal

import pytest
from small_runs import (
    NAME,
    children_of,
    console,
    go_on,
    kinds_of,
    listed_state,
    made_session,
    program,
    scores_of,
    state_of,
    until,
)
from terminal import Terminal

from core.errors import SessionError

CTRL_Z = "\x1a"
CTRL_L = "\x0c"
PROMPT = "shell>"
EPOCHS = 3  # time enough to be suspended in


@pytest.fixture(scope="module")
def never_suspended(tmp_path_factory, phantom_dir, cache_dir):
    """The scores of the same run, left alone."""
    from core.requests import Request
    from core.run import Machine, run

    session = made_session(tmp_path_factory.mktemp("alone"), phantom_dir, epochs=EPOCHS)
    run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    return scores_of(session)


def shell(folder):
    environment = {"PS1": f"{PROMPT} "}
    terminal = Terminal(["bash", "--norc", "-i"], folder=folder, environment=environment)
    terminal.shows(PROMPT)
    return terminal


def job_of(terminal):
    (job,) = children_of(terminal.process.pid)
    return job


def slept(terminal, session, job):
    """It is stopped; what others see of the session meanwhile."""
    terminal.until(lambda _: state_of(job) == "T", 30, "the suspension")
    terminal.shows("Stopped")
    recorded = (session.path / "events.jsonl").read_bytes()
    assert session.is_being_written()
    with pytest.raises(SessionError, match=f"process {job}"):
        session.writing()
    os.utime(session.path / "heartbeat", (0, 0))  # as after minutes
    assert listed_state(session) == "silent"
    assert (session.path / "events.jsonl").read_bytes() == recorded


def woken(terminal):
    """By fg, from a shell that has cleared the screen: what stands there then is drawn anew.

    A key that comes before that is flushed with whatever was typed to the shell.
    """
    terminal.send(CTRL_L)
    terminal.until(lambda text: text.strip() == PROMPT, 30, "a cleared screen")
    terminal.send("fg\n")
    terminal.shows("4 Training")


@pytest.mark.slow
def test_the_console_is_suspended_and_comes_back_with_its_run(
    tmp_path, cache_dir, phantom_dir, never_suspended
):
    session = made_session(tmp_path, phantom_dir, epochs=EPOCHS)
    with shell(tmp_path) as terminal:
        terminal.send(shlex.join(program(cache_dir, "--attach", NAME)) + "\n")
        go_on(terminal)
        terminal.shows_one_of(rf"epoch \d+ of {EPOCHS}", 120)
        job = job_of(terminal)
        terminal.send(CTRL_Z)
        slept(terminal, session, job)
        terminal.send("stty -a | grep -o ' icanon'\n")
        terminal.shows("\n icanon")  # the shell has its terminal back as it was
        terminal.send("bg\n")  # it can't draw there, and sleeps on
        terminal.until(lambda text: "&" in text, 30, "the job in the background")
        # The shell's own word for it: an fg that comes before it wouldn't wake the job.
        terminal.send('until [ "$(jobs -s)" ]; do sleep 0.1; done; echo asleep $((1 + 1))\n')
        terminal.shows("asleep 2")
        assert state_of(job) == "T"
        woken(terminal)
        terminal.until(lambda _: listed_state(session) != "silent", 60, "a heartbeat")
        terminal.send("?")
        terminal.shows("Keys of training")
        terminal.send("q")
        terminal.until(lambda text: "Keys of" not in text, 30, "the end of the help")
        os.kill(job, signal.SIGSTOP)  # by somebody who asks nobody
        terminal.shows("Stopped")
        woken(terminal)
        terminal.shows("✓ finished", 120)
        terminal.send("q")
        terminal.shows(PROMPT)
    assert kinds_of(session)[-1] == "Finished"
    assert scores_of(session) == never_suspended


@pytest.mark.slow
def test_a_batch_run_is_suspended_and_ends_with_the_same_scores(
    tmp_path, cache_dir, phantom_dir, never_suspended
):
    session = made_session(tmp_path, phantom_dir, epochs=EPOCHS)
    with shell(tmp_path) as terminal:
        terminal.send(shlex.join(program(cache_dir, "--resume", NAME)) + "\n")
        terminal.until(lambda _: "StepRecorded" in kinds_of(session), 120, "a step")
        terminal.send(CTRL_Z)
        slept(terminal, session, job_of(terminal))
        terminal.send("fg\n")
        terminal.shows("finished", 120)
        terminal.until(lambda text: text.endswith(PROMPT), 30, "the prompt")
    assert kinds_of(session)[-1] == "Finished"
    assert scores_of(session) == never_suspended


@pytest.mark.slow
def test_a_terminal_that_goes_while_the_console_is_suspended_loses_nothing(
    tmp_path, cache_dir, phantom_dir
):
    """The kernel wakes it with a SIGHUP; bash may send its suspended jobs a SIGTERM besides."""
    session = made_session(tmp_path, phantom_dir, epochs=1)
    with shell(tmp_path) as terminal:
        terminal.send(shlex.join(program(cache_dir, "--attach", NAME)) + "\n")
        go_on(terminal)
        terminal.until(lambda _: "StepRecorded" in kinds_of(session), 120, "a step")
        terminal.send(CTRL_Z)
        terminal.until(lambda _: state_of(job_of(terminal)) == "T", 30, "the suspension")
        terminal.shows("Stopped")
        terminal.hang_up()
        until(lambda: kinds_of(session)[-1] in ("Finished", "Stopped"), "the run's end")
    assert "CheckpointWritten" in kinds_of(session)


def test_where_no_shell_could_wake_it_ctrl_z_does_nothing(tmp_path, cache_dir):
    with console(tmp_path, cache_dir) as terminal:
        terminal.shows("No sessions yet.")
        terminal.send(CTRL_Z)
        terminal.send("?")
        terminal.shows("Keys of sessions")
        assert state_of(terminal.process.pid) != "T"
        terminal.send("qq")
        assert terminal.exit_code() == 0
        assert terminal.is_restored()
