"""Checks before the first step: for an audit, and for a run that is about to train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.study.audit_report import AuditReport
from core.data.study.study import Study
from core.health.diagnosis import Diagnosis
from core.health.headers import check_headers
from core.health.inputs import check_inputs
from core.health.labels import check_labels
from core.health.leakage import check_patients, check_same_images, check_seen
from core.health.lesions import check_lesions
from core.health.recipe import check_recipe
from core.health.weights import check_value_range, check_weights
from core.model.input_spec import InputSpec
from core.model.provenance import SeenReport
from core.recipe import NO_WEIGHTS, PARTS, Recipe

if TYPE_CHECKING:  # audits import this module too, without torch
    from core.data.batches import Part
    from core.model.weights import LoadedModel

_IMAGES_LOOKED_AT = 192
_FED_TO_THE_FIRST_LAYER = 16
_READ_AT_ONCE = 32
_LOOKED_AT_PX = 128

_SHORT_ON_PURPOSE = ("epochs-few",)
"""Checks that don't apply to a miniature, which trains for a few steps whatever its recipe."""


def before_download(recipe: Recipe, report: AuditReport) -> list[Diagnosis]:
    """Check an audit's report, with or without images on disk."""
    val = report["parts"]["val"]
    val_patients = val["images"] if val["patients"] is None else val["patients"]
    return [
        *check_patients(report),
        *check_recipe(recipe, val_patients=val_patients),
        *of_findings(recipe, report),
    ]


def of_findings(recipe: Recipe, report: AuditReport) -> list[Diagnosis]:
    """The checks of labels and lesions alone."""
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
    """Check a run's parts and weights; the most severe diagnosis comes first.

    Args:
        study: the run's data set.
        parts: train, val and test, in the cache.
        recipe: the run's settings.
        seen: which test patients the weights have been trained on.
        loaded: the network as loaded, with the report of which tensors matched.
        is_miniature: whether the parts are a few images each, too few for their counts to mean
            anything.
    """
    yield from check_seen(seen, recipe.model.weights)
    yield from check_same_images([parts[part] for part in PARTS])
    yield from check_headers(parts["train"].cache.repaired, sum(len(parts[part]) for part in PARTS))
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
    from core.model.first_layer import response_scale  # audits do without torch

    if loaded.report.kind == NO_WEIGHTS:
        return
    pixels_KSS = part.cache.pixels(part.cache_rows_N[_rows_all_over(part, _FED_TO_THE_FIRST_LAYER)])
    scale = response_scale(loaded.model, pixels_KSS)
    yield from check_value_range(scale, loaded.model.input_spec.name)


def _rows_all_over(part: Part, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, len(part) - 1, count).astype(np.int64))


def _of_images(part: Part, spec: InputSpec) -> list[Diagnosis]:
    """Check an evenly spaced sample of the part, subsampled: an image may take 1 MB."""
    rows_K = _rows_all_over(part, _IMAGES_LOOKED_AT)
    thin = max(1, part.cache.size_px // _LOOKED_AT_PX)
    thinned = []
    for start in range(0, len(rows_K), _READ_AT_ONCE):
        rows = part.cache_rows_N[rows_K[start : start + _READ_AT_ONCE]]
        thinned.append(part.cache.pixels(rows)[:, ::thin, ::thin].copy())
    thinned_KSS = np.concatenate(thinned)
    return check_inputs(thinned_KSS, part.images_N[rows_K].tolist(), spec)
