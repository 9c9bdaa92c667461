"""Checks of the images that reach the network: empty ones, a wrong range, copies.

Each looks at decoded bytes, so that a fault of an export or a conversion shows before training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.health.diagnosis import Diagnosis, Severity
from core.health.inverted import check_inverted
from core.health.words import listed
from core.model.input_spec import InputSpec

_EMPTY_SPREAD = 1.0
_SIXTEEN_BIT_REST = 15
_NARROW_RANGE = 64
_MOST = (0.03, 0.97)
_FEW_LEVELS = 32
"""The pixels of real images, without the extremes, span 100 grey levels or more."""

_MANY_OF_FEW_LEVELS = 0.02
_TWO_LEVELS = 0.9
_DARKEST_MEAN, _BRIGHTEST_MEAN = 0.05 * 255, 0.95 * 255
_ALIKE_SHARE = 0.01
"""Share of the spread within an image. Real images differ by a fifth of it, synthetic by a
tenth."""

_MANY_ALIKE = 0.05
_BLOCKS = 16
_ENOUGH_IMAGES = 4


@dataclass(frozen=True)
class _Looks:
    """Statistics of N images, in grey levels of 0 to 255."""

    means_N: NDArray[np.float64]
    spreads_N: NDArray[np.float64]
    lowest_N: NDArray[np.uint8]
    highest_N: NDArray[np.uint8]
    at_ends_N: NDArray[np.float64]
    most_within_N: NDArray[np.float64]
    """The range of each image without its darkest and brightest pixels."""

    def take(self, chosen_N: NDArray[np.bool_]) -> _Looks:
        return _Looks(**{name: values[chosen_N] for name, values in vars(self).items()})


def check_inputs(
    pixels_NSS: NDArray[np.uint8], names: Sequence[str], spec: InputSpec
) -> list[Diagnosis]:
    """Check a sample of images.

    Args:
        pixels_NSS: N images as bytes, S pixels wide and high.
        names: their file names.
        spec: how the network's input is normalised.
    """
    looks = _looks(pixels_NSS)
    is_empty_N = looks.spreads_N < _EMPTY_SPREAD
    found = [*_empty(is_empty_N, names)]
    full = looks.take(~is_empty_N)
    if len(full.means_N) < _ENOUGH_IMAGES:
        return found
    kept = np.flatnonzero(~is_empty_N)
    kept_names = [names[row] for row in kept.tolist()]
    of_range = [*_wrong_range(full, spec)]
    return [
        *found,
        *(of_range or _few_levels(full, kept_names)),
        *check_inverted(pixels_NSS[kept], kept_names),
        *_alike(pixels_NSS[kept], kept_names),
    ]


def _looks(pixels_NSS: NDArray[np.uint8]) -> _Looks:
    flat_NP = pixels_NSS.reshape(len(pixels_NSS), -1)
    lowest_N, highest_N = flat_NP.min(axis=1), flat_NP.max(axis=1)
    at_ends_NP = (flat_NP == lowest_N[:, None]) | (flat_NP == highest_N[:, None])
    return _Looks(
        means_N=flat_NP.mean(axis=1, dtype=np.float64),
        spreads_N=flat_NP.std(axis=1, dtype=np.float64),
        lowest_N=lowest_N,
        highest_N=highest_N,
        at_ends_N=at_ends_NP.mean(axis=1, dtype=np.float64),
        most_within_N=np.ptp(np.quantile(flat_NP, _MOST, axis=1), axis=0),
    )


def _empty(is_empty_N: NDArray[np.bool_], names: Sequence[str]) -> Iterator[Diagnosis]:
    empty = [names[row] for row in np.flatnonzero(is_empty_N).tolist()]
    if empty:
        subject = "1 image is" if len(empty) == 1 else f"{len(empty)} images are"
        yield Diagnosis(
            check="images-empty",
            severity=Severity.WARNING,
            text=f"Of {len(names)} images checked, {subject} black or a single grey: "
            f"{listed(empty)}.",
            evidence={"empty": len(empty), "looked_at": len(names)},
            remedy="Look at these files; if there are many, the export that wrote them failed.",
        )


def _wrong_range(looks: _Looks, spec: InputSpec) -> Iterator[Diagnosis]:
    """At most one diagnosis: the most specific fault of the range."""
    told = _told_of_range(looks)
    if told is None:
        return
    mean, ranges_N = float(looks.means_N.mean()), looks.highest_N.astype(int) - looks.lowest_N
    yield Diagnosis(
        check=told[0],
        severity=Severity.WARNING,
        text=told[1],
        evidence={
            "looked_at": len(looks.means_N),
            "highest": int(looks.highest_N.max()),
            "median_range": float(np.median(ranges_N)),
            "mean": round(mean, 2),
            "input_mean": round(_as_input(mean, spec), 3),
            "input_spread": round(_spread_of_input(float(looks.spreads_N.mean()), spec), 3),
        },
        remedy="Export the images again, so that their grey levels span the range of the file: 0 "
        "to 255 for 8 bits, 0 to 65535 for 16.",
    )


def _told_of_range(looks: _Looks) -> tuple[str, str] | None:
    """The check's id and its sentence; None if the range is fine."""
    highest, mean = int(looks.highest_N.max()), float(looks.means_N.mean())
    if highest <= _SIXTEEN_BIT_REST:
        return "range-cut", (
            f"No pixel is above {highest} of 255: 16-bit images that use little of their range or "
            "were cut to bytes, or the label values of a mask."
        )
    if float(np.median(looks.at_ends_N)) > _TWO_LEVELS:
        return "images-masks", (
            "The images have only two levels, like masks: X-rays have many shades of grey."
        )
    if float(np.median(looks.highest_N.astype(int) - looks.lowest_N)) < _NARROW_RANGE:
        return "range-narrow", (
            "Most images use less than a quarter of the grey levels: they were scaled by a range "
            "that doesn't match their values."
        )
    if not _DARKEST_MEAN <= mean <= _BRIGHTEST_MEAN:
        end = "black" if mean < _DARKEST_MEAN else "white"
        return "brightness-odd", f"The images are nearly all {end}, which chest X-rays are not."
    return None


