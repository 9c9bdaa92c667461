"""What can be known before the first step: of an audit, and of a run that is about to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.study import PARTS, Study
from core.health.diagnosis import Diagnosis
from core.health.inputs import check_inputs
from core.health.labels import check_labels
from core.health.leakage import check_patients, check_same_images, check_seen
from core.health.lesions import check_lesions
from core.health.recipe import check_recipe
from core.health.weights import check_value_range, check_weights
from core.model.input_spec import InputSpec
from core.model.provenance import SeenReport
from core.recipe import NO_WEIGHTS, Recipe

if TYPE_CHECKING:  # an audit comes here too, and needs no torch
    from core.data.batches import Part
    from core.model.weights import LoadedModel

_IMAGES_LOOKED_AT = 192
_FED_TO_THE_FIRST_LAYER = 16
_READ_AT_ONCE = 32
_LOOKED_AT_PX = 128

_SHORT_ON_PURPOSE = ("epochs-few",)
"""A miniature trains for a moment, whatever its recipe was."""


def before_download(recipe: Recipe, report: Mapping[str, Any]) -> list[Diagnosis]:
    """What an audit's report gives away, with or without images on disk."""
    return [
        *check_patients(report),
        *check_recipe(recipe, val_patients=report["parts"]["val"]["patients"]),
        *of_findings(recipe, report),
    ]


def of_findings(recipe: Recipe, report: Mapping[str, Any]) -> list[Diagnosis]:
    """The part of it that is about labels and lesions."""
    phantom = recipe.dataset.phantom
    return [
        *check_labels(report, batch_size=recipe.train.batch_size),
        *check_lesions(report, images_px=phantom.size_px if phantom else None),
    ]


def before_training(
    study: Study,
    parts: Mapping[str, Part],
    recipe: Recipe,
    seen: SeenReport,
    loaded: LoadedModel,
    is_miniature: bool,
) -> Iterator[Diagnosis]:
    """What a run's parts give away, the gravest first.

    Args:
        study: what it is about.
        parts: train, val and test, in the cache.
        recipe: its settings.
        seen: what its weights saw of the test part.
        loaded: the network as it was loaded, and what of it matched.
        is_miniature: whether the parts are a few images each, of which counts say nothing.
    """
    yield from check_seen(seen, recipe.model.weights)
    yield from check_same_images([parts[part] for part in PARTS])
    yield from check_weights(loaded)
    yield from _of_value_range(parts["train"], loaded)
    yield from _of_images(parts["train"], loaded.model.input_spec)
    if is_miniature:
        told = check_recipe(recipe)
        yield from (found for found in told if found.check not in _SHORT_ON_PURPOSE)
        return
    yield from check_recipe(recipe, val_patients=len(study.patients("val")))
    yield from check_labels(study.audited(), batch_size=recipe.train.batch_size)


def _of_value_range(part: Part, loaded: LoadedModel) -> Iterator[Diagnosis]:
    from core.model.first_layer import response_scale  # an audit comes here too, without torch

    if loaded.report.kind == NO_WEIGHTS:
        return
    pixels_KSS = part.cache.pixels(part.cache_rows_N[_rows_all_over(part, _FED_TO_THE_FIRST_LAYER)])
    scale = response_scale(loaded.model, pixels_KSS)
    yield from check_value_range(scale, loaded.model.input_spec.name)


def _rows_all_over(part: Part, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(part) - 1, count).astype(np.int64))


def _of_images(part: Part, spec: InputSpec) -> list[Diagnosis]:
    """A sample from all over the part, thinned to what a look needs: an image may be 1 MB."""
    rows_K = _rows_all_over(part, _IMAGES_LOOKED_AT)
    thin = max(1, part.cache.size_px // _LOOKED_AT_PX)
    thinned = []
    for start in range(0, len(rows_K), _READ_AT_ONCE):
        rows = part.cache_rows_N[rows_K[start : start + _READ_AT_ONCE]]
        thinned.append(part.cache.pixels(rows)[:, ::thin, ::thin].copy())
    thinned_KSS = np.concatenate(thinned)
    return check_inputs(thinned_KSS, part.images_N[rows_K].tolist(), spec)
