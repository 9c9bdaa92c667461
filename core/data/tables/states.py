"""Label states as tables write them, and the policy that turns them into labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.recipe import FindingLabels, LabelSettings

PRESENT, ABSENT, UNCERTAIN, BLANK, UNKNOWN = 1, 0, -1, -2, -3
"""States of a cell. ``BLANK``: the row doesn't mention the finding. ``UNKNOWN``: nothing was
recorded, whatever the policy."""

SMOOTH = (0.55, 0.85)
"""Bounds of the values for uncertain labels under ``smooth`` (Pham 2019, arXiv 1911.06475)."""

States = npt.NDArray[np.int8]
Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelPolicy:
    """What uncertain labels and blank cells become, and whose default that is.

    ``uncertain`` is ``ignore``, ``ones``, ``zeros`` or ``smooth`` and changes train alone: in val
    and test an uncertain label is left out. ``blank`` is ``absent`` or ``unknown`` everywhere.
    """

    uncertain: str = "ignore"
    blank: str = "unknown"
    source: str = ""
    by_finding: Mapping[str, FindingLabels] = field(default_factory=dict)
    seed: int = 0

    def with_settings(self, settings: LabelSettings) -> LabelPolicy:
        """The policy under a recipe's settings; what they leave open stays as it is."""
        return LabelPolicy(
            settings.uncertain or self.uncertain,
            settings.blank or self.blank,
            self.source if settings.uncertain is None and settings.blank is None else "the recipe",
            settings.by_finding,
            settings.seed,
        )

    def of(self, finding: str) -> tuple[str, str]:
        """What uncertain labels and blank cells of a finding become."""
        own = self.by_finding.get(finding, FindingLabels())
        return own.uncertain or self.uncertain, own.blank or self.blank


@dataclass(frozen=True)
class Moved:
    """How many labels of a finding a policy decides: as they stand in the table."""

    uncertain: int
    blank: int


def labels_of_states(
    states_NA: States, images: Sequence[str], findings: Sequence[str], policy: LabelPolicy
) -> tuple[Labels, Labels | None]:
    """Labels of N images for scoring and for training.

    Args:
        states_NA: states of A findings.
        images: names, which the values of ``smooth`` depend on.
        findings: names of the A findings.
        policy: see ``LabelPolicy``.

    Returns:
        For scoring: 1, 0, NaN unknown. For training: the same with uncertain labels decided; None
        if no label differs.
    """
    labels_NA = np.full(states_NA.shape, np.nan, dtype=np.float32)
    labels_NA[states_NA == PRESENT] = 1
    labels_NA[states_NA == ABSENT] = 0
    train_NA: Labels | None = None
    names_N: npt.NDArray[np.uint64] | None = None
    for column, finding in enumerate(findings):
        uncertain, blank = policy.of(finding)
        if blank == "absent":
            labels_NA[states_NA[:, column] == BLANK, column] = 0
    for column, finding in enumerate(findings):
        uncertain, _ = policy.of(finding)
        rows = np.flatnonzero(states_NA[:, column] == UNCERTAIN)
        if uncertain == "ignore" or not len(rows):
            continue
        train_NA = labels_NA.copy() if train_NA is None else train_NA
        if uncertain == "smooth":
            names_N = _hashes(images) if names_N is None else names_N
            train_NA[rows, column] = _smooth_values(names_N[rows], finding, policy.seed)
        else:
            train_NA[rows, column] = 1 if uncertain == "ones" else 0
    return labels_NA, train_NA


def moved_by(states_NA: States, findings: Sequence[str]) -> dict[str, Moved]:
    """Finding -> the labels that a policy decides, for findings that have any."""
    uncertain_A = (states_NA == UNCERTAIN).sum(axis=0)
    blank_A = (states_NA == BLANK).sum(axis=0)
    return {
        finding: Moved(int(uncertain_A[column]), int(blank_A[column]))
        for column, finding in enumerate(findings)
        if uncertain_A[column] or blank_A[column]
    }


def _hashes(images: Sequence[str]) -> npt.NDArray[np.uint64]:
    """64 bits of each name's digest, the same in every table and on every machine."""
    joined = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in images)
    return np.frombuffer(joined, np.uint64)


def _smooth_values(names_R: npt.NDArray[np.uint64], finding: str, seed: int) -> Labels:
    """A value in ``SMOOTH`` for each image, from the seed, the image and the finding alone."""
    (key,) = _hashes([f"{seed}\0{finding}"])
    mixed_R = names_R ^ key
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed_R = (mixed_R ^ (mixed_R >> np.uint64(shift))) * np.uint64(factor)
    shares_R = (mixed_R ^ (mixed_R >> np.uint64(31))).astype(np.float64) / 2.0**64
    low, high = SMOOTH
    values_R: Labels = (low + shares_R * (high - low)).astype(np.float32)
    return values_R
