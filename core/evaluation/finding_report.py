"""One finding's figures as JSON: areas, views, comparison with the table, operating point.

Figures are rounded to 6 digits (far below any interval's width, and the same text on every
machine); thresholds are not, since a score equal to the threshold must stay at or above it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.confidence import Interval, patient_codes
from core.evaluation.intervals import ratio_intervals
from core.evaluation.metrics import auprc
from core.evaluation.operating_points import Rule, called_counts, choose_threshold
from core.evaluation.placements import auroc_interval, place
from core.evaluation.predictions import Predictions
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.findings import ABSENT, PRESENT, VIEW_POSITIONS

_DIGITS = 6

_SHARES = ("sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True)
class OneFinding:
    """The data behind one finding's figures; N images.

    Attributes:
        patients_N: see ``patients_or_images``.
        weights_N: number of images of the whole part that each represents; None: the part is whole.
        with_intervals: False if no interval was requested.
    """

    labels_N: NDArray[Any]
    scores_N: NDArray[Any]
    patients_N: NDArray[np.int64]
    weights_N: NDArray[np.float64] | None
    with_intervals: bool

    def chosen(self, chosen_N: NDArray[np.bool_]) -> OneFinding:
        """The same for some of the images."""
        weights_N = None if self.weights_N is None else self.weights_N[chosen_N]
        return OneFinding(
            self.labels_N[chosen_N],
            self.scores_N[chosen_N],
            self.patients_N[chosen_N],
            weights_N,
            self.with_intervals,
        )

    def auroc_and_interval(self) -> tuple[float | None, list[float] | None]:
        """From placements; see ``core.evaluation.placements``."""
        if not len(self.labels_N):
            return None, None
        placed = place(self.labels_N, self.scores_N, *patient_codes(self.patients_N))
        interval = auroc_interval(placed) if self.with_intervals else None
        return rounded(placed.value if placed else None), rounded_interval(interval)


def by_view(finding: OneFinding, views_N: NDArray[Any] | None) -> dict[str, Any]:
    """``auroc_by_view`` and ``auroc_by_view_ci``: within PA and within AP."""
    within = {
        view: (None, None)
        if views_N is None
        else finding.chosen(np.asarray(views_N == view)).auroc_and_interval()
        for view in VIEW_POSITIONS
    }
    return {
        "auroc_by_view": {view: area for view, (area, _) in within.items()},
        "auroc_by_view_ci": {view: ends for view, (_, ends) in within.items()},
    }


def natural_figures(finding: OneFinding, natural_prevalence: float | None) -> dict[str, Any]:
    """The prevalence and AUPRC of the whole part; null if the images scored are the whole part."""
    area = None
    if finding.weights_N is not None:
        area = auprc(finding.labels_N, finding.scores_N, finding.weights_N)
    return {"natural_prevalence": rounded(natural_prevalence), "auprc_natural": rounded(area)}


def operating_point(
    rule: Rule, name: str, finding: OneFinding, val: Predictions | None
) -> dict[str, Any]:
    """The threshold chosen on val and its results here; nulls with a note if there is none.

    Intervals take the threshold as given: they cover other patients here, not another threshold
    from other patients in val.
    """
    report: dict[str, Any] = dict.fromkeys(
        (
            "threshold",
            *_SHARES,
            *(f"{share}_ci" for share in _SHARES),
            *("ppv_natural", "npv_natural", "counts", "on_val", "note"),
        )
    )
    if val is None or name not in val.findings:
        return report | {"note": "no predictions on val, so no threshold can be chosen"}
    val_column = val.findings.index(name)
    val_labels_V = val.labels_NF[:, val_column]
    threshold = choose_threshold(rule, val_labels_V, val.scores_NF[:, val_column])
    positives_V = val_labels_V == PRESENT
    report["on_val"] = {
        "sensitivity": rounded(threshold.sensitivity),
        "specificity": rounded(threshold.specificity),
        "positives": int(positives_V.sum()),
        "positive_patients": len(np.unique(patients_or_images(val)[positives_V])),
    }
    if threshold.value is None:
        return report | {"note": threshold.reason}
    counts = called_counts(threshold.value, finding.labels_N, finding.scores_N)
    shares = {share: rounded(getattr(counts, share)) for share in _SHARES}
    return (
        report
        | {"threshold": threshold.value, "counts": asdict(counts)}
        | shares
        | _rounded_shares(finding, threshold.value)
        | _natural_shares(finding, threshold.value)
    )


def patients_or_images(predictions: Predictions) -> NDArray[np.int64]:
    """Patient numbers; an image of an unknown patient counts as a patient of its own.

    Such images are numbered by name, so that the order of rows doesn't change the draws.
    """
    unknown_N = predictions.patients == UNKNOWN_PATIENT
    if not unknown_N.any():
        return predictions.patients
    patients_N = predictions.patients.copy()
    names = predictions.images[unknown_N].astype(str)
    _, rank_U = np.unique(names, return_inverse=True)
    patients_N[unknown_N] = patients_N.max() + 1 + rank_U
    return patients_N


def rounded(value: float | None) -> float | None:
    """Round as in the report."""
    return None if value is None else round(float(value), _DIGITS)


def rounded_interval(interval: Interval | None) -> list[float] | None:
    """Round as in the report."""
    return None if interval is None else [round(end, _DIGITS) for end in interval]


def share_intervals(
    threshold: float,
    labels_N: NDArray[Any],
    scores_N: NDArray[Any],
    patients_N: NDArray[np.int64],
) -> dict[str, Interval | None]:
    """Intervals at a threshold: ``sensitivity_ci``, ``specificity_ci``, ``ppv_ci``, ``npv_ci``."""
    called_N = scores_N.astype(np.float64) >= threshold
    present_N, absent_N = labels_N == PRESENT, labels_N == ABSENT
    known_N = present_N | absent_N
    # In the order of _SHARES: of the positive, the negative, the called and the other images.
    wholes_N4 = np.column_stack([present_N, absent_N, known_N & called_N, known_N & ~called_N])
    parts_N4 = np.column_stack([called_N, ~called_N, present_N, absent_N]) & wholes_N4
    intervals = ratio_intervals(parts_N4, wholes_N4, patients_N)
    return {f"{share}_ci": ends for share, ends in zip(_SHARES, intervals, strict=True)}


def _rounded_shares(finding: OneFinding, threshold: float) -> dict[str, Any]:
    if not finding.with_intervals:
        return {}
    found = share_intervals(threshold, finding.labels_N, finding.scores_N, finding.patients_N)
    return {key: rounded_interval(interval) for key, interval in found.items()}


def _natural_shares(finding: OneFinding, threshold: float) -> dict[str, Any]:
    """PPV and NPV, with each image weighted by the number of images that it represents."""
    if finding.weights_N is None:
        return {}
    called_N = finding.scores_N.astype(np.float64) >= threshold

    def share(right_N: NDArray[np.bool_], chosen_N: NDArray[np.bool_]) -> float | None:
        assert finding.weights_N is not None
        known_N = chosen_N & ~np.isnan(finding.labels_N)
        whole = float(finding.weights_N[known_N].sum())
        return float(finding.weights_N[known_N & right_N].sum()) / whole if whole else None

    return {
        "ppv_natural": rounded(share(finding.labels_N == PRESENT, called_N)),
        "npv_natural": rounded(share(finding.labels_N == ABSENT, ~called_N)),
    }
