"""Several readers' words on one image, joined to one state and a share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.data.tables.states import ABSENT, PRESENT, UNCERTAIN, UNKNOWN, States

Votes = npt.NDArray[np.int64]

RULES = {
    "any": "any reader says present",
    "majority": "most of its readers say present",
    "all": "all of its readers say present",
    "share": "most of its readers say present; train learns the share of readers",
}


def joined_readers(
    present_NA: Votes, absent_NA: Votes, readers_NA: Votes, rule: str
) -> tuple[States, npt.NDArray[np.float32] | None]:
    """States of N images × A findings, and what train learns in their place (``share``).

    Args:
        present_NA: readers who say present.
        absent_NA: readers who say absent; the rest hedge.
        readers_NA: readers asked; N × 1 if each was asked for every finding.
        rule: a key of ``RULES``.
    """
    hedged_NA = readers_NA - present_NA - absent_NA
    if rule == "any":
        is_present_NA, is_absent_NA = present_NA > 0, (present_NA == 0) & (hedged_NA == 0)
    elif rule == "all":
        is_present_NA, is_absent_NA = present_NA == readers_NA, absent_NA > 0
    else:
        is_present_NA, is_absent_NA = 2 * present_NA > readers_NA, 2 * absent_NA > readers_NA
    states_NA = np.full(present_NA.shape, UNCERTAIN, dtype=np.int8)
    states_NA[is_absent_NA] = ABSENT
    states_NA[is_present_NA] = PRESENT
    states_NA[np.broadcast_to(readers_NA == 0, states_NA.shape)] = UNKNOWN
    if rule != "share":
        return states_NA, None
    with np.errstate(invalid="ignore"):
        shares_NA = ((present_NA + hedged_NA / 2) / readers_NA).astype(np.float32)
    return states_NA, shares_NA
