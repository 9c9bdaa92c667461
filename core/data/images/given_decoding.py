"""Decode the images that somebody names, on threads, ahead of whoever scores them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache_rows import content_digest
from core.data.images.decode import (
    MAX_ENCODED_BYTES,
    GreyLook,
    decode_square,
    too_large_reason,
)
from core.data.images.dicom_header import LATERAL, read_dicom_header
from core.data.images.given_images import GivenImage
from core.data.images.grey_rule import GreyRule
from core.data.images.refusal import UndecodableImage
from core.in_slices import LooseThreads, waited
from core.regular_file import open_regular

_BYTES_AHEAD = 512 * 2**20
"""Encoded images of archives in memory, at most."""


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image as the network sees it, or why there are no pixels.

    Attributes:
        file: as it was given.
        digest: BLAKE2b of the file's bytes, 16 bytes in hex (``b2sum -l 128``); '' if unread.
        pixels_SS: uint8 [size_px, size_px]; None with an ``error``.
        error: a few words; '' if there is none.
        width_px, height_px: of the original.
        content: the bytes of an archive's member, if they were to be kept.
        look: the whole image's grey.
        is_lateral: whether a DICOM header says so.
    """

    file: str
    digest: str = ""
    pixels_SS: NDArray[np.uint8] | None = None
    error: str = ""
    width_px: int = 0
    height_px: int = 0
    content: bytes | None = None
    look: GreyLook | None = None
    is_lateral: bool = False


@dataclass(frozen=True)
class SquareRule:
    """How a file becomes the network's input: the same as in a cache."""

    size_px: int
    resize: str
    grey: GreyRule


def decode_given(image: GivenImage, rule: SquareRule) -> DecodedImage:
    """One image, at once."""
    return _decoded(image, rule)


def decoded_ahead(
    images: Iterable[GivenImage],
    rule: SquareRule,
    *,
    threads: int,
    ahead: int,
    at_each: Callable[[], None] = lambda: None,
    keeps_content: bool = False,
) -> Generator[DecodedImage, None, None]:
    """The images in their order, ``ahead`` of them in work while the consumer uses one.

    ``at_each`` is called several times a second while waiting; it may raise.
    """
    in_work: deque[tuple[Future[DecodedImage], int]] = deque()
    num_bytes = 0
    with LooseThreads(threads, "decode") as pool:
        try:
            for image in images:
                num_bytes += image.num_bytes
                in_work.append((pool.submit(_decoded, image, rule, keeps_content), image.num_bytes))
                del image  # its content is free once a thread is done with it
                while in_work and (len(in_work) > ahead or num_bytes > _BYTES_AHEAD):
                    future, freed = in_work.popleft()
                    yield waited(future, at_each)
                    num_bytes -= freed
            while in_work:
                yield waited(in_work.popleft()[0], at_each)
        finally:
            for future, _ in in_work:
                future.cancel()


def decoded_in_turns(
    images: Iterable[GivenImage],
    rule: SquareRule,
    *,
    threads: int,
    ahead: int,
    at_each: Callable[[], None] = lambda: None,
    keeps_content: bool = False,
) -> Generator[DecodedImage, None, None]:
    """The images in their order, ``ahead`` of them decoded before the consumer uses them.

    For a consumer that computes on the same cores. Threads of a network wait for each other at
    every layer, so a decoder that holds up one of them holds up all. Meanwhile the next files are
    only fetched from their disk.

    ``at_each`` is called several times a second while waiting; it may raise.
    """
    with LooseThreads(threads, "decode") as pool:
        chunks = _chunks(images, ahead)
        chunk = next(chunks, [])
        while chunk:
            futures = [pool.submit(_decoded, image, rule, keeps_content) for image in chunk]
            try:
                decoded = [waited(future, at_each) for future in futures]
            finally:
                for future in futures:
                    future.cancel()
            chunk = next(chunks, [])
            for image in chunk:
                pool.submit(_fetch, image)
            yield from decoded


def _chunks(images: Iterable[GivenImage], at_once: int) -> Iterator[list[GivenImage]]:
    """As many images at a time, or fewer where archives' members take too much memory."""
    chunk: list[GivenImage] = []
    num_bytes = 0
    for image in images:
        chunk.append(image)
        num_bytes += image.num_bytes
        if len(chunk) == at_once or num_bytes > _BYTES_AHEAD:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


def _fetch(image: GivenImage) -> None:
    """Have the system read a file, so that decoding it needn't wait for its disk."""
    if image.content is None and image.refusal is None:
        with suppress(OSError, UndecodableImage), open_regular(image.path) as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def _decoded(image: GivenImage, rule: SquareRule, keeps_content: bool = False) -> DecodedImage:
    if image.refusal is not None:
        return DecodedImage(image.file, error=image.refusal)
    try:
        content = _content(image)
    except OSError as error:
        return DecodedImage(image.file, error=f"can't be read: {error.strerror or error}")
    except UndecodableImage as error:
        return DecodedImage(image.file, error=error.reason)
    digest = content_digest(content).tobytes().hex()
    try:
        square = decode_square(
            content, image.file, rule.size_px, rule.resize, rule.grey, with_look=True
        )
        header = read_dicom_header(content, image.file)
    except UndecodableImage as error:
        return DecodedImage(image.file, digest, error=error.reason)
    return DecodedImage(
        image.file,
        digest,
        square.pixels_SS,
        width_px=square.width_px,
        height_px=square.height_px,
        content=image.content if keeps_content else None,
        look=square.look,
        is_lateral=header is not None and header.view == LATERAL,
    )


def _content(image: GivenImage) -> bytes:
    if image.content is not None:
        return image.content
    with open_regular(image.path) as stream:
        num_bytes = os.fstat(stream.fileno()).st_size
        if num_bytes > MAX_ENCODED_BYTES:
            raise UndecodableImage(image.file, too_large_reason(num_bytes))
        return stream.read(num_bytes)
