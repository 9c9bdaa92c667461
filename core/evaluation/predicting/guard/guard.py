"""Flags on images that the network was not made for; they never drop one.

What is usual is taken from the session's own train and val images, so nothing is trained elsewhere:

- ``turned`` and ``inverted``: a ridge regression from coarse pictures of train images to how they
  were altered (turned by a quarter, half or three quarters, inverted, or not), in closed form.
- ``unlike``: the Mahalanobis distance of the network's own pooled features to those of train
  images (Lee et al. 2018, arXiv 1807.03888) in the main components, with what lies outside these
  measured by its own variance, as in probabilistic PCA (Tipping and Bishop 1999).
- ``lateral``: a DICOM's own view position, or a picture far less symmetric than those of val.
- ``empty``, ``border``: less structure, or wider even edges, than train and val images have.
- ``range``, ``colour``: counts of the file's own pixels, with fixed limits.

Thresholds of learnt signs are those that val images stay below: the larger of val's
``VAL_QUANTILE`` and the median with ``SPREADS`` or ``UNLIKE_SPREADS`` robust standard deviations
(more with fewer images), since a few dozen val images say little about one in two hundred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.images.decode import GreyLook
from core.evaluation.predicting.guard.pixel_signs import COARSE, Floats, PixelSigns
from core.one_blas_thread import one_blas_thread

INVERTED, LATERAL, COLOUR, BORDER = "inverted", "lateral", "colour", "border"
RANGE, EMPTY, TURNED, UNLIKE = "range", "empty", "turned", "unlike"
FLAGS: Mapping[str, str] = {
    INVERTED: "grey seems inverted: bone dark, air bright",
    LATERAL: "seems no frontal view",
    COLOUR: "was in colour: a photograph, a screenshot",
    BORDER: "wide even borders",
    RANGE: "few grey levels, or a small part of the range",
    EMPTY: "hardly any structure",
    TURNED: "seems not upright",
    UNLIKE: "far from the images that the network was trained on",
}
"""Code -> what it says; in the order of a row."""

VAL_QUANTILE = 0.995
SPREADS, UNLIKE_SPREADS = 6.0, 8.0
"""Distances have a longer tail than signs of the picture."""
FEWEST_IMAGES = 10
"""With fewer train or val images nothing usual can be learnt."""

_FEWEST_LEVELS, _SMALLEST_RANGE = 64, 64
_IN_COLOUR = 0.02
_WIDEST_BORDER = 0.25
_LEAST_SYMMETRY = 0.15
_LEAST_STRUCTURE = 0.5
_RIDGE = 0.1
_FEW_WIDEN = 5
"""Of so few images a median and a spread are half again as uncertain."""
_MOST_COMPONENTS, _IMAGES_PER_COMPONENT = 64, 4


@dataclass(frozen=True, eq=False)
class Guard:
    """What is usual: D coarse cells, C features, K main components.

    Attributes:
        checkpoint: the digest of the network whose features these are.
        alteration_DA: weights of the regression; A: as it is, turned three ways, inverted.
        alteration_A: its intercepts.
        turned_over, inverted_over: how much more a picture may seem altered than upright.
        mean_C, components_KC, variance_K: of train images' features.
        rest_variance: of each other direction.
        unlike_over: the largest logarithm of the distance.
        least_symmetry, least_structure, widest_border: see ``PixelSigns``.
    """

    checkpoint: str
    alteration_DA: NDArray[np.float32]
    alteration_A: Floats
    turned_over: float
    inverted_over: float
    mean_C: NDArray[np.float32]
    components_KC: NDArray[np.float32]
    variance_K: Floats
    rest_variance: float
    unlike_over: float
    least_symmetry: float
    least_structure: float
    widest_border: float

    def flags(
        self,
        pixels_BSS: NDArray[np.uint8],
        features_BC: NDArray[np.float32],
        looks: Sequence[GreyLook | None],
        are_lateral: Sequence[bool],
    ) -> list[tuple[str, ...]]:
        """The codes of each image.

        Args:
            pixels_BSS: the network's input, in bytes.
            features_BC: the network's pooled features.
            looks: of the whole images; None without.
            are_lateral: whether the file itself says so.
        """
        signs = PixelSigns.of(pixels_BSS)
        with one_blas_thread():
            turned_B, inverted_B = self.altered(signs.coarse_BD)
            distances_B = self.distances(features_BC)
        is_empty_B = signs.structure_B < self.least_structure
        # Where nothing is to be seen there is no orientation either.
        is_turned_B = (turned_B > self.turned_over) & (turned_B >= inverted_B) & ~is_empty_B
        is_inverted_B = (inverted_B > self.inverted_over) & (inverted_B > turned_B) & ~is_empty_B
        is_odd_B = signs.symmetry_B < self.least_symmetry
        raised = {
            INVERTED: is_inverted_B,
            LATERAL: is_odd_B & ~is_turned_B & ~is_empty_B,
            BORDER: signs.border_B > self.widest_border,
            EMPTY: is_empty_B,
            TURNED: is_turned_B,
            UNLIKE: distances_B > self.unlike_over,
        }
        of_files = flags_of_files(looks, are_lateral)
        return [
            tuple(
                code
                for code in FLAGS
                if code in of_files[row] or (code in raised and raised[code][row])
            )
            for row in range(len(pixels_BSS))
        ]

    def altered(self, coarse_BD: Floats) -> tuple[Floats, Floats]:
        """How much more each picture seems turned than upright, and inverted than upright."""
        return _altered(coarse_BD, self.alteration_DA, self.alteration_A)

    def distances(self, features_BC: NDArray[np.float32]) -> Floats:
        """The logarithm of each image's squared distance to train images, per direction."""
        return _distances(
            features_BC, self.mean_C, self.components_KC, self.variance_K, self.rest_variance
        )


