"""A run that is left running: it goes on in a process that no terminal can take along."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from core.store.session import Session
from cxr_tui.console.workspace import Workspace

_LOOK_SECONDS = 0.1
_LONGEST_SECONDS = 120.0


def detached(
    session: Session, workspace: Workspace, *, rest_of_queue: bool = False
) -> tuple[int, bool]:
    """Resume a session that was just stopped, without a screen.

    A process with threads can't be forked, so another one takes over from the checkpoint; a
    resumed run computes what an uninterrupted one would. With ``rest_of_queue`` it works on the
    queue, which goes on with what was begun first.

    Returns:
        (the process's number, whether it is at work): False where it has ended already, or has
        not taken the session over within two minutes.
    """
    command = [sys.executable, "-m", "cxr_tui", "--resume", str(session.path)]
    if rest_of_queue:
        sessions = str(session.path.parent)
        command[3:] = ["queue", "run", "--until-empty", "--sessions", sessions]
    command += ["--cache", str(workspace.cache), "--device", workspace.device]
    on_end = {} if workspace.on_end is None else {"CXR_TUI_ON_END": workspace.on_end}
    with session.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            env=os.environ | on_end,
        )
    until = time.monotonic() + _LONGEST_SECONDS
    while process.poll() is None and time.monotonic() < until:
        if session.is_being_written():
            return process.pid, True
        time.sleep(_LOOK_SECONDS)
    return process.pid, False
