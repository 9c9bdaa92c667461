"""Logistic regression of labels on logits, by Newton's method; a few columns at most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-15
_STEPS, _HALVINGS, _CONVERGED = 100, 40, 1e-13


def logits_of(scores_K: Floats) -> Floats:
    """ln(p / (1 − p)), of probabilities clipped to ``LEAST_PROBABILITY`` from 0 and 1."""
    inside_K = np.clip(scores_K, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    logits_K: Floats = np.log(inside_K) - np.log1p(-inside_K)
    return logits_K


def expit(logits_K: Floats) -> Floats:
    """The inverse, for any finite logits."""
    shares_K: Floats = 0.5 * (1 + np.tanh(logits_K / 2))
    # Below, tanh is -1 to the last digit, and the share would be 0.
    return np.where(logits_K < -15, np.exp(np.minimum(logits_K, 0)), shares_K)


def log_loss(logits_K: Floats, present_K: NDArray[np.bool_], weights_K: Floats | None) -> float:
    """The mean log loss; finite for any finite logits, 0 for no image."""
    if not len(logits_K):
        return 0.0
    return float(np.average(losses_of(logits_K, present_K), weights=weights_K))


def losses_of(logits_K: Floats, present_K: NDArray[np.bool_]) -> Floats:
    """The log loss of each image."""
    losses_K: Floats = np.logaddexp(0, np.where(present_K, -logits_K, logits_K))
    return losses_K


def fitted(
    inputs_KC: Floats,
    offset_K: Floats,
    present_K: NDArray[np.bool_],
    weights_K: Floats | None = None,
) -> tuple[float, Floats]:
    """The least log loss of offset + inputs · coefficients, and the C coefficients.

    Newton's method with halved steps. Where classes are separated there is no finite answer: the
    caller asks first.
    """
    scaled_K = np.full(len(offset_K), 1 / len(offset_K))
    if weights_K is not None:
        scaled_K = weights_K / weights_K.sum()
    found_C = np.zeros(inputs_KC.shape[1])
    best = log_loss(offset_K, present_K, weights_K)
    for _ in range(_STEPS):
        share_K = 0.5 * (1 + np.tanh((offset_K + inputs_KC @ found_C) / 2))
        slope_C = inputs_KC.T @ (scaled_K * (share_K - present_K))
        curve_CC = (inputs_KC.T * (scaled_K * share_K * (1 - share_K))) @ inputs_KC
        curve_CC[np.diag_indices_from(curve_CC)] += 1e-12
        step_C = np.linalg.solve(curve_CC, slope_C)
        before = best
        for halving in range(_HALVINGS):
            tried_C = found_C - step_C / 2**halving
            loss = log_loss(offset_K + inputs_KC @ tried_C, present_K, weights_K)
            if loss < best:
                found_C, best = tried_C, loss
                break
        if before - best < _CONVERGED:
            break
    return best, found_C
