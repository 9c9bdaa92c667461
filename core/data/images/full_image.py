"""Whole images in grey, at their own resolution, for looking at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.images.archives import stream_archive
from core.data.images.decode import decode_grey
from core.data.images.grey_rule import DEFAULT, GreyRule
from core.data.images.image_file import ImageFile
from core.data.images.refusal import UndecodableImage
from core.errors import DataError

Grey = NDArray[np.uint8]


def read_image(file: ImageFile, rule: GreyRule = DEFAULT) -> Grey:
    """One image, uint8 [H, W].

    An archive is read from its start: use :func:`read_images` for several images.

    Raises:
        DataError: the image is gone, or can no longer be read.
    """
    ((_, grey),) = read_images({file.name: file}, rule)
    if isinstance(grey, str):
        raise DataError(
            f"can no longer be read ({grey})",
            where=file.path,
            remedy="Restore the image, or continue without it.",
        )
    return grey


def read_images(
    files: Mapping[str, ImageFile], rule: GreyRule = DEFAULT
) -> Iterator[tuple[str, Grey | str]]:
    """Each image with its name, or why it can't be read; each archive is read once."""
    archives: dict[Path, dict[str, str]] = {}
    for name, file in files.items():
        if file.member is None:
            yield name, _decoded(file.path, name, rule)
        else:
            archives.setdefault(file.path, {})[file.member] = name
    for archive, names in archives.items():
        try:
            for member, content in stream_archive(archive, list(names)):
                name = names.pop(member)
                if isinstance(content, int):
                    yield name, "too large"
                else:
                    yield name, _decoded(content, name, rule)
        except DataError as error:
            yield from ((name, str(error)) for name in names.values())
        else:
            yield from ((name, f"no longer in {archive.name}") for name in names.values())


def _decoded(encoded: bytes | Path, name: str, rule: GreyRule) -> Grey | str:
    try:
        return decode_grey(encoded, name, rule).pixels_HW
    except UndecodableImage as error:
        return error.reason
    except OSError as error:
        return error.strerror or str(error)
