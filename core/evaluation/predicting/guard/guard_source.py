"""The guard of a session: the one it keeps, or one made now from its own images."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.cache.cache import ImageCache, open_cache
from core.data.study.study import prepare_study
from core.errors import CxrError, DataError, StoppedError
from core.evaluation.predicting.guard.guard import FEWEST_IMAGES, Guard, learn_guard
from core.evaluation.predicting.guard.guard_file import GUARD_FILE, read_guard, write_guard
from core.evaluation.predicting.predictor import Predictor
from core.regular_file import read_regular

_MOST_IMAGES = {"train": 1000, "val": 500}
_MOST_CHECKPOINT_BYTES = 2**30

Progress = Callable[[str, int, int], None]


def with_guard(
    predictor: Predictor,
    cache: Path,
    progress: Progress = lambda *_: None,
    *,
    may_learn: bool = True,
) -> Predictor:
    """The predictor with what is usual among its session's images.

    A session keeps it for its best checkpoint in ``evaluation/guard.npz``. Where there is none yet
    it is made from up to 1,000 train and 500 val images, and kept if the session can be written.
    Where these images are gone, a note says why most flags are missing.

    Args:
        predictor: of the session.
        cache: the folder of decoded images.
        progress: what is done, how many images, of how many; it may raise.
        may_learn: False takes only what is kept.

    Raises:
        StoppedError: ``progress`` raised it.
    """
    path = predictor.session.path / "evaluation" / GUARD_FILE
    checkpoint = _digest(predictor)
    kept = read_guard(path, checkpoint)
    if kept is not None:
        return dataclasses.replace(predictor, guard=kept)
    if not may_learn:
        return predictor
    try:
        guard = _made(predictor, cache, checkpoint, progress)
    except StoppedError:
        raise
    except (CxrError, OSError) as error:
        said = error.what if isinstance(error, CxrError) else error.strerror or str(error)
        where = error.where if isinstance(error, CxrError) else error.filename
        note = (
            "without the session's own train and val images only colour, range and a DICOM's own "
            f"lateral view are flagged ({where}: {said})"
        )
        return dataclasses.replace(predictor, notes=(*predictor.notes, note))
    with contextlib.suppress(OSError):  # somebody else's session: it is made again next time
        path.parent.mkdir(exist_ok=True)
        write_guard(path, guard)
    return dataclasses.replace(predictor, guard=guard)


def _digest(predictor: Predictor) -> str:
    path = predictor.session.checkpoints / f"{predictor.checkpoint}.safetensors"
    try:
        return hashlib.sha256(read_regular(path, _MOST_CHECKPOINT_BYTES)).hexdigest()
    except OSError:  # a running session has replaced it
        return ""


def _made(predictor: Predictor, cache_folder: Path, checkpoint: str, progress: Progress) -> Guard:
    recipe = predictor.session.recipe
    as_far_as_there = recipe.dataset.model_copy(update={"partial": True})
    study = prepare_study(
        recipe.model_copy(update={"dataset": as_far_as_there}),
        cache_folder,
        recorded_split=predictor.session.path / "split.csv",
        without_gone=True,
    )
    names = {part: _some(study.index.images[study.rows(part)], part) for part in _MOST_IMAGES}
    cache = open_cache(
        cache_folder,
        study.index.files,
        [name for each in names.values() for name in each],
        size_px=predictor.rule.size_px,
        resize=predictor.rule.resize,
        rule=predictor.rule.grey,
        max_quarantined_share=1.0,
        progress=lambda told: progress("preparing images for the guard", told.done, told.total),
    )
    total = sum(map(len, names.values()))
    seen = {}
    done = 0
    for part, each in names.items():
        seen[part] = _seen(
            predictor,
            cache,
            each,
            partial(_tell, progress, done, total),
        )
        done += len(each)
        if len(seen[part][0]) < FEWEST_IMAGES:
            raise DataError(
                f"{len(seen[part][0])} images of the {part} part can be read, at least "
                f"{FEWEST_IMAGES} are needed",
                where=study.sources.images,
            )
    return learn_guard(checkpoint, *seen["train"], *seen["val"])


def _tell(progress: Progress, before: int, total: int, more: int) -> None:
    progress("learning what is usual", before + more, total)


def _some(names: NDArray[np.object_], part: str) -> list[str]:
    """At most so many of the part's images, evenly spread."""
    step = max(1, -(-len(names) // _MOST_IMAGES[part]))
    return [str(name) for name in names[::step]]


def _seen(
    predictor: Predictor, cache: ImageCache, names: list[str], progress: Callable[[int], None]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pixels and features of the images that can be read."""
    kept = [name for name in names if name not in cache.quarantined]
    rows_N = cache.rows_of(kept)
    pixels: list[NDArray[np.uint8]] = []
    features: list[NDArray[np.float32]] = []
    for start in range(0, len(kept), predictor.batch_size):
        some = cache.pixels(rows_N[start : start + predictor.batch_size])
        pixels.append(some)
        features.append(predictor.seen(some)[1])
        progress(start + len(some))
    side = predictor.rule.size_px
    if not kept:
        return np.empty((0, side, side), np.uint8), np.empty((0, 0), np.float32)
    return np.concatenate(pixels), np.concatenate(features)
