"""A session's folder, held open by the process that writes there: moved or removed, it is noticed.

By its path alone a run whose folder was moved would go on into a new one of the same name, with a
part of its files, and what it acknowledged would be in neither place.
"""

from __future__ import annotations

import os
from pathlib import Path


class HeldFolder:
    """The folder that stood at ``path`` when this was made, wherever it is now.

    Attributes:
        began_at: its path then.
        descriptor: of the folder itself, to make files in by ``dir_fd``.
    """

    def __init__(self, path: Path) -> None:
        self.began_at = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def path(self) -> Path | None:
        """Where it is now; None where it was removed, or moved off what we can see.

        Where the disk doesn't answer it is taken to be where it was: the next write will tell.
        """
        if self._is_at(self.began_at):
            return self.began_at
        try:
            now = Path(f"/proc/self/fd/{self.descriptor}").readlink()
        except OSError:  # a system without /proc
            return None
        return now if self._is_at(now) else None

    def holds(self, name: str, opened: int) -> bool:
        """Whether an opened file still has its name here; True where the disk doesn't answer."""
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
