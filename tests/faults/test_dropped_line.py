"""The line drops: the screen is let go of, and the run goes on at no extra cost to its end."""

import contextlib
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
import warm_start
from small_runs import (
    NAME,
    console,
    cpu_seconds,
    events_of,
    go_on,
    kinds_of,
    made_session,
    program,
    until,
)
from terminal import Terminal

from core.requests import Request


def epochs_done(session):
    return kinds_of(session).count("EpochDone")


def two_epochs_of(session, pid, wait):
    """Over two epochs: processor seconds a step, and the main thread's share of the time."""
    done = epochs_done(session)
    wait(lambda: epochs_done(session) > done)
    cpu, main, clock = cpu_seconds(pid), cpu_seconds(pid, main_thread=True), time.monotonic()
    done = epochs_done(session)
    wait(lambda: epochs_done(session) > done + 1)
    steps = [event["step"] for event in events_of(session) if event["event"] == "EpochDone"]
    a_step = (cpu_seconds(pid) - cpu) / (steps[-1] - steps[done - 1])
    share = (cpu_seconds(pid, main_thread=True) - main) / (time.monotonic() - clock)
    return a_step, share


@pytest.mark.slow
def test_after_a_hang_up_the_run_costs_no_more_finishes_and_attach_finds_it(
    tmp_path, cache_dir, phantom_dir, record_property
):
    session = made_session(tmp_path, phantom_dir, epochs=9)
    with console(tmp_path, cache_dir, "--attach", NAME) as terminal:
        pid = terminal.process.pid
        go_on(terminal)
        before, _ = two_epochs_of(
            session, pid, lambda holds: terminal.until(lambda _: holds(), 180, "an epoch")
        )
        terminal.hang_up()
        after, main_thread = two_epochs_of(session, pid, lambda holds: until(holds, "an epoch"))
        record_property("cpu_seconds_a_step", f"{before:.3f} before, {after:.3f} after")
        print(f"a step: {before:.3f} s of CPU before, {after:.3f} s after; main {main_thread:.1%}")
        assert after < 1.5 * before  # a thread that spins on a dead terminal doubles it
        assert main_thread < 0.1
        assert terminal.process.wait(timeout=180) == 0
    assert kinds_of(session)[-1] == "Finished"
    with console(tmp_path, cache_dir, "--attach", NAME) as terminal:
        terminal.shows("✓ finished")


def kill_twice(terminal):
    """As shells do: once from the kernel, once more from the shell."""
    terminal.hang_up()
    for _ in range(3):
        terminal.process.send_signal(signal.SIGHUP)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "drop", "is_told"),
    [
        ("IngestProgress", kill_twice, True),
        ("ValidationProgress", Terminal.hang_up, False),
    ],
)
def test_at_any_moment_it_goes_on_and_a_later_sigterm_stops_it_with_a_checkpoint(
    tmp_path, phantom_dir, moment, drop, is_told
):
    session = made_session(tmp_path, phantom_dir, epochs=300)
    cache = tmp_path / "cache"
    with console(tmp_path, cache, "--attach", NAME, is_told_of_hang_up=is_told) as terminal:
        go_on(terminal)
        terminal.until(lambda _: moment in kinds_of(session), 120, moment)
        drop(terminal)
        pid, steps = terminal.process.pid, kinds_of(session).count("StepRecorded")
        until(lambda: kinds_of(session).count("StepRecorded") > steps + 1, "steps")
        until(lambda: not descriptors_on_a_terminal(pid), "the terminal let go of", 30)
        terminal.process.terminate()
        assert terminal.process.wait(timeout=60) == 75
    *_, kept, last = events_of(session)
    assert (kept["event"], last["event"]) == ("CheckpointWritten", "Stopped")
    assert kept["step"] == last["step"]


def descriptors_on_a_terminal(pid):
    """What it still holds of any terminal."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(link.readlink())
    return [link for link in links if link.is_relative_to("/dev/pts")]


@pytest.mark.slow
def test_a_run_that_was_paused_with_a_question_open_is_gone_on_with_from_elsewhere(
    tmp_path, cache_dir, phantom_dir
):
    session = made_session(tmp_path, phantom_dir, epochs=300)
    with console(tmp_path, cache_dir, "--attach", NAME) as first:
        go_on(first)
        first.shows_one_of(r"epoch \d+ of 300", 120)
        first.send("P")
        first.shows("P continues", 60)
        first.send("q")
        first.shows("leave it running, without a screen")
        kill_twice(first)
        with console(tmp_path, cache_dir, "--attach", NAME) as second:
            second.shows("‖ paused")
            assert kinds_of(session)[-1] == "Paused"
            second.send("P")
            second.shows("Another process runs it.")
            second.send("y")
            second.until(lambda _: kinds_of(session)[-1] == "StepRecorded", 60, "steps again")
        session.ask(Request.STOP)
        assert first.process.wait(timeout=60) == 75
    assert kinds_of(session)[-1] == "Stopped"


def on_a_terminal_that_goes(session, command, folder):
    ours, theirs = pty.openpty()
    batch = warm_start.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"epoch 1" not in seen:  # the bar is drawn by a thread of its own
        seen += os.read(ours, 65536)
    os.close(ours)
    return batch.wait(timeout=120)


def on_a_full_disk(session, command, folder):
    with Path("/dev/full").open("w") as full:
        return warm_start.run(command, cwd=folder, stdout=full, stderr=full).returncode


def on_closed_streams(session, command, folder):
    shell = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *command]
    return subprocess.run(shell, cwd=folder).returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "flags"),
    [(on_a_terminal_that_goes, []), (on_a_full_disk, []), (on_closed_streams, ["--json"])],
)
def test_a_batch_run_outlives_whatever_becomes_of_its_output(
    tmp_path, cache_dir, phantom_dir, run, flags
):
    session = made_session(tmp_path, phantom_dir, epochs=1)
    assert run(session, program(cache_dir, "--resume", NAME, *flags), tmp_path) == 0
    assert kinds_of(session)[-1] == "Finished"
