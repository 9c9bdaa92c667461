"""One image of a data set: where its bytes are, and how they are recognised again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ImageFile(NamedTuple):
    """One image: a file, or a member of an archive.

    ``name`` is from the table: a file name or the end of a path. ``place`` is the path of the file
    or of the archive; ``num_bytes`` is the image's own encoded size; ``signature`` is ``place``'s,
    see :mod:`core.data.cache.file_signature`.

    A named tuple with the path as text, since a data set has hundreds of thousands: as a frozen
    class with a ``Path`` each, they took as long as the operating system's listing.
    """

    name: str
    place: str
    member: str | None
    num_bytes: int
    signature: int
    copies: tuple[str, ...] = ()
    """The first few unused files of the same name that were found later."""

    @property
    def path(self) -> Path:
        """Where the file or its archive is."""
        return Path(self.place)
