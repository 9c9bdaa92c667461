"""A process that lists folders ahead of the walk over them; see ``listing_ahead``.

It is run as a file and imports none of our packages, so that it starts within milliseconds.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys

_NOT_OURS = "lost+found"  # in the root of every ext4 disk, readable by root alone


def is_skipped(name: str) -> bool:
    """Whether a file or folder is hidden (a server's snapshots, a Mac's ``._`` companions)."""
    return name[0] == "." or name == _NOT_OURS


def listed(
    waiting: list[str], most: int = 1000
) -> tuple[list[tuple[str, list[str] | None]], list[str]]:
    """So many folders of a stack and below, each before its subfolders, by name.

    Returns:
        Each folder with the names of its files, or None where more than plain files and folders is
        there, or it can't be read: such a folder isn't descended. And the rest of the stack.
    """
    found: list[tuple[str, list[str] | None]] = []
    while waiting and len(found) < most:
        folder = waiting.pop()
        names: list[str] = []
        below: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_skipped(entry.name):
                        continue
                    if entry.is_file(follow_symlinks=False):
                        names.append(entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    else:
                        raise OSError
        except OSError:
            found.append((folder, None))
            continue
        names.sort()
        found.append((folder, names))
        below.sort(reverse=True)
        waiting += below
    return found, waiting


def main() -> None:
    """Stacks of folders come in, and what is in them goes out, until the input ends."""
    # The parent handles these signals and ends us; a scheduler sends them to all processes.
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(kind, signal.SIG_IGN)
    while True:
        try:
            folders = marshal.load(sys.stdin.buffer)
        except EOFError:
            return
        answer = listed(folders)
        try:
            marshal.dump(answer, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except OSError:  # the parent is gone
            os._exit(1)


if __name__ == "__main__":
    main()
