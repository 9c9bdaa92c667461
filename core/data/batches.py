"""Order and augmentation as pure functions of (seed, epoch, position) -> Batch.

Nothing here keeps a state: a run that goes on in the middle of an epoch asks for the same
batches that it would have had. The bytes come from the cache, or from the device's own memory where
they are held there, read ahead by one thread.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.data.cache.cache import ImageCache
from core.data.resident import ResidentImages
from core.errors import CxrError
from core.recipe import AugmentSettings

_ORDER, _AUGMENT = 1, 2  # streams of random numbers that must not overlap
_DRAWS_PER_IMAGE = 5


@dataclass(frozen=True)
class Part:
    """One part of the split, ready to be read: N images that are in the cache, in a fixed order.

    ``index_rows_N`` are the images' rows in the study index; ``resident`` holds images of the cache
    on the device. ``weights_N`` says how many images of the whole part each stands for, where it
    was drawn at a prevalence: validation weights by it, training doesn't. ``sources_N`` names the
    data set of each, where there are several; with ``is_even`` an epoch draws as many of each.
    """

    name: str
    cache: ImageCache
    cache_rows_N: NDArray[np.int64]
    index_rows_N: NDArray[np.int64]
    images_N: NDArray[np.object_]
    patients_N: NDArray[np.int64]
    labels_NF: NDArray[np.float32]
    resident: ResidentImages | None = None
    weights_N: NDArray[np.float64] | None = None
    sources_N: NDArray[np.object_] | None = None
    is_even: bool = False

    def __len__(self) -> int:
        return len(self.cache_rows_N)

    @property
    def weights(self) -> Tensor | None:
        """``weights_N`` as a tensor, on the host."""
        return None if self.weights_N is None else torch.from_numpy(self.weights_N)

    def only(self, rows_K: NDArray[np.intp] | slice) -> Part:
        """These rows of the part, in this order."""
        return replace(
            self,
            cache_rows_N=self.cache_rows_N[rows_K],
            index_rows_N=self.index_rows_N[rows_K],
            images_N=self.images_N[rows_K],
            patients_N=self.patients_N[rows_K],
            labels_NF=self.labels_NF[rows_K],
            weights_N=None if self.weights_N is None else self.weights_N[rows_K],
            sources_N=None if self.sources_N is None else self.sources_N[rows_K],
        )


@dataclass(frozen=True)
class Batch:
    """B images of a part, grey bytes, on the host; on the device where the part is held there.

    ``rows_B`` are rows of the part; ``draws_B5`` are the uniform numbers that augmentation
    turns into each image's own parameters (None: no augmentation). ``step_labels_SF`` are the
    labels of all S images of the step, where these are one rank's piece of them. Labels and draws
    are on the host.
    """

    rows_B: NDArray[np.int64]
    pixels_BHW: Tensor
    labels_BF: Tensor
    draws_B5: Tensor | None
    step_labels_SF: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows_B)

    def pinned(self) -> Batch:
        """The same in memory that a CUDA device can fetch from while the host goes on."""
        pixels, draws, step_labels = self.pixels_BHW, self.draws_B5, self.step_labels_SF
        return replace(
            self,
            pixels_BHW=pixels if pixels.is_cuda else pixels.pin_memory(),
            labels_BF=self.labels_BF.pin_memory(),
            draws_B5=None if draws is None else draws.pin_memory(),
            step_labels_SF=None if step_labels is None else step_labels.pin_memory(),
        )

    def labels_of_step(self) -> Tensor:
        """Labels [S, F] of the whole step, whoever computes it."""
        return self.labels_BF if self.step_labels_SF is None else self.step_labels_SF


def epoch_order(seed: int, epoch: int, num_images: int) -> NDArray[np.int64]:
    """Which image comes when: a permutation of the part's rows, the same for the same numbers."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(num_images)


def even_order(seed: int, epoch: int, sources_N: NDArray[np.object_]) -> NDArray[np.int64]:
    """The same, with equal numbers of each source: a small one's images come again, of a large one
    some are left for other epochs. As long as the part."""
    rng = np.random.default_rng([seed, epoch, _ORDER])
    names = sorted(set(sources_N.tolist()))
    wanted = [len(piece) for piece in np.array_split(np.arange(len(sources_N)), len(names))]
    drawn = []
    for name, number in zip(names, wanted, strict=True):
        rows = np.flatnonzero(sources_N == name)
        rounds = [rng.permutation(rows) for _ in range(math.ceil(number / len(rows)))]
        drawn.append(np.concatenate([np.empty(0, np.int64), *rounds])[:number])
    return rng.permutation(np.concatenate(drawn).astype(np.int64))


def epoch_draws(seed: int, epoch: int, num_images: int) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1), five for each position of the epoch."""
    rng = np.random.default_rng([seed, epoch, _AUGMENT])
    return rng.random((num_images, _DRAWS_PER_IMAGE), dtype=np.float32)


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Batches in an epoch. A last one of a single image is left out: it has no batch statistics."""
    full, rest = divmod(num_images, batch_size)
    return full + (1 if rest > 1 or (rest == 1 and full == 0) else 0)


def micro_batches(num_images: int, size: int) -> list[slice]:
    """The batch in pieces of at most ``size``, as equal as can be."""
    return in_pieces(num_images, math.ceil(num_images / size))