def _few_levels(looks: _Looks, names: Sequence[str]) -> Iterator[Diagnosis]:
    """Some images with few grey levels within the chest, though most images are fine."""
    is_few_N = looks.most_within_N < _FEW_LEVELS
    if is_few_N.mean() < _MANY_OF_FEW_LEVELS:
        return
    few = [names[row] for row in np.flatnonzero(is_few_N).tolist()]
    within = int(np.median(looks.most_within_N[is_few_N])) + 1
    yield Diagnosis(
        check="levels-few",
        severity=Severity.WARNING,
        text=f"Of {len(names)} images checked, {len(few)} have nearly all of their pixels within "
        f"{within} of 256 grey levels (median): {listed(few)}.",
        evidence={"few_levels": len(few), "looked_at": len(names), "median_levels": within},
        remedy="Look at these files: a white marker or border, or a range that doesn't match their "
        "values, has set the scale. Export them so that the chest spans the range of the file.",
    )


def _as_input(level: float, spec: InputSpec) -> float:
    """A grey level as the first channel of the first convolution receives it."""
    return (spec.low + level / 255 * (spec.high - spec.low) - spec.mean[0]) / spec.std[0]


def _spread_of_input(spread: float, spec: InputSpec) -> float:
    return spread / 255 * (spec.high - spec.low) / spec.std[0]


def _alike(pixels_NSS: NDArray[np.uint8], names: Sequence[str]) -> Iterator[Diagnosis]:
    apart_NN = _levels_apart(pixels_NSS)
    spread = float(np.median(pixels_NSS.std(axis=(1, 2), dtype=np.float64)))
    has_twin_N = apart_NN.min(axis=1) < _ALIKE_SHARE * spread
    share = float(has_twin_N.mean())
    if share < _MANY_ALIKE or has_twin_N.sum() < _ENOUGH_IMAGES:
        return
    row = int(np.argmax(has_twin_N))
    yield Diagnosis(
        check="images-alike",
        severity=Severity.WARNING,
        text=f"{has_twin_N.sum()} of {len(names)} images checked are nearly the same as another, "
        f"such as {names[row]} and {names[int(apart_NN[row].argmin())]}.",
        evidence={"alike": int(has_twin_N.sum()), "looked_at": len(names)},
        remedy="Look at these files: the same image under several names teaches its labels' "
        "contradictions.",
    )


def _levels_apart(pixels_NSS: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Root mean square difference in grey levels of every pair of images, over block means.

    Blocks are small enough to tell two patients apart, and a pair costs a few hundred numbers. The
    diagonal is infinite.
    """
    num_images, side, _ = pixels_NSS.shape
    block = max(1, side // _BLOCKS)
    blocks = side // block
    cut = pixels_NSS[:, : blocks * block, : blocks * block]
    blocks_NB = (
        cut.reshape(num_images, blocks, block, blocks, block)
        .mean(axis=(2, 4), dtype=np.float64)
        .reshape(num_images, -1)
    )
    squares_N = (blocks_NB**2).sum(axis=1)
    apart_NN = squares_N[:, None] + squares_N[None] - 2 * blocks_NB @ blocks_NB.T
    apart_NN = np.sqrt(np.maximum(apart_NN, 0) / blocks_NB.shape[1])
    np.fill_diagonal(apart_NN, np.inf)
    return np.asarray(apart_NN)
