"""In how many draws of patients and seeds a group is ahead of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def share_ahead(drawn_AB: Floats, drawn_BB: Floats, seed: int) -> float | None:
    """Share of B draws in which group A's mean figure is the higher; ties count one half.

    In each draw, patients are those of the columns, and as many runs as the group has are drawn
    from it with replacement. The share describes these runs; p and the interval, which know how few
    seeds there are, decide.

    Args:
        drawn_AB, drawn_BB: the figure in each draw of the patients, one row per run; NaN if
            undefined.
        seed: of the draws of runs.

    Returns:
        None if no draw defines the figure.
    """
    rng = np.random.default_rng(seed)
    a_B, b_B = (_with_seeds_drawn(drawn, rng) for drawn in (drawn_AB, drawn_BB))
    defined_B = np.isfinite(a_B) & np.isfinite(b_B)
    if not defined_B.any():
        return None
    ahead_B = (a_B > b_B) + 0.5 * (a_B == b_B)
    return float(ahead_B[defined_B].mean())


def _with_seeds_drawn(drawn_RB: Floats, rng: np.random.Generator) -> Floats:
    runs, draws = drawn_RB.shape
    if runs == 1:
        return np.asarray(drawn_RB[0])
    picked_RB = rng.integers(runs, size=(runs, draws))
    mean_B: Floats = np.take_along_axis(drawn_RB, picked_RB, axis=0).mean(axis=0)
    return mean_B
