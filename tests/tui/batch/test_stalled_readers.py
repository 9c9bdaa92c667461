"""Whoever reads a run's output stalls without leaving: less, a suspended tee, Ctrl-S."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from places import REPOSITORY
from small_runs import NAME, events_of, json_lines, kinds_of, made_session, program, until

WRITER = """
import json, sys
from cxr_tui.terminal.streams import outlive_readers
outlive_readers(json_on_stdout={is_json})
lines, wide = {lines}, "x" * {width}
for number in range(lines):
    print(json.dumps([number, wide]), file=sys.{stream}, flush=True)
print(json.dumps("the end"), file=sys.{stream})
open("written", "w").close()
input()
sys.exit(7)
"""


def writer(folder, stream, *, lines=0, width=0, is_json=True):
    """A program that writes so many lines, makes a file, and ends with 7 once it is let."""
    code = WRITER.format(stream=stream, lines=lines, width=width, is_json=is_json)
    began = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    until((folder / "written").exists, "everything written, though nobody reads", 30)
    return began


def test_what_a_reader_took_too_late_is_dropped_from_the_oldest_on_and_told(tmp_path):
    program = writer(tmp_path, "stdout", lines=5000, width=1000)
    printed, told = program.communicate(b"\n", timeout=30)
    assert program.returncode == 7
    said = json_lines(printed.decode())  # every line is whole
    assert said[-1] == "the end"
    numbers = [line[0] for line in said[:-1]]
    assert numbers == sorted(set(numbers))
    assert 0 in numbers
    lost = 5000 - len(numbers)
    assert lost > 1000
    assert f"stdout: {lost:,} lines were not taken by the reader" in told.decode()


def test_among_lines_of_words_stands_how_many_are_missing(tmp_path):
    program = writer(tmp_path, "stderr", lines=5000, width=1000, is_json=False)
    _, told = program.communicate(b"\n", timeout=30)
    lines = told.decode().splitlines()
    notices = [at for at, line in enumerate(lines) if line.startswith("...")]
    missing = 0
    for at in notices:
        before, after = (json.loads(lines[place])[0] for place in (at - 1, at + 1))
        missing += after - before - 1
        assert lines[at].startswith(f"... {after - before - 1:,} line")
    assert missing == 5000 - (len(lines) - len(notices) - 1) > 1000
    assert lines[-1] == '"the end"'


@pytest.mark.parametrize("width", [100, 30_000])
def test_who_never_reads_gets_whole_lines_and_the_program_its_own_exit_code(tmp_path, width):
    program = writer(tmp_path, "stdout", lines=30, width=width)
    before = time.monotonic()
    program.stdin.write(b"\n")
    program.stdin.flush()
    assert program.wait(timeout=30) == 7
    assert time.monotonic() - before < 10
    said = json_lines(program.stdout.read().decode())
    assert [line[0] for line in said if line != "the end"] == list(range(len(said)))[:30]
    program.communicate()


def test_a_line_longer_than_the_pipe_is_not_cut(tmp_path):
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    code = WRITER.format(stream="stdout", lines=3, width=20_000, is_json=True)
    began = subprocess.Popen(
        [sys.executable, "-c", code.replace("input()", "")],
        cwd=tmp_path,
        stdout=theirs,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    os.close(theirs)
    assert began.wait(timeout=30) == 7
    with os.fdopen(ours, "rb") as pipe:
        assert json_lines(pipe.read().decode())[0][0] == 0


def test_after_ctrl_s_and_ctrl_q_a_terminal_says_what_it_missed(tmp_path):
    code = WRITER.format(stream="stderr", lines=5000, width=1000, is_json=False)
    ours, theirs = pty.openpty()
    began = subprocess.Popen(
        [sys.executable, "-c", f"input()\n{code}"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    os.write(ours, b"\x13\n")  # stopped before the first line
    until((tmp_path / "written").exists, "everything written, though the terminal is stopped")
    os.write(ours, b"\x11")
    seen = b""
    while b'"the end"' not in seen:
        seen += os.read(ours, 65536)
    assert b"lines were not taken by the reader" in seen
    os.write(ours, b"\n")
    assert began.wait(timeout=30) == 7
    os.close(ours)
    os.close(theirs)


@pytest.mark.slow
def test_a_run_whose_readers_stall_goes_on_and_a_signal_stops_it(tmp_path, cache_dir, phantom_dir):
    session = made_session(tmp_path, phantom_dir, epochs=500)
    pipes = [os.pipe() for _ in ("stdout", "stderr")]
    for _, theirs in pipes:
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    os.write(pipes[1][1], b"." * 4096)  # what another program left there, and nobody has read
    run = subprocess.Popen(
        program(cache_dir, "--resume", NAME, "--json"),
        cwd=tmp_path,
        stdout=pipes[0][1],
        stderr=pipes[1][1],
    )
    for _, theirs in pipes:
        os.close(theirs)
    try:
        until(lambda: kinds_of(session).count("EpochDone"), "an epoch")
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=60) == 75
    finally:
        run.kill()
        run.wait()
    *_, kept, last = events_of(session)
    assert (kept["event"], last["event"]) == ("CheckpointWritten", "Stopped")
    with os.fdopen(pipes[0][0], "rb") as stdout:
        assert json_lines(stdout.read().decode())[0]["event"] == "RunStarted"
    os.close(pipes[1][0])
