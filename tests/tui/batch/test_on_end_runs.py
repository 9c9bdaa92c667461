"""--on-end for whole runs: finished, stopped, refused, of the console, handed over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm_start
from small_runs import NAME, console, go_on, kinds_of, made_session, program, until

TELL = 'echo "$CXR_SESSION $CXR_STATE $CXR_EXIT_CODE $CXR_MEAN_AUROC" >> {}'


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the command writes a line each time it is run."""
    return tmp_path / "told"


def test_a_run_that_finishes_tells_its_figure_once_and_keeps_its_exit_code(
    tmp_path, phantom_dir, cache_dir, told
):
    session = made_session(tmp_path, phantom_dir, epochs=1)
    command = f"{TELL.format(told)}; echo said; exit 7"
    arguments = program(cache_dir, "--resume", NAME, "--on-end", command)
    done = warm_start.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "on-end: exit code 7" in done.stderr
    state, code, mean = told.read_text().removeprefix(f"{session.path} ").split()
    assert (state, code) == ("finished", "0")
    assert 0 < float(mean) < 1
    assert "said\non-end: exit code 7\n" in session.log.read_text()
    again = warm_start.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0
    assert len(told.read_text().splitlines()) == 1  # no run has ended


def test_a_run_that_is_stopped_tells_it_and_a_second_signal_ends_the_command(
    tmp_path, phantom_dir, cache_dir, told
):
    session = made_session(tmp_path, phantom_dir, epochs=300)
    command = f"{TELL.format(told)}; sleep 1000"
    config = tmp_path / "config.toml"
    config.write_text(f"on_end = '''{command}'''\n")
    running = warm_start.Popen(
        program(cache_dir, "--resume", NAME),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CXR_TUI_CONFIG": str(config)},
    )
    until(lambda: "StepRecorded" in kinds_of(session), "a step")
    running.send_signal(signal.SIGTERM)
    until(told.exists, "the command")
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 75, said
    assert "on-end: ended on request" in said
    assert told.read_text() == f"{session.path} stopped 75 \n"


def test_a_refused_run_tells_it_and_one_that_never_began_does_not(cxr_tui, told, tmp_path):
    keys = ("--set", "model.weights=none", "--set", f"dataset.images={tmp_path / 'nowhere'}")
    done = cxr_tui("--batch", "nih-14", *keys, "--on-end", TELL.format(told))
    assert done.returncode == 3
    assert told.read_text().split()[1:] == ["failed", "3"]
    done = cxr_tui("--batch", "nih-14", "--set", "train.epoks=3", "--on-end", TELL.format(told))
    assert done.returncode == 2
    assert len(told.read_text().splitlines()) == 1


def test_each_run_of_the_queue_tells_its_end(cxr_tui, told, tmp_path):
    keys = ("--set", "model.weights=none", "--set", f"dataset.images={tmp_path / 'nowhere'}")
    for name in ("one", "two"):
        assert cxr_tui("queue", "add", "nih-14", *keys, "--session", name).returncode == 0
    done = cxr_tui("queue", "run", "--until-empty", "--on-end", TELL.format(told))
    assert done.returncode == 3
    ends = [line.rpartition("/")[2] for line in told.read_text().splitlines()]
    assert ends == ["one failed 3 ", "two failed 3 "]


def test_a_run_of_the_console_tells_its_end_after_the_line_dropped(
    tmp_path, phantom_dir, cache_dir, told
):
    session = made_session(tmp_path, phantom_dir, epochs=300)
    option = ("--on-end", TELL.format(told))
    with console(tmp_path, cache_dir, "--attach", NAME, *option) as terminal:
        go_on(terminal)
        terminal.until(lambda _: "StepRecorded" in kinds_of(session), 120, "a step")
        terminal.hang_up()
        terminal.process.terminate()
        assert terminal.process.wait(timeout=60) == 75
    assert told.read_text() == f"{session.path} stopped 75 \n"


def test_a_run_that_is_handed_over_has_not_ended(tmp_path, phantom_dir, cache_dir, told):
    session = made_session(tmp_path, phantom_dir, epochs=300)
    option = ("--on-end", TELL.format(told))
    with console(tmp_path, cache_dir, "--attach", NAME, *option) as terminal:
        go_on(terminal)
        terminal.until(lambda _: "StepRecorded" in kinds_of(session), 120, "a step")
        terminal.send("q")
        terminal.shows("leave it running")
        terminal.send("d")
        assert terminal.process.wait(timeout=120) == 0
    assert not told.exists()
    stop = [sys.executable, "-c", "import sys; from pathlib import Path; "]
    stop[-1] += "from core.store.session import Session; from core.requests import Request; "
    stop[-1] += "Session(Path(sys.argv[1])).ask(Request.STOP)"
    subprocess.run([*stop, str(session.path)], check=True)
    until(told.exists, "the command of the process that took it over")
    assert told.read_text() == f"{session.path} stopped 75 \n"
