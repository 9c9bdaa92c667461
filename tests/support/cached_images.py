"""Folders of small images, and the caches made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.cache.cache import ImageCache, count_ready, open_cache
from core.data.images.decode import decode_square
from core.data.images.image_file import ImageFile
from core.data.images.image_files import ask_statuses, find_images

SIZE_PX = 16


def write_images(folder: Path, num_images: int, *, seed: int = 0, first: int = 1) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    names = [f"{number:08d}_000.png" for number in range(first, first + num_images)]
    for name in names:
        Image.fromarray(draw.integers(0, 256, (20, 24), np.uint8)).save(
            folder / name, compress_level=0
        )
    return names


def found(folder: Path) -> Mapping[str, ImageFile]:
    names = [path.name for path in folder.rglob("*.png")]
    files = find_images(folder, names).files
    ask_statuses(files.values())  # as ``with_images`` does
    return files


def opened(cache_root: Path, images: Path, **settings: object) -> ImageCache:
    files = found(images)
    wanted = settings.pop("wanted", tuple(files))
    settings = {"size_px": SIZE_PX, "resize": "squash", "threads": 2} | settings
    return open_cache(cache_root, files, wanted, **settings)  # type: ignore[arg-type]


def ready(cache_root: Path, images: Path) -> int:
    files = found(images)
    return count_ready(cache_root, files, tuple(files), size_px=SIZE_PX, resize="squash")


def decoded(images: Path, names: list[str] | tuple[str, ...]) -> NDArray[np.uint8]:
    each = [decode_square(images / name, name, SIZE_PX, "squash").pixels_SS for name in names]
    return np.stack(each)


def holds_what_the_files_hold(cache: ImageCache, images: Path) -> bool:
    pixels_NSS = cache.pixels(cache.rows_of(cache.names))
    return np.array_equal(pixels_NSS, decoded(images, cache.names))


def files_of(cache: ImageCache) -> dict[str, tuple[int, int]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in cache.folder.iterdir()
    }
