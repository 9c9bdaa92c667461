"""Distribute patients so that each finding, especially rare ones, reaches each part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def largest_remainder(total: int, weights: npt.ArrayLike, *, at_least: npt.ArrayLike = 0) -> Ints:
    """Integers that add up to ``total``, in proportion to ``weights``.

    Args:
        total: what to distribute.
        weights: one for each part, none negative, not all zero.
        at_least: what each part gets first; scaled down to nothing if ``total`` is less.

    Hamilton's method: each part gets the integer part of its quota, and the largest remainders get
    one more. Of equal remainders the first part's comes first.
    """
    weights = np.asarray(weights, dtype=np.float64)
    least = np.broadcast_to(np.asarray(at_least, dtype=np.int64), weights.shape)
    if least.sum() > total:
        least = np.zeros_like(least)
    counts = np.zeros(len(weights), dtype=np.int64)
    open_parts = np.ones(len(weights), dtype=bool)
    while True:
        # Parts whose quota is below their minimum get just that; the others share the rest.
        rest = total - int(least[~open_parts].sum())
        open_weights = np.where(open_parts, weights, 0.0)
        if open_weights.sum() == 0:
            open_weights = open_parts.astype(np.float64)
        quotas = rest * open_weights / max(open_weights.sum(), 1e-300)
        below = open_parts & (quotas < least)
        if not below.any():
            break
        open_parts &= ~below
    counts = np.where(open_parts, np.floor(quotas + 1e-9).astype(np.int64), least)
    by_remainder = np.argsort(-np.where(open_parts, quotas - counts, -1.0), kind="stable")
    counts[by_remainder[: total - int(counts.sum())]] += 1
    return counts


def deal_patients(
    positive_images_PA: Ints,
    images_P: Ints,
    shares: npt.ArrayLike,
    rng: np.random.Generator,
) -> Ints:
    """Distribute P patients; returns the part of each, as a position in ``shares``.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011) by patient: findings take turns
    from the rarest to the commonest, and each turn assigns that finding's unassigned patients to
    the parts that lack them most; patients without a finding come last. Within a turn patients are
    sorted by their number of images and distributed evenly, so that the shares hold for images too.
    A whole turn is assigned together, while the paper goes patient by patient: 30,805 patients take
    some 30 ms. A finding with at least as many patients as there are parts reaches every part,
    unless rarer ones have used up its patients; no part stays empty.

    Args:
        positive_images_PA: each patient's images with each of A findings.
        images_P: each patient's images.
        shares: the parts' shares of patients, adding up to 1.
        rng: draws which patients go where.
    """
    shares = np.asarray(shares, dtype=np.float64)
    num_parts = len(shares)
    part_P = np.full(len(images_P), -1, dtype=np.int64)
    positive_PA = positive_images_PA > 0
    num_positive_A = positive_PA.sum(axis=0)
    for finding in np.argsort(num_positive_A, kind="stable"):
        positive_P = positive_PA[:, finding]
        wanted = largest_remainder(
            int(num_positive_A[finding]),
            shares,
            at_least=int(num_positive_A[finding] >= num_parts),
        )
        open_patients = np.flatnonzero(positive_P & (part_P < 0))
        have = np.bincount(part_P[positive_P & (part_P >= 0)], minlength=num_parts)
        quotas = _quotas(len(open_patients), wanted, have, shares)
        size = positive_images_PA[open_patients, finding] * (images_P.max() + 1)
        part_P[open_patients] = _dealt(size + images_P[open_patients], quotas, rng)
    open_patients = np.flatnonzero(part_P < 0)
    wanted = largest_remainder(len(part_P), shares, at_least=int(len(part_P) >= num_parts))
    have = np.bincount(part_P[part_P >= 0], minlength=num_parts)
    quotas = _quotas(len(open_patients), wanted, have, shares)
    part_P[open_patients] = _dealt(images_P[open_patients], quotas, rng)
    return _without_empty_parts(part_P, positive_PA, num_parts)


def _without_empty_parts(part_P: Ints, positive_PA: npt.NDArray[np.bool_], num_parts: int) -> Ints:
    """Give an empty part the patient with the fewest findings of the largest part.

    With very few patients the findings' turns can use up everybody before a small part's turn.
    """
    part_P = part_P.copy()
    for part in range(num_parts):
        sizes = np.bincount(part_P, minlength=num_parts)
        if sizes[part] == 0 and sizes.max() > 1:
            donors = np.flatnonzero(part_P == sizes.argmax())
            part_P[donors[positive_PA[donors].sum(axis=1).argmin()]] = part
    return part_P


def _quotas(num_open: int, wanted: Ints, have: Ints, shares: npt.NDArray[np.float64]) -> Ints:
    """Number of the open patients for each part, given how many it wants and has."""
    lacking = (wanted - have).clip(0)
    if lacking.sum() == num_open:
        return lacking
    # Parts that got too many with a rarer finding leave less than the others lack; parts that have
    # none yet come first.
    weights = lacking if lacking.any() else shares
    return largest_remainder(num_open, weights, at_least=(lacking > 0) & (have == 0))


def _dealt(sizes: Ints, quotas: Ints, rng: np.random.Generator) -> Ints:
    """Parts for patients of these sizes: each part gets its quota, spread evenly over the sizes."""
    shuffled = rng.permutation(len(sizes))
    by_size = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    # Part p takes its k-th patient at the position (k + a random start) / quota.
    places = np.concatenate([(np.arange(quota) + rng.random()) / max(quota, 1) for quota in quotas])
    parts = np.repeat(np.arange(len(quotas)), quotas)
    dealt = np.empty(len(sizes), dtype=np.int64)
    dealt[by_size] = parts[np.argsort(places, kind="stable")]
    return dealt