def flags_of_files(
    looks: Sequence[GreyLook | None], are_lateral: Sequence[bool]
) -> list[tuple[str, ...]]:
    """The codes that need nothing learnt: of the file's own pixels and header."""
    return [
        (
            *((LATERAL,) if is_lateral else ()),
            *((COLOUR,) if look is not None and look.colour_share > _IN_COLOUR else ()),
            *((RANGE,) if look is not None and _is_narrow(look) else ()),
        )
        for look, is_lateral in zip(looks, are_lateral, strict=True)
    ]


def learn_guard(
    checkpoint: str,
    train_pixels_NSS: NDArray[np.uint8],
    train_features_NC: NDArray[np.float32],
    val_pixels_NSS: NDArray[np.uint8],
    val_features_NC: NDArray[np.float32],
) -> Guard:
    """Learn what is usual from at least ``FEWEST_IMAGES`` images of each part."""
    train, val = PixelSigns.of(train_pixels_NSS), PixelSigns.of(val_pixels_NSS)
    weights_DA, intercepts_A = _alterations(train.coarse_BD)
    val_turned_N, val_inverted_N = _altered(val.coarse_BD, weights_DA, intercepts_A)
    mean_C, components_KC, variance_K, rest = _components(train_features_NC)
    val_distances_N = _distances(val_features_NC, mean_C, components_KC, variance_K, rest)
    borders = np.concatenate([train.border_B, val.border_B])
    structures = np.concatenate([train.structure_B, val.structure_B])
    return Guard(
        checkpoint=checkpoint,
        alteration_DA=weights_DA,
        alteration_A=intercepts_A,
        turned_over=_usual_most(val_turned_N),
        inverted_over=_usual_most(val_inverted_N),
        mean_C=mean_C,
        components_KC=components_KC,
        variance_K=variance_K,
        rest_variance=rest,
        unlike_over=_usual_most(val_distances_N, UNLIKE_SPREADS),
        least_symmetry=min(_LEAST_SYMMETRY, -_usual_most(-val.symmetry_B)),
        least_structure=_LEAST_STRUCTURE * float(np.quantile(structures, 1 - VAL_QUANTILE)),
        widest_border=max(_WIDEST_BORDER, float(np.quantile(borders, VAL_QUANTILE))),
    )


def _usual_most(values_N: Floats, spreads: float = SPREADS) -> float:
    median = float(np.median(values_N))
    spread = 1.4826 * float(np.median(np.abs(values_N - median)))  # a standard deviation, if normal
    reach = spreads * (1 + _FEW_WIDEN / len(values_N)) * spread
    return max(float(np.quantile(values_N, VAL_QUANTILE)), median + reach)


def _is_narrow(look: GreyLook) -> bool:
    return look.num_levels < _FEWEST_LEVELS or look.brightest - look.darkest < _SMALLEST_RANGE


def _alterations(coarse_ND: Floats) -> tuple[NDArray[np.float32], Floats]:
    """Weights [D, A] and intercepts [A] of the regression to how a picture was altered."""
    coarse_NCC = coarse_ND.reshape(-1, COARSE, COARSE)
    altered = [coarse_NCC, *(np.rot90(coarse_NCC, turns, (1, 2)) for turns in (1, 2, 3))]
    altered.append(-coarse_NCC)
    known_MD = np.concatenate(altered).reshape(-1, COARSE * COARSE)
    truth_MA = np.repeat(np.eye(len(altered)), len(coarse_NCC), axis=0)
    intercepts_A = truth_MA.mean(axis=0)
    squares_DD = known_MD.T @ known_MD + _RIDGE * len(known_MD) * np.eye(known_MD.shape[1])
    weights_DA = np.linalg.solve(squares_DD, known_MD.T @ (truth_MA - intercepts_A))
    return weights_DA.astype(np.float32), intercepts_A


def _altered(
    coarse_BD: Floats, weights_DA: NDArray[np.float32], intercepts_A: Floats
) -> tuple[Floats, Floats]:
    seems_BA = coarse_BD @ weights_DA + intercepts_A
    upright_B = seems_BA[:, 0]
    return seems_BA[:, 1:4].max(axis=1) - upright_B, seems_BA[:, 4] - upright_B


def _components(
    features_NC: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, float]:
    """Mean, main components with their variances, and the variance of each other direction."""
    mean_C = features_NC.mean(axis=0, dtype=np.float64)
    _, singular, directions = np.linalg.svd(features_NC - mean_C, full_matrices=False)
    most = max(1, min(_MOST_COMPONENTS, len(features_NC) // _IMAGES_PER_COMPONENT))
    variances = singular**2 / max(1, len(features_NC) - 1)
    others = features_NC.shape[1] - most
    rest = max(float(variances[most:].sum()) / max(1, others), 1e-12)
    components_KC = directions[:most].astype(np.float32)
    return mean_C.astype(np.float32), components_KC, np.maximum(variances[:most], rest), rest


def _distances(
    features_BC: NDArray[np.float32],
    mean_C: NDArray[np.float32],
    components_KC: NDArray[np.float32],
    variance_K: Floats,
    rest_variance: float,
) -> Floats:
    centred_BC = features_BC.astype(np.float64) - mean_C
    along_BK = centred_BC @ components_KC.T
    rest_B = np.maximum((centred_BC**2).sum(axis=1) - (along_BK**2).sum(axis=1), 0)
    squared_B = (along_BK**2 / variance_K).sum(axis=1) + rest_B / rest_variance
    whole: Floats = np.log(np.maximum(squared_B, 1e-12) / features_BC.shape[1])
    return whole
