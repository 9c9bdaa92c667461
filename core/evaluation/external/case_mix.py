"""Two samples' mix of age decade, sex and view, and weights that give one the other's mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.tables.label_columns import LabelTable

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_OLDEST_DECADE = 9
_LEAST_KNOWN = 0.5
_LEAST_COVERED = 0.5
_UNKNOWN = 0
_NAMES = ("age decade", "sex", "view")


@dataclass(frozen=True, eq=False)
class CaseMix:
    """Each image's stratum, in N images of another set and M of the session's own.

    Attributes:
        columns: what strata are made of; empty if nothing is known in both.
        note: why a column, or all of it, is left out; '' if nothing is.
    """

    external_N: Codes
    internal_M: Codes
    columns: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class MixWeights:
    """Weights of the external images that give them the internal mix.

    Attributes:
        weights_K: their mean is 1; None, and ``note`` says why.
        covered: share of the internal images whose stratum has external images.
        effective_images: Kish's number of equal images that the weighted ones are worth.
        strata_K: the stratum of each external image, numbered from 0.
        strata_J: likewise of each internal one; -1 where no external image is in it.
    """

    weights_K: Floats | None
    covered: float | None = None
    effective_images: float | None = None
    note: str = ""
    strata_K: Codes | None = None
    strata_J: Codes | None = None


def case_mix(external: LabelTable | None, internal: LabelTable | None) -> CaseMix | None:
    """The strata of both tables; None without one of them."""
    if external is None or internal is None:
        return None
    used, left_out = [], []
    codes_N = np.zeros(len(external.images_N), dtype=np.int64)
    codes_M = np.zeros(len(internal.images_N), dtype=np.int64)
    for name, here_N, there_M in zip(_NAMES, _columns(external), _columns(internal), strict=True):
        known = min(float((one != _UNKNOWN).mean()) if len(one) else 0 for one in (here_N, there_M))
        if known < _LEAST_KNOWN:
            left_out.append(name)
            continue
        used.append(name)
        codes_N, codes_M = 16 * codes_N + here_N, 16 * codes_M + there_M
    note = f"not known of enough images in both: {', '.join(left_out)}" if left_out else ""
    return CaseMix(codes_N, codes_M, tuple(used), note)


def mix_weights(mix: CaseMix | None, known_N: Codes, known_M: Codes) -> MixWeights:
    """Weights of K external images (rows of the table) to the mix of these internal ones."""
    if mix is None:
        return MixWeights(None, note="the session's own table is not known")
    if not mix.columns:
        return MixWeights(None, note=mix.note)
    here_K, there = mix.external_N[known_N], mix.internal_M[known_M]
    strata, place_K, count_S = np.unique(here_K, return_inverse=True, return_counts=True)
    position = np.searchsorted(strata, there)
    is_there = strata[np.minimum(position, len(strata) - 1)] == there
    covered = float(is_there.mean())
    if covered < _LEAST_COVERED:
        return MixWeights(
            None,
            covered,
            note=f"only {100 * covered:.0f} % of the session's test images have external images of "
            f"the same {', '.join(mix.columns)}",
        )
    wanted_S = np.bincount(position[is_there], minlength=len(strata)) / is_there.sum()
    place_K = place_K.reshape(-1)
    weights_K = (wanted_S / (count_S / len(here_K)))[place_K]
    effective = float(weights_K.sum() ** 2 / np.square(weights_K).sum())
    strata_J = np.where(is_there, position, -1)
    return MixWeights(weights_K, covered, effective, strata_K=place_K, strata_J=strata_J)


def _columns(table: LabelTable) -> tuple[Codes, Codes, Codes]:
    """Age decade, sex and view as small numbers, 0 where unknown."""
    nothing_N = np.zeros(len(table.images_N), dtype=np.int64)
    age_N, sex_N, view_N = nothing_N, nothing_N, nothing_N
    if table.age_years_N is not None:
        decades_N = np.clip(np.nan_to_num(table.age_years_N, nan=0) // 10, 0, _OLDEST_DECADE)
        age_N = np.where(np.isnan(table.age_years_N), _UNKNOWN, 1 + decades_N).astype(np.int64)
    if table.sex_N is not None:
        sex_N = _numbered(table.sex_N, ("M", "F"))
    if table.view_N is not None:  # frontal is PA or AP, not said which
        view_N = _numbered(table.view_N, ("PA", "AP", "lateral", "oblique", "decubitus"))
    return age_N, sex_N, view_N


def _numbered(values_N: NDArray[np.object_], levels: tuple[str, ...]) -> Codes:
    numbers_N = np.zeros(len(values_N), dtype=np.int64)
    for number, level in enumerate(levels, start=1):
        numbers_N[values_N == level] = number
    return numbers_N
