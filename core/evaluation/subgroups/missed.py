"""Images with a finding that the network calls free of any: underdiagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.evaluation.predictions import Predictions
from core.evaluation.subgroups.estimates import Estimate, share_of
from core.findings import NO_FINDING, PRESENT


@dataclass(frozen=True, eq=False)
class Missed:
    """Among some images: those with a finding, their patients, and the share that is missed."""

    images: int
    patients: int
    rate: Estimate | None


@dataclass(frozen=True, eq=False)
class MissedImages:
    """Which of N images have a finding, and for which of them none is called.

    Attributes:
        note: why nothing can be said, or None.
    """

    with_finding_N: NDArray[np.bool_]
    missed_N: NDArray[np.bool_]
    codes_N: NDArray[np.intp]
    num_patients: int
    note: str | None

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        thresholds: Mapping[str, float | None],
        codes_N: NDArray[np.intp],
        num_patients: int,
    ) -> MissedImages:
        """By the score of No Finding if the network has one, else by all others staying below."""
        names = predictions.findings
        called_NF = np.zeros(predictions.scores_NF.shape, dtype=bool)
        for column, name in enumerate(names):
            threshold = thresholds.get(name)
            if threshold is not None:
                scores_N = predictions.scores_NF[:, column].astype(np.float64)
                called_NF[:, column] = scores_N >= threshold
        others = [column for column, name in enumerate(names) if name != NO_FINDING]
        present_NF = np.asarray(predictions.labels_NF[:, others] == PRESENT)
        with_finding_N = np.asarray(present_NF.any(axis=1))
        if NO_FINDING in names:
            none_called_N = called_NF[:, names.index(NO_FINDING)]
            needed = [NO_FINDING]
        else:
            none_called_N = ~np.asarray(called_NF.any(axis=1))
            needed = [names[column] for column in others]
        lacking = [name for name in needed if thresholds.get(name) is None]
        note = f"no threshold for {', '.join(lacking)}" if lacking else None
        missed_N = with_finding_N & none_called_N
        return cls(with_finding_N, missed_N, codes_N, num_patients, note)

    def among(self, chosen_N: NDArray[np.bool_]) -> Missed:
        """The same for some of the images."""
        whole_P, part_P = (
            np.bincount(self.codes_N[chosen_N & of_N], minlength=self.num_patients).astype(float)
            for of_N in (self.with_finding_N, self.missed_N)
        )
        patients = int((whole_P > 0).sum())
        return Missed(int(whole_P.sum()), patients, share_of(part_P, whole_P))
