"""Starts the program as ``subprocess`` does, from a process that has loaded its libraries.

Importing torch and the rest costs each start three seconds of a processor, and the tests start the
program hundreds of times. One process a worker imports the libraries, none of the program's own
modules, and forks for each start. What it forks is a process of its own: its streams, folder,
environment, session, signals and end are those that ``subprocess.Popen`` would have given it.

Whatever is not ``python -m`` something, or changes what only the start of an interpreter or of a
library reads, is started from nothing, as by ``subprocess``.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_READ_AT_START = ("CUDA", "KMP", "LANG", "LC_", "LD_", "MALLOC", "MKL", "NO_COLOR", "OMP")
_READ_BY_LIBRARIES = ("PYTHON", "TEXTUAL", "TORCH")
_READ_LATER = ("PYTHONSAFEPATH", "TORCHINDUCTOR", "TORCH_CPP_LOG_LEVEL")
"""What the program sets by itself, in the process of the tests, too."""
_PR_SET_CHILD_SUBREAPER = 36
_MESSAGE_BYTES = 1 << 20


class Popen(subprocess.Popen):
    """``subprocess.Popen``; ``controls_terminal`` makes its standard input the terminal whose end
    it is told of.
    """

    def __init__(
        self, argv: Sequence[object], *, controls_terminal: bool = False, **settings: Any
    ) -> None:
        self._controls_terminal = controls_terminal
        self._is_warm = _can_be_warm(argv, settings)
        if controls_terminal and not self._is_warm:
            settings["preexec_fn"] = _take_terminal
        super().__init__(list(map(os.fspath, argv)), **settings)

    def _execute_child(self, args, *rest) -> None:  # type: ignore[no-untyped-def]
        if not self._is_warm:
            super()._execute_child(args, *rest)
            return
        cwd, env, pipes, new_session = rest[4], rest[5], rest[9:15], rest[20]
        request = {
            "argv": args,
            "folder": os.fspath(cwd or "."),
            "environment": dict(os.environ if env is None else env),
            "new_session": new_session,
            "controls_terminal": self._controls_terminal,
        }
        streams = [0 if pipes[0] < 0 else pipes[0]]
        streams += [own if pipe < 0 else pipe for own, pipe in ((1, pipes[3]), (2, pipes[5]))]
        self.pid = _server().fork(request, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)


def run(
    argv: Sequence[object],
    *,
    input: str | bytes | None = None,  # noqa: A002  the name that subprocess.run gives it
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **settings: Any,
) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run``."""
    if input is not None:
        settings["stdin"] = subprocess.PIPE
    if capture_output:
        settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(argv, **settings) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(argv, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _can_be_warm(argv: Sequence[object], settings: Mapping[str, Any]) -> bool:
    if list(argv[:2]) != [sys.executable, "-m"] or not {"preexec_fn", "pass_fds"}.isdisjoint(
        settings
    ):
        return False
    wanted = settings.get("env")
    before, after = _server().environment, os.environ if wanted is None else wanted
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    early = _READ_AT_START + _READ_BY_LIBRARIES
    return not any(key.startswith(early) and not key.startswith(_READ_LATER) for key in changed)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class _Server:
    """The process that has the libraries, asked by one process of tests."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(other.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[other.fileno()],
        )
        other.close()

    def fork(self, request: Mapping[str, object], streams: Sequence[int]) -> int:
        """The process id of a new child of this process."""
        with self._lock:
            # Its grandchild, whose parent has ended, becomes a child of the nearest reaper.
            _reap_orphans(True)
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(streams))
            pid = int(self._socket.recv(_MESSAGE_BYTES))
            assert self._socket.recv(_MESSAGE_BYTES) == b"ready"
            _reap_orphans(False)
        return pid


_servers: dict[int, _Server] = {}


def _server() -> _Server:
    if os.getpid() not in _servers:
        _servers[os.getpid()] = _Server()
    return _servers[os.getpid()]


def _reap_orphans(does: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(does), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for every request; returns in each program that is forked, never in the server."""
    while True:
        message, streams, *_ = socket.recv_fds(asked, _MESSAGE_BYTES, 3)
        if not message:  # the tests have ended
            os._exit(0)
        between = os.fork()
        if between == 0:
            between, pid = os.getpid(), os.fork()
            if pid == 0:
                asked.close()
                while os.getppid() == between:
                    time.sleep(0)
                return json.loads(message), streams
            asked.send(str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        asked.send(b"ready")
        for stream in streams:
            os.close(stream)


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> str:
    """Be the process that was asked for, at the point where Python starts a module; its name."""
    if request["new_session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    if request["controls_terminal"]:
        _take_terminal()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.orig_argv = request["argv"]
    sys.argv = ["-m", *request["argv"][3:]]
    sys.path[0] = str(Path.cwd())
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        as_started = getattr(sys, name)
        stream = os.fdopen(
            *(number, "w" if number else "r"),
            encoding=as_started.encoding,
            errors=as_started.errors,
        )
        stream.reconfigure(write_through=as_started.write_through)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return str(request["argv"][2])


def load_libraries() -> None:
    """Import what a run or a command imports sooner or later, so that forks need not."""
    names = ("pandas", "pydantic", "rich.console", "scipy.optimize", "scipy.stats", "textual.app")
    learners = ("compose", "ensemble", "linear_model", "metrics", "model_selection")
    for name in (*names, *(f"sklearn.{name}" for name in learners), "torch._dynamo"):
        importlib.import_module(name)


if __name__ == "__main__":
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as the program does
    requests = socket.socket(fileno=int(sys.argv[1]))
    load_libraries()
    # No collection goes through what is loaded: its pages stay shared.
    gc.collect()
    gc.freeze()
    runpy.run_module(_become(*_serve(requests)), run_name="__main__", alter_sys=True)
