"""Images with inverted greys among others that are not inverted.

DICOM's MONOCHROME1 means that 0 is white. An export that ignores it writes such an image inverted,
and a network that is trained on both kinds learns less from each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed

_SIDE = 32
"""Width and height in pixels to which images are subsampled: enough to locate the lungs."""

_FEWEST_IMAGES = 16
_ALIKE_SHARE = 0.3
"""Least share of the variance that the first principal component must explain. Real chests reach
0.59, synthetic ones more; below this there is no common picture that could be inverted."""

_INVERTED_BELOW = -0.2
"""Correlation with that component. The lowest among 240 real images is 0.44."""

_FEW_SHARE = 0.02


def check_inverted(pixels_NSS: NDArray[np.uint8], names: Sequence[str]) -> Iterator[Diagnosis]:
    """Whether some of N images are inverted. If all of them are, that can't be detected.

    The first principal component of images that are each standardised to mean 0 and standard
    deviation 1 is the chest, in the polarity of the majority. Inverted images correlate negatively
    with it.
    """
    if len(names) < _FEWEST_IMAGES:
        return
    flat_NP = _thinned(pixels_NSS)
    flat_NP -= flat_NP.mean(axis=1, keepdims=True)
    lengths_N = np.linalg.norm(flat_NP, axis=1)
    if not lengths_N.all():
        return
    flat_NP /= lengths_N[:, None]
    # From N × N products, N being 192 at most: the component itself is not needed.
    variances_N, vectors_NN = np.linalg.eigh(flat_NP @ flat_NP.T)
    if variances_N[-1] / len(names) < _ALIKE_SHARE:
        return
    with_pattern_N = vectors_NN[:, -1] * np.sqrt(variances_N[-1])
    with_pattern_N *= 1 if np.median(with_pattern_N) >= 0 else -1
    inverted = [names[row] for row in np.flatnonzero(with_pattern_N < _INVERTED_BELOW).tolist()]
    if not inverted:
        return
    share = len(inverted) / len(names)
    subject = "1 is" if len(inverted) == 1 else f"{len(inverted)} are"
    yield Diagnosis(
        check="images-inverted",
        severity=Severity.NOTE if share < _FEW_SHARE else Severity.WARNING,
        text=f"Of {len(names)} images checked, {subject} inverted relative to the others: "
        f"{listed(inverted)}.",
        evidence={"inverted": len(inverted), "looked_at": len(names), "share": round(share, 3)},
        remedy="Look at these files, and invert them or the others; in DICOM files, MONOCHROME1 "
        "means that 0 is white.",
    )


def _thinned(pixels_NSS: NDArray[np.uint8]) -> NDArray[np.float64]:
    step = max(1, pixels_NSS.shape[1] // _SIDE)
    return pixels_NSS[:, ::step, ::step].reshape(len(pixels_NSS), -1).astype(np.float64)
