"""``bench``: measure every part of a run on some images of a recipe's data set.

Images are decoded into a temporary folder inside the cache folder, so that the disk is the one that
a run would use. The folder and the session of the training are removed afterwards.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.bench import nih
from core.bench.decoding import ROUNDS as DECODING_ROUNDS
from core.bench.decoding import Decoding, measure_decoding
from core.bench.report import Bench
from core.bench.rounds import BLOCK_SECONDS, Progress, Rounds
from core.bench.sample import sampled_rows
from core.bench.training import ROUNDS as TRAINING_ROUNDS
from core.bench.training import measure_training
from core.data.batches import Part
from core.data.cache.cache import ImageCache, count_ready, open_cache
from core.data.images.grey_rule import GreyRule
from core.data.study.study import Study, prepare_study
from core.errors import DataError
from core.evaluation.predict import Placement
from core.model.device import choose_device
from core.model.precision import choose_precision
from core.model.weights import LoadedModel, load_weights
from core.recipe import PARTS, Recipe
from core.store.files import TOKEN, token
from core.training.preparation import part_of

_MOST_IMAGES = {"train": 2048, "val": 256}
_QUARANTINED_SHARE = 0.5
_FOLDER = "bench-"
_OURS = re.compile(rf"{_FOLDER}{TOKEN}")
_LEFTOVER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class _Bench:
    """The inputs of a measurement."""

    study: Study
    loaded: LoadedModel
    folder: Path
    block_seconds: float
    progress: Progress

    @property
    def size_px(self) -> int:
        return self.study.recipe.image.size_px

    @property
    def resize(self) -> str:
        return self.loaded.model.input_spec.resize


def run_bench(
    recipe: Recipe,
    device: str,
    cache: Path,
    progress: Progress,
    *,
    block_seconds: float = BLOCK_SECONDS,
) -> Bench:
    """Measure everything, in about a minute.

    As with every command, listings and a synthetic set stay in ``cache``; nothing else does.

    Raises:
        RecipeError, DataError, UsageError: as in a run.
        RunFailedError: out of memory, or a loss wasn't finite.
    """
    chosen = choose_device(device)
    precision = choose_precision(recipe.train.precision, chosen.device)
    placement = Placement(chosen.device, precision)
    study = prepare_study(recipe, cache, progress=progress)
    loaded = load_weights(
        recipe.model.weights,
        recipe.dataset.findings,
        seed=recipe.train.seed,
        allow_partial=recipe.model.allow_partial_weights,
    )
    images = {part: len(study.rows(part)) for part in PARTS}
    with _temporary_folder(cache) as folder:
        bench = _Bench(study, loaded, folder, block_seconds, progress)
        decoding = _decoding(bench)
        parts = _parts(bench, _decoded(bench))
        nih_ingest, is_estimated = _nih_ingest(bench, decoding, parts["train"])
        rates = measure_training(
            recipe,
            loaded.model,
            placement,
            parts,
            images,
            folder / "sessions",
            block_seconds=block_seconds,
            rounds=Rounds("training, scoring and each part alone", TRAINING_ROUNDS, progress),
        )
    return Bench(
        recipe=recipe,
        placement=placement,
        device_name=chosen.name,
        images=images,
        images_to_decode=_images_to_decode(bench, cache),
        decoding=decoding,
        rates=rates,
        nih_ingest=nih_ingest,
        nih_estimated=is_estimated,
        warnings=(*chosen.warnings, *precision.warnings, *rates.taken.notices),
    )


def _decoding(bench: _Bench) -> Decoding:
    index = bench.study.index
    rows = sampled_rows(bench.study, "train", _MOST_IMAGES["train"])
    return measure_decoding(
        [index.files[name] for name in index.images[rows]],
        index.files,
        bench.folder,
        size_px=bench.size_px,
        resize=bench.resize,
        block_seconds=bench.block_seconds / 2,
        rounds=Rounds("decoding", DECODING_ROUNDS, bench.progress),
    )


def _decoded(bench: _Bench) -> ImageCache:
    """A cache with the images for measuring training."""
    names = [
        str(bench.study.index.images[row])
        for part, most in _MOST_IMAGES.items()
        for row in sampled_rows(bench.study, part, most)
    ]
    return open_cache(
        bench.folder / "cache",
        bench.study.index.files,
        names,
        size_px=bench.size_px,
        resize=bench.resize,
        max_quarantined_share=_QUARANTINED_SHARE,
        progress=lambda now: bench.progress("preparing images", now.done, now.total),
    )


def _parts(bench: _Bench, decoded: ImageCache) -> dict[str, Part]:
    parts = {}
    for name, most in _MOST_IMAGES.items():
        rows = sampled_rows(bench.study, name, most)
        images = bench.study.index.images[rows]
        there = np.array([image not in decoded.quarantined for image in images], dtype=bool)
        if not there.any():
            raise DataError(f"none of the images of the {name} part could be decoded", where=name)
        parts[name] = part_of(bench.study, decoded, name, rows[there])
    return parts


def _nih_ingest(bench: _Bench, decoding: Decoding, train: Part) -> tuple[float, bool]:
    """Images of NIH's size per second, and whether that is an estimate."""
    if nih.are_like_nih(train.cache.original_sizes_px(train.cache_rows_N)):
        return decoding.ingest.median, False
    bench.progress("decoding images of NIH's size", 0, None)
    rate = nih.decode_rate(bench.folder / "nih", size_px=bench.size_px, resize=bench.resize)
    return rate * decoding.cores * decoding.ingest_to_cores.median, True


def _images_to_decode(bench: _Bench, cache: Path) -> int:
    wanted = bench.study.images_used()
    ready = count_ready(
        cache,
        bench.study.index.files,
        wanted,
        size_px=bench.size_px,
        resize=bench.resize,
        rule=GreyRule.of(bench.study.recipe.image),
    )
    return len(set(wanted)) - ready


@contextlib.contextmanager
def _temporary_folder(cache: Path) -> Iterator[Path]:
    """A temporary folder on the cache's disk; also removes folders of killed processes."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for old in filter(lambda entry: _OURS.fullmatch(entry.name), cache.iterdir()):
            if time.time() - old.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        made = cache / f"{_FOLDER}{token()}"
        made.mkdir(mode=0o700)
    except OSError as error:
        raise DataError(
            f"can't be written: {error.strerror or error}",
            where=cache,
            remedy="Name another folder with --cache DIR.",
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
