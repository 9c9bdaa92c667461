"""A real PostgreSQL server of a test's own, from Debian's package."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)


def has_postgres() -> bool:
    """Whether a server can be started here: as root, since its own user starts it."""
    return _BIN is not None and os.geteuid() == 0


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, Callable[[], None]]]:
    """Its address, and what stops it at once."""
    assert _BIN is not None
    folder = Path(tempfile.mkdtemp(prefix="cxr-pg-"))
    shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *said: str) -> None:
        subprocess.run(
            [str(_BIN / program), *said],
            cwd=folder,
            user="postgres",
            group="postgres",
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def stop() -> None:
        run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")

    run("initdb", "-D", f"{folder}/data", "-A", "trust", "-N")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", options, "start")
    try:
        yield f"postgresql+pg8000://postgres@127.0.0.1:{port}/postgres", stop
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            stop()
        shutil.rmtree(folder)
