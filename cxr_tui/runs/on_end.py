"""The user's command at a run's end: run once, whatever the end, and never part of its result."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.events import Evaluated, Event, RunStarted, Stopped
from core.store.session import Session
from cxr_tui.terminal.safe_text import visible

STOPPED = 75
LONGEST_SECONDS = 60.0
MOST_BYTES = 64 * 1024
_LOOK_SECONDS = 0.1
_ROOM_BEFORE_KILL_SECONDS = 1.0


@dataclass
class RunWatch:
    """What a run's events tell of its end.

    Attributes:
        has_begun: whether the run got hold of its session.
        mean_auroc: of the test part; None if it was not scored.
        moved_to: where its folder was moved meanwhile; '' if it was not.
    """

    has_begun: bool = False
    mean_auroc: float | None = None
    moved_to: str = ""

    def __call__(self, event: Event) -> None:
        """Take an event of the run."""
        if isinstance(event, RunStarted):
            self.has_begun = True
        elif isinstance(event, Evaluated):
            mean = event.report.get("mean_auroc")
            self.mean_auroc = mean if isinstance(mean, float) else None
        elif isinstance(event, Stopped):
            self.moved_to = event.moved_to


@dataclass(frozen=True)
class OnEnd:
    """A command for the shell, and its limits.

    Attributes:
        command: run by ``/bin/sh -c``.
        longest_seconds: then it is killed, with all that it started.
        most_bytes: of its output that are kept; at more it is ended.
        should_end: asked several times a second; True ends the command.
    """

    command: str
    longest_seconds: float = LONGEST_SECONDS
    most_bytes: int = MOST_BYTES
    should_end: Callable[[], bool] = field(default=lambda: False)

    def run(self, session: Session, exit_code: int, mean_auroc: float | None) -> str:
        """Run it, and keep its output in the session's log; returns a warning, '' if all is well.

        The command has ``CXR_SESSION`` (the session's folder), ``CXR_STATE`` (finished, stopped or
        failed), ``CXR_EXIT_CODE`` and ``CXR_MEAN_AUROC`` (empty if none) in its environment.
        """
        told = environment_of(session.path, exit_code, mean_auroc)
        try:
            output, outcome = self._done(told, _folder_for(session.path))
        except OSError as error:
            output, outcome = b"", f"can't be started ({error.strerror})"
        lines = [f"on-end: {self.command}", *output.decode(errors="replace").splitlines()]
        lines.append(f"on-end: {outcome or 'done'}")
        try:
            with session.log.open("a", encoding="utf-8") as log:
                log.writelines(f"{visible(line)}\n" for line in lines)
        except FileNotFoundError:
            pass  # the session of a refused run is deleted
        except OSError as error:
            outcome = outcome or f"its output can't be kept ({error.strerror})"
        return f"on-end: {outcome}: {self.command}" if outcome else ""

    def _done(self, told: Mapping[str, str], folder: Path) -> tuple[bytes, str]:
        """Its output, and what went wrong; '' if nothing did."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | told,
            cwd=folder,
            start_new_session=True,
        )
        try:
            output, outcome = self._watched(process)
        except BaseException:
            _kill(process)
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        if outcome:
            _kill(process)
            return output, outcome
        code = process.wait()
        return output, "" if code == 0 else _code_in_words(code)

    def _watched(self, process: subprocess.Popen[bytes]) -> tuple[bytes, str]:
        """Read until it ends; programs that it leaves behind are not waited for."""
        assert process.stdout is not None
        descriptor, output = process.stdout.fileno(), bytearray()
        until, is_open = time.monotonic() + self.longest_seconds, True
        while True:
            is_over = process.poll() is not None
            ready = select.select([descriptor], [], [], 0 if is_over else _LOOK_SECONDS)[0]
            chunk = os.read(descriptor, MOST_BYTES) if ready and is_open else b""
            is_open = is_open and bool(chunk or not ready)
            output += chunk
            if len(output) > self.most_bytes:
                return bytes(output[: self.most_bytes]), (
                    f"ended after {self.most_bytes:,} bytes of output"
                )
            if is_over and not chunk:
                return bytes(output), ""
            if not is_open and not is_over:
                time.sleep(_LOOK_SECONDS)  # it has closed its output, and goes on
            if time.monotonic() > until:
                return bytes(output), f"ended after {self.longest_seconds:g} seconds"
            if self.should_end():
                return bytes(output), "ended on request"


def end_in_words(name: str, exit_code: int, mean_auroc: float | None) -> str:
    """Such as ``20261123-120000-nih-14 finished, mean AUROC 0.840``."""
    figure = "" if mean_auroc is None else f", mean AUROC {mean_auroc:.3f}"
    return f"{name} {_state(exit_code)}{figure}"


def _state(exit_code: int) -> str:
    return {0: "finished", STOPPED: "stopped"}.get(exit_code, "failed")


def environment_of(session: Path, exit_code: int, mean_auroc: float | None) -> dict[str, str]:
    """What the command is told of the run."""
    return {
        "CXR_SESSION": str(session.absolute()),
        "CXR_STATE": _state(exit_code),
        "CXR_EXIT_CODE": str(exit_code),
        "CXR_MEAN_AUROC": "" if mean_auroc is None else f"{mean_auroc:.4f}",
    }


def _folder_for(session: Path) -> Path:
    """The working folder: ours, or the root where ours is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path(session.anchor or "/")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it started."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=_ROOM_BEFORE_KILL_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _code_in_words(code: int) -> str:
    if code < 0:
        return f"ended by signal {-code}"
    return f"exit code {code}"
