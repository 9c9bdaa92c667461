"""Patients as NIH has them, with findings and scores whose true figures are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

# Images a patient in NIH's official test part, and how many of its 2,797 patients have so many
# (counted from test_list.txt and Data_Entry_2017_v2020.csv); above 40 in steps.
_IMAGES = [*range(1, 41), 43, 47, 52, 58, 65, 72, 85, 105, 130, 170]
_PATIENTS = [
    *(1373, 255, 104, 87, 79, 62, 51, 49, 45, 36, 32, 47, 33, 32, 28, 33, 20, 17, 17, 19),
    *(21, 11, 20, 19, 17, 13, 9, 6, 9, 15, 7, 10, 10, 13, 13, 3, 6, 7, 6, 7),
    *(22, 20, 21, 17, 20, 10, 14, 10, 7, 5),
]


@dataclass(frozen=True)
class Simulated:
    """N images and F findings: labels, scores, and whose image it is."""

    labels_NF: NDArray[np.float32]
    scores_NF: NDArray[np.float64]
    patients_N: NDArray[np.int64]


def simulated(
    rng: np.random.Generator,
    patients: int,
    prevalence_F: NDArray[np.float64],
    auroc_F: NDArray[np.float64],
    *,
    label_correlation: float = 0.6,
    score_correlation: float = 0.5,
) -> Simulated:
    """Images of so many patients, alike within each of them.

    A label is a cut through a normal variable, a score a shift by the label plus normal noise;
    ``…_correlation`` is the patient's share of either's variance. So the AUROC over images of
    different patients is ``auroc_F``, whatever the correlations. Half of the patient's share of the
    noise is common to all findings, as some patients are easy and some are hard.
    """
    sizes_P = rng.choice(_IMAGES, size=patients, p=np.array(_PATIENTS) / sum(_PATIENTS))
    owners_N = np.repeat(np.arange(patients), sizes_P)
    findings = len(prevalence_F)

    def alike(correlation: float, common: float) -> NDArray[np.float64]:
        of_patient_PF = np.sqrt(1 - common) * rng.normal(size=(patients, findings))
        of_patient_PF += np.sqrt(common) * rng.normal(size=(patients, 1))
        of_image_NF = rng.normal(size=(len(owners_N), findings))
        whole_NF: NDArray[np.float64] = (
            np.sqrt(correlation) * of_patient_PF[owners_N] + np.sqrt(1 - correlation) * of_image_NF
        )
        return whole_NF

    labels_NF = alike(label_correlation, 0.0) > norm.isf(prevalence_F)
    scores_NF = np.sqrt(2) * norm.ppf(auroc_F) * labels_NF + alike(score_correlation, 0.5)
    return Simulated(labels_NF.astype(np.float32), scores_NF, owners_N)
