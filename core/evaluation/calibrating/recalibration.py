"""Recalibration: a rising map of logits, fitted on val alone, for each finding.

Both methods give a piecewise linear map of logits that rises strictly, so no ranking changes:
AUROC stays as it is, and a threshold is carried over. Saved predictions stay the network's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibrating.corp import pooled
from core.evaluation.calibrating.logistic import expit, fitted, logits_of
from core.evaluation.finding_report import patients_or_images
from core.evaluation.predictions import Predictions
from core.findings import PRESENT
from core.words import number_of

Floats = NDArray[np.float64]
Method = Literal["platt", "isotonic"]

LEAST_POSITIVE_PATIENTS = 10
"""With fewer in val a finding's probabilities stay the network's own."""

_LEAST_IMAGES = 10
"""In a step of the isotonic map; then no step is about one patient's image."""

_BEYOND = 1e-3
"""Slope below the lowest and above the highest step: nearly flat, but no ties."""


@dataclass(frozen=True)
class LogitMap:
    """Straight lines between K knots (``at`` -> ``to``), and beyond them with these slopes."""

    at: tuple[float, ...]
    to: tuple[float, ...]
    below: float
    above: float

    def __call__(self, logits_N: Floats) -> Floats:
        """The recalibrated logits."""
        found_N: Floats = np.interp(logits_N, self.at, self.to)
        found_N = found_N + self.below * np.minimum(logits_N - self.at[0], 0)
        return found_N + self.above * np.maximum(logits_N - self.at[-1], 0)


@dataclass(frozen=True)
class Recalibration:
    """What was fitted on val.

    Attributes:
        maps: finding -> its map; without one, probabilities stay as they are.
        notes: finding -> why it has none.
        prevalence: finding -> its prevalence in val; of all findings with a known label.
    """

    method: Method
    maps: Mapping[str, LogitMap]
    notes: Mapping[str, str] = field(default_factory=dict)
    prevalence: Mapping[str, float] = field(default_factory=dict)

    def scores(self, finding: str, scores_N: NDArray[Any]) -> Floats:
        """Recalibrated probabilities."""
        logit_map = self.maps.get(finding)
        scores_N = scores_N.astype(np.float64)
        return scores_N if logit_map is None else expit(logit_map(logits_of(scores_N)))

    def threshold(self, finding: str, threshold: float) -> float:
        """A threshold carried over: it calls the same images."""
        return float(self.scores(finding, np.array([threshold]))[0])

    def predictions(self, predictions: Predictions) -> Predictions:
        """The same images with recalibrated probabilities."""
        columns = [
            self.scores(finding, predictions.scores_NF[:, column])
            for column, finding in enumerate(predictions.findings)
        ]
        return replace(predictions, scores_NF=np.column_stack(columns)) if columns else predictions

    def batch(self, findings: tuple[str, ...], scores_BF: Floats) -> Floats:
        """Recalibrated probabilities of B images."""
        columns = [self.scores(name, scores_BF[:, at]) for at, name in enumerate(findings)]
        return np.column_stack(columns)


def fit_recalibration(val: Predictions, method: Method) -> Recalibration:
    """Fit each finding's map on val.

    platt: one line through the logits, by logistic regression (Platt 1999; on logits it is Cox's
    recalibration of 1958). isotonic: the steps of pool-adjacent-violators (Zadrozny and Elkan
    2002), their centres joined (Oron and Flournoy 2017, Statistics in Biopharmaceutical Research
    9:258), with one image of half a label at either end, so that none is exactly 0 or 1.
    """
    patients_N = patients_or_images(val)
    maps: dict[str, LogitMap] = {}
    notes: dict[str, str] = {}
    prevalence: dict[str, float] = {}
    for column, finding in enumerate(val.findings):
        known_N = ~np.isnan(val.labels_NF[:, column])
        present_K = val.labels_NF[known_N, column] == PRESENT
        scores_K = val.scores_NF[known_N, column].astype(np.float64)
        if len(present_K):
            prevalence[finding] = round(float(present_K.mean()), 6)
        reason = _unfit(scores_K, present_K, patients_N[known_N])
        found = None if reason else _FITS[method](logits_of(scores_K), present_K)
        if found is None:
            notes[finding] = reason or "val's scores rank images the wrong way round, or not at all"
        else:
            maps[finding] = found
    return Recalibration(method, maps, notes, prevalence)


def _unfit(
    scores_K: Floats, present_K: NDArray[np.bool_], patients_K: NDArray[np.int64]
) -> str | None:
    """Why nothing can be fitted on these images."""
    if len(scores_K) and (scores_K.min() < 0 or scores_K.max() > 1):
        return "val's scores are not all between 0 and 1"
    for kind, chosen_K in (("positive", present_K), ("negative", ~present_K)):
        patients = len(np.unique(patients_K[chosen_K]))
        if patients < LEAST_POSITIVE_PATIENTS:
            there = number_of(patients, f"{kind} patient")
            return f"val has only {there}: too few to recalibrate"
    if scores_K[present_K].min() > scores_K[~present_K].max():
        return "the scores separate the classes in val, so no finite map fits best"
    return None


def _platt(logits_K: Floats, present_K: NDArray[np.bool_]) -> LogitMap | None:
    both_K2 = np.column_stack([np.ones_like(logits_K), logits_K])
    _, (shift, slope) = fitted(both_K2, np.zeros_like(logits_K), present_K)
    if not slope > _BEYOND:
        return None  # it would turn the order round
    return LogitMap((0.0,), (round(float(shift), 9),), *2 * (round(float(slope), 9),))


def _isotonic(logits_K: Floats, present_K: NDArray[np.bool_]) -> LogitMap | None:
    ends = np.array([logits_K.min(), logits_K.max()])
    both_L = np.concatenate([logits_K, ends])
    labels_L = np.concatenate([present_K.astype(np.float64), [0.5, 0.5]])
    block_L = _merged(pooled(both_L, labels_L).block_K)
    images_B = np.bincount(block_L)
    shares_B = np.bincount(block_L, weights=labels_L) / images_B
    centres_B = np.bincount(block_L, weights=both_L) / images_B
    knots = [round(float(centre), 9) for centre in centres_B]
    values = [round(float(value), 9) for value in logits_of(shares_B)]
    if len(knots) < 2 or np.diff(knots).min() <= 0:
        return None
    return LogitMap(tuple(knots), tuple(values), _BEYOND, _BEYOND)


def _merged(block_K: NDArray[np.intp]) -> NDArray[np.intp]:
    """Steps of at least ``_LEAST_IMAGES``: a smaller one joins those above it, the last below."""
    images_B = np.bincount(block_K)
    joined_B, current, count = np.zeros(len(images_B), dtype=np.intp), 0, 0
    left = int(images_B.sum())
    for place, images in enumerate(images_B.tolist()):
        joined_B[place] = current
        count, left = count + images, left - images
        if count >= _LEAST_IMAGES and left >= _LEAST_IMAGES:
            current, count = current + 1, 0
    return joined_B[block_K]


_FITS = {"platt": _platt, "isotonic": _isotonic}
