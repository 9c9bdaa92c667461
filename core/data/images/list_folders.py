"""A process that lists folders ahead of the walk over them; see ``listing_ahead``.

It is run as a file and imports none of our packages, so that it starts within milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import BinaryIO

_NOT_OURS = "lost+found"  # in the root of every ext4 disk, readable by root alone

_NAME, _FOLDER, _REST = "\0", "\0\0", "\0\0\0"  # what comes next; no name has a NUL
_UNLISTED = "/"


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


def written(found: list[tuple[str, list[str] | None]], rest: list[str]) -> str:
    """An answer as text."""
    each = (
        _NAME.join([folder, *([_UNLISTED] if names is None else names)]) for folder, names in found
    )
    return _FOLDER.join(each) + _REST + _NAME.join(rest)


def read(text: str) -> tuple[list[tuple[str, list[str] | None]], list[str]]:
    """An answer from its text."""
    found, _, rest = text.partition(_REST)
    each = (record.split(_NAME) for record in found.split(_FOLDER))
    pairs = [(folder, None if names == [_UNLISTED] else names) for folder, *names in each]
    return pairs, rest.split(_NAME) if rest else []


def send(stream: BinaryIO, text: str) -> None:
    """Write a text, after its length."""
    content = os.fsencode(text)
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def receive(stream: BinaryIO) -> str | None:
    """Read a text; None at the end."""
    size = int.from_bytes(stream.read(8), "little")
    content = stream.read(size)
    return os.fsdecode(content) if size and len(content) == size else None


def main() -> None:
    """Stacks of folders come in, and what is in them goes out, until the input ends."""
    # The parent handles these signals and ends us; a scheduler sends them to all processes.
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(kind, signal.SIG_IGN)
    while (folders := receive(sys.stdin.buffer)) is not None:
        try:
            send(sys.stdout.buffer, written(*listed(folders.split(_NAME))))
        except OSError:  # the parent is gone
            os._exit(1)


if __name__ == "__main__":
    main()
