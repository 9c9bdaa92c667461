"""The secret that the processes of a run share and nobody else knows.

By it they recognise each other (``core.training.distributed.introductions``). It is a file in the
cache folder that only its owner can read, created by the first process that needs it: on one host,
and wherever hosts share that folder, there is nothing to do. Elsewhere an environment variable
gives all of them the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from core.errors import UsageError
from core.store.files import alone_with, write_whole

VARIABLE = "CXR_TUI_RANKS_SECRET"
_FEWEST_LETTERS, _MOST_BYTES = 16, 128
_MADE = re.compile(rb"[0-9a-f]{64}\n")
_HOW = f"or give all processes the same {VARIABLE}, such as $(openssl rand -hex 32)"


def ranks_secret(environment: Mapping[str, str], cache: Path) -> bytes:
    """The variable's secret, or that of the cache folder, which is created if missing.

    Raises:
        UsageError: the variable is too short, or the file can't be read, created or trusted.
    """
    given = environment.get(VARIABLE)
    if given is None:
        return _kept(cache / f"ranks-secret-{os.geteuid()}")
    if len(given) < _FEWEST_LETTERS:
        raise UsageError(
            f"has {len(given)} characters; at least {_FEWEST_LETTERS} are needed",
            where=VARIABLE,
            why="Anyone who guesses it can send this run weights.",
            remedy=f"export {VARIABLE}=$(openssl rand -hex 32), the same for all processes.",
        )
    return hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()


def _kept(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path = path.parent.resolve() / path.name  # the folder may be a link, the file may not
        with alone_with(path):
            content = _content(path)
            if not content:
                content = secrets.token_hex(32).encode() + b"\n"
                write_whole(path, content, mode=0o600)
    except OSError as error:
        raise UsageError(
            f"can't be read or created ({error.strerror or error})",
            where=path,
            why="The processes of a run recognise each other by it.",
            remedy=f"Allow access to it, {_HOW}.",
        ) from None
    if not _MADE.fullmatch(content):
        raise _untrusted(path, "its content is not a secret")
    return hashlib.sha256(content).digest()


def _content(path: Path) -> bytes:
    """Of our own file that nobody else may read; empty if it was just created."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        content = file.read(_MOST_BYTES)
    if status.st_uid != os.geteuid():
        raise _untrusted(path, f"it belongs to another user (number {status.st_uid})")
    if content and stat.S_IMODE(status.st_mode) & 0o077:
        raise _untrusted(path, f"others may open it (mode {stat.S_IMODE(status.st_mode):o})")
    return content


def _untrusted(path: Path, why: str) -> UsageError:
    return UsageError(
        f"can't be the secret of a run's processes: {why}",
        where=path,
        why="Anyone who knows it can send this run weights.",
        remedy=f"Delete it, and all processes use a new one; {_HOW}.",
    )