def in_pieces(num_images: int, count: int) -> list[slice]:
    """The batch in so many contiguous pieces, as equal as can be."""
    edges = [round(piece * num_images / count) for piece in range(count + 1)] if count else []
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def training_batches(
    part: Part,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    augment: bool,
    first_step: int = 0,
    piece: Callable[[int], slice] | None = None,
) -> Iterator[Batch]:
    """The epoch's batches from ``first_step`` on (counted from 0); of each the piece, if asked."""
    if part.is_even and part.sources_N is not None:
        order_N = even_order(seed, epoch, part.sources_N)
    else:
        order_N = epoch_order(seed, epoch, len(part))
    draws_N5 = epoch_draws(seed, epoch, len(part)) if augment else None
    for step in range(first_step, steps_per_epoch(len(part), batch_size)):
        positions = slice(step * batch_size, (step + 1) * batch_size)
        draws = None if draws_N5 is None else torch.from_numpy(draws_N5[positions])
        rows_S = order_N[positions]
        if piece is None:
            yield _batch(part, rows_S, draws)
            continue
        ours = piece(len(rows_S))
        batch = _batch(part, rows_S[ours], None if draws is None else draws[ours])
        yield replace(batch, step_labels_SF=torch.from_numpy(part.labels_NF[rows_S]))


def scoring_batches(part: Part, batch_size: int) -> Iterator[Batch]:
    """Every image of the part once, in its fixed order, as it is."""
    rows_N = np.arange(len(part))
    for start in range(0, len(part), batch_size):
        yield _batch(part, rows_N[start : start + batch_size], None)


def _batch(part: Part, rows_B: NDArray[np.int64], draws_B5: Tensor | None) -> Batch:
    return Batch(
        rows_B=rows_B,
        pixels_BHW=_pixels(part, part.cache_rows_N[rows_B]),
        labels_BF=torch.from_numpy(part.labels_NF[rows_B]),
        draws_B5=draws_B5,
    )


def _pixels(part: Part, cache_rows_B: NDArray[np.int64]) -> Tensor:
    held = None if part.resident is None else part.resident.pixels(cache_rows_B)
    return torch.from_numpy(part.cache.pixels(cache_rows_B)) if held is None else held


def read_ahead(
    batches: Iterator[Batch], depth: int = 3, *, for_cuda: bool = False
) -> Iterator[Batch]:
    """The same batches, read by one thread that stays at most ``depth`` ahead.

    ``for_cuda`` has them pinned, so that copying them to the device is not waited for. Closing the
    iterator ends the thread. An error of the thread is raised here.
    """
    ready: queue.Queue[Batch | Exception | None] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def put(item: Batch | Exception | None) -> None:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        # Whatever happens, something is put: whoever waits must not wait for ever.
        last: Exception | None = RuntimeError("reading ahead ended early; see the thread's error")
        try:
            for batch in batches:
                if closed.is_set():
                    return
                put(batch.pinned() if for_cuda else batch)
            last = None
        except (CxrError, OSError, ValueError, IndexError, RuntimeError, MemoryError) as error:
            last = error
        finally:
            put(last)

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        closed.set()
        thread.join(timeout=5)


def to_unit_range(pixels_BHW: Tensor) -> Tensor:
    """Bytes [B, H, W] -> float [B, 1, H, W] in 0..1, on the same device."""
    return pixels_BHW.unsqueeze(1).to(torch.float32).div_(255)


def augmented(pixels_B1HW: Tensor, draws_B5: Tensor, settings: AugmentSettings) -> Tensor:
    """Each image mirrored, rotated, zoomed and shifted by its own draw, in one resampling.

    ``pixels_B1HW`` are floats in 0..1, ``draws_B5`` uniform numbers for flip, rotation,
    scale, and shift in x and y. What comes into view from outside is black.
    """
    theta_B23 = _affine(draws_B5, settings)
    shape = list(pixels_B1HW.shape)
    grid_BHW2 = functional.affine_grid(theta_B23, shape, align_corners=False)
    return functional.grid_sample(
        pixels_B1HW, grid_BHW2, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def augments(settings: AugmentSettings) -> bool:
    """Whether these settings change an image at all."""
    return any((settings.flip, settings.rotate_deg, settings.scale, settings.shift))


def _affine(draws_B5: Tensor, settings: AugmentSettings) -> Tensor:
    flip, rotation, zoom, shift_x, shift_y = draws_B5.unbind(1)
    angle = (rotation * 2 - 1) * math.radians(settings.rotate_deg)
    # affine_grid maps output places to input places, so a factor above 1 shrinks the image.
    factor = 1 / (1 + (zoom * 2 - 1) * settings.scale)
    # Not by where(): it would fetch its two numbers from the host and wait for the device.
    mirror = 1 - 2 * (flip < settings.flip).to(flip.dtype)
    cos, sin = angle.cos() * factor, angle.sin() * factor
    # The grid spans -1..1, so a shift by a share of the size is twice that share.
    offset_x = (shift_x * 2 - 1) * 2 * settings.shift
    offset_y = (shift_y * 2 - 1) * 2 * settings.shift
    rows = [
        torch.stack([cos * mirror, -sin, offset_x], dim=1),
        torch.stack([sin * mirror, cos, offset_y], dim=1),
    ]
    return torch.stack(rows, dim=1)
