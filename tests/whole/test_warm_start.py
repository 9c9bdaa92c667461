"""What ``warm_start`` starts is like what ``subprocess`` starts, but for its speed."""

import json
import os
import signal
import subprocess
import sys

import pytest
import warm_start

import core.model.densenet  # noqa: F401  as other tests do: it sets variables of the environment

FACTS = """
import gc, json, os, signal, sys, threading
streams = (sys.stdin, sys.stdout, sys.stderr)
facts = {
    "argv": sys.argv[1:],
    "folder": os.getcwd(),
    "path": sys.path,
    "environment": dict(os.environ),
    "files": sorted(os.listdir("/proc/self/fd")),
    "streams": [(s.mode, s.encoding, s.errors, s.isatty()) for s in streams],
    "buffering": [(s.line_buffering, s.write_through) for s in streams],
    "signals": [str(signal.getsignal(kind)) for kind in sorted(signal.valid_signals())],
    "leads its session": os.getsid(0) == os.getpid(),
    "parent": os.getppid(),
    "threads": threading.active_count(),
    "collects": gc.isenabled(),
    "name": __name__,
    "mask": os.umask(0),
    "read": sys.stdin.read(),
    "has torch": "torch" in sys.modules,
}
print(json.dumps(facts))
print("told", file=sys.stderr)
sys.exit(7)
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "facts.py").write_text(FACTS)
    (tmp_path / "waits.py").write_text("print('here', flush=True); input()")
    return lambda name, *more: [sys.executable, "-m", name, *more]


@pytest.mark.parametrize("new_session", [False, True])
def test_it_has_the_same_streams_folder_environment_and_signals(program, tmp_path, new_session):
    settings = {
        "cwd": tmp_path,
        "env": os.environ | {"OF_THIS_TEST": "ü", "HOME": str(tmp_path)},
        "start_new_session": new_session,
        "text": True,
    }
    cold, warm = (
        how.run(program("facts", "--a", "b c"), input="typed", capture_output=True, **settings)
        for how in (subprocess, warm_start)
    )
    assert (warm.returncode, warm.stderr) == (cold.returncode, cold.stderr) == (7, "told\n")
    expected, told = json.loads(cold.stdout), json.loads(warm.stdout)
    assert (expected.pop("has torch"), told.pop("has torch")) == (False, True)
    assert told == expected
    assert told["parent"] == os.getpid()


def test_it_is_killed_and_waited_for_as_any_child(program, tmp_path):
    started = warm_start.Popen(program("waits"), cwd=tmp_path, stdin=subprocess.PIPE, stdout=-1)
    assert started.stdout.readline() == b"here\n"
    started.send_signal(signal.SIGKILL)
    assert started.wait(60) == -signal.SIGKILL
    started.communicate()


def test_what_the_start_of_an_interpreter_or_library_reads_makes_it_start_from_nothing(
    program, tmp_path
):
    for name in ("PYTHONOPTIMIZE", "OMP_NUM_THREADS", "NO_COLOR", "LD_LIBRARY_PATH"):
        environment = os.environ | {name: "2"}
        done = warm_start.run(
            program("facts"), cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=-1
        )
        assert not json.loads(done.stdout)["has torch"], name
