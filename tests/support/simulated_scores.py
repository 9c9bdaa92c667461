"""Good predictions of NIH's kind, simulated: patients of many images, rare findings, both related.

Image counts follow the quantiles of NIH's official test part (2,797 patients, 9.2 images each on
average); findings go together and stay with a patient, and so do scores.
"""

import numpy as np

from core.evaluation.predictions import Predictions
from core.findings import FINDINGS

NIH_PATIENTS = 2797
_QUANTILES = (0, 0.4, 0.5, 0.75, 0.9, 0.95, 0.99, 1)
_IMAGES = (1, 1, 2, 9, 26, 42, 81, 184)
PREVALENCE = dict(
    zip(
        FINDINGS,
        # Atelectasis … Hernia, as in the official test part, Hernia of fewer
        (0.12, 0.04, 0.18, 0.17, 0.07, 0.06, 0.02, 0.10, 0.07, 0.035, 0.04, 0.016, 0.045, 0.0015),
        strict=True,
    )
)
_WITH_PATIENT, _WITH_OTHERS = 0.8, 0.5
"""Correlations: of a patient's images, and of findings through how ill somebody is."""


def nih_like(patients=NIH_PATIENTS, seed=0, lowest=0.75, highest=0.9, findings=FINDINGS):
    """Predictions of all the patients' images, AUROC spread from ``lowest`` to ``highest``."""
    rng = np.random.default_rng(seed)
    counts = np.interp(rng.random(patients), _QUANTILES, _IMAGES).round().astype(int)
    owner_N = np.repeat(np.arange(1, patients + 1), counts)
    number_N = np.concatenate([np.arange(count) for count in counts])
    prevalence_F = np.array([PREVALENCE[finding] for finding in findings])
    loads_FF = _loads(rng, len(findings))
    ill_NF = _standing(rng, owner_N, len(findings), loads_FF)
    cuts_F = [
        np.quantile(ill_N, 1 - share) for ill_N, share in zip(ill_NF.T, prevalence_F, strict=True)
    ]
    labels_NF = (ill_NF > cuts_F).astype(np.float32)
    areas_F = rng.permutation(np.linspace(lowest, highest, len(findings)))
    apart_F = np.sqrt(2) * _normal_quantile(areas_F)
    noise_NF = _standing(rng, owner_N, len(findings), loads_FF)
    logits_NF = np.log(prevalence_F / (1 - prevalence_F)) + apart_F * (
        noise_NF + apart_F * (labels_NF - 0.5)
    )
    return Predictions(
        images=np.array(
            [f"{p:08d}_{n:03d}.png" for p, n in zip(owner_N, number_N, strict=True)], dtype=object
        ),
        patients=owner_N.astype(np.int64),
        findings=tuple(findings),
        labels_NF=labels_NF,
        scores_NF=1 / (1 + np.exp(-logits_NF)),
    )


def _normal_quantile(share):
    from scipy.stats import norm

    return norm.ppf(share)


def _loads(rng, findings):
    """How each finding goes with how ill one is, and with a few others."""
    loads = np.eye(findings) + 0.25 * rng.standard_normal((findings, findings))
    return loads / np.linalg.norm(loads, axis=1, keepdims=True)


def _standing(rng, owner_N, findings, loads_FF):
    """Standard normal values of each image and finding, alike within a patient and across them."""
    patients = owner_N.max()
    share = _WITH_PATIENT

    def draw(rows):
        general = rng.standard_normal((rows, 1))
        own = rng.standard_normal((rows, findings)) @ loads_FF.T
        return np.sqrt(_WITH_OTHERS) * general + np.sqrt(1 - _WITH_OTHERS) * own

    return np.sqrt(share) * draw(patients)[owner_N - 1] + np.sqrt(1 - share) * draw(len(owner_N))
