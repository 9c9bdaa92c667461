"""A session's folder, held open by its writer, which thus notices if it is moved or removed.

With the path alone, a run whose folder was moved would continue in a new folder of the same name.
Each folder would hold a part of the files, and neither what the run acknowledged.
"""

from __future__ import annotations

import os
from pathlib import Path


class HeldFolder:
    """The folder that was at ``path`` when it was opened, wherever it is now.

    Attributes:
        began_at: its path when it was opened.
        descriptor: of the folder, to use as ``dir_fd``.
    """

    def __init__(self, path: Path) -> None:
        self.began_at = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the folder."""
        os.close(self.descriptor)

    def path(self) -> Path | None:
        """Its current path; None if it was removed, or moved where we can't see it.

        If the disk doesn't respond, the old path is assumed: the next write will report the error.
        """
        if self._is_at(self.began_at):
            return self.began_at
        try:
            now = Path(f"/proc/self/fd/{self.descriptor}").readlink()
        except OSError:  # a system without /proc
            return None
        return now if self._is_at(now) else None

    def holds(self, name: str, opened: int) -> bool:
        """Whether an opened file still has this name here; True if the disk doesn't respond."""
        try:
            there = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            return os.path.samestat(there, os.fstat(opened))
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self.descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return path == self.began_at
