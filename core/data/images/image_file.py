"""One image of a data set: where its bytes are, and how they are recognised again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.data.cache.file_signature import UNKNOWN, file_signature


@dataclass(slots=True)
class ImageFile:
    """One image: a file, or a member of an archive.

    ``name`` is from the table: a file name or the end of a path. ``place`` is the path of the file
    or of the archive, as text: hundreds of thousands of ``Path`` cost more than their listing.

    ``status`` is the image's own encoded size in bytes and ``place``'s signature. The walk leaves
    it out for loose files, and their file system is asked once it is needed: to count images is not
    to open them.
    """

    name: str
    place: str
    member: str | None = None
    status: tuple[int, int] | None = None
    copies: tuple[str, ...] = ()
    """The first few unused files of the same name that were found later."""

    @property
    def path(self) -> Path:
        """Where the file or its archive is."""
        return Path(self.place)

    @property
    def num_bytes(self) -> int:
        """The image's own encoded size; 0 if it is gone."""
        return (self.status or self.ask())[0]

    @property
    def signature(self) -> int:
        """``place``'s, see :mod:`core.data.cache.file_signature`; ``UNKNOWN`` if it is gone."""
        return (self.status or self.ask())[1]

    def ask(self) -> tuple[int, int]:
        """Ask the file system for ``status``."""
        try:
            status = os.stat(self.place)  # noqa: PTH116 - a Path for each costs as much again
        except OSError:  # reading it will say why
            self.status = 0, UNKNOWN
        else:
            self.status = status.st_size, file_signature(status)
        return self.status
