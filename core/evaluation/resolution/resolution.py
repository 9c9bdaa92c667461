"""What pixels are worth: the same images scored at several input sizes, with their lesions.

All sizes are scored on the same test images, so a gain has its own interval, in which easy and hard
patients cancel out. For a finding with boxes the positives are split into those with smaller and
those with larger lesions, each against all negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.tables.boxes import Boxes, LesionSizes, lesion_sizes
from core.evaluation.confidence import Interval
from core.evaluation.intervals import patient_bootstrap
from core.evaluation.metrics import TOO_FEW_PATIENTS, auroc, finding_figures, mean_over_defined
from core.evaluation.placements import gains
from core.evaluation.predictions import Predictions
from core.evaluation.report import LABELS_NOTE
from core.findings import PRESENT

HALVES = ("smaller_half", "larger_half")
_DIGITS = 6


@dataclass(frozen=True)
class ScoredSize:
    """One input size and its run's scores of the test part."""

    size_px: int
    test: Predictions


def compare_sizes(
    scored: Sequence[ScoredSize],
    boxes: Boxes | None,
    *,
    draws: int = 5000,
    seed: int = 0,
    labels_note: str = LABELS_NOTE,
) -> dict[str, Any]:
    """AUROC by finding and input size with the lesions' size, as JSON values.

    Findings are ordered by their median boxes, the smallest first; those without boxes come last.
    Under ``at`` each size has ``auroc``, ``auroc_ci``, ``median_box_px`` (width and height over all
    boxes, null without) and, if each half has enough patients, the same figures of the two halves.
    ``gain`` is from the smallest size to the largest.

    Args:
        scored: two or more sizes in ascending order, of the same images in the same order.
        boxes: in pixels of any size; None: there is no box table.
        draws: draws of patients for each interval; 0: none.
        seed: of those draws.
        labels_note: where the labels come from.
    """
    test = scored[0].test
    lesions = {one.size_px: {} if boxes is None else lesion_sizes(boxes, one.size_px)
               for one in scored}  # fmt: skip
    halves_of = {} if boxes is None else _halves_by_finding(test, boxes)
    at = {one.size_px: _figures_at(one, halves_of, draws, seed) for one in scored}
    order = sorted(
        test.findings, key=lambda finding: _longer_px(lesions[scored[0].size_px], finding)
    )
    first, last = scored[0], scored[-1]
    gained = dict(zip(test.findings, _gains(first.test, last.test, draws > 0), strict=True))
    return {
        "split": "test",
        "images": len(test.images),
        "patients": len(np.unique(test.patients)),
        "sizes_px": [one.size_px for one in scored],
        "findings": {
            finding: _finding(test, finding, lesions, at, halves_of.get(finding))
            | {"gain": gained[finding]}
            for finding in order
        },
        "mean_auroc": {str(size_px): figures.mean for size_px, figures in at.items()},
        "gain_px": [first.size_px, last.size_px],
        "labels_note": labels_note,
    }


@dataclass(frozen=True)
class _FiguresAt:
    """Figures at one input size: {"auroc": …, "auroc_ci": …} each."""

    of_finding: dict[str, dict[str, Any]]
    of_half: dict[tuple[str, str], dict[str, Any]]
    mean: dict[str, Any]


@dataclass(frozen=True)
class _Halves:
    """Labels of the test part with only one half's positives; the other positives are unknown."""

    labels_N: tuple[NDArray[np.float32], NDArray[np.float32]]
    cut_share: float
    """The longer side that divides them, as a share of the image's."""


def _figures_at(
    one: ScoredSize, halves_of: Mapping[str, _Halves], draws: int, seed: int
) -> _FiguresAt:
    test = one.test
    intervals = patient_bootstrap(
        test.labels_NF, test.scores_NF, test.patients, draws=draws, seed=seed
    )
    values = [auroc(test.labels_NF[:, column], test.scores_NF[:, column])
              for column in range(len(test.findings))]  # fmt: skip
    return _FiguresAt(
        of_finding={
            finding: _figure(value, interval)
            for finding, value, interval in zip(
                test.findings, values, intervals.auroc_F, strict=True
            )
        },
        of_half=_half_figures(test, halves_of, draws, seed),
        mean=_figure(mean_over_defined(values), intervals.mean_auroc),
    )


def _half_figures(
    test: Predictions, halves_of: Mapping[str, _Halves], draws: int, seed: int
) -> dict[tuple[str, str], dict[str, Any]]:
    names = [(finding, half) for finding in halves_of for half in HALVES]
    if not names:
        return {}
    labels_NH = np.column_stack([labels for of in halves_of.values() for labels in of.labels_N])
    columns = [test.findings.index(finding) for finding, _ in names]
    scores_NH = test.scores_NF[:, columns]
    intervals = patient_bootstrap(labels_NH, scores_NH, test.patients, draws=draws, seed=seed)
    return {
        name: _figure(auroc(labels_NH[:, column], scores_NH[:, column]), intervals.auroc_F[column])
        for column, name in enumerate(names)
    }


def _gains(before: Predictions, after: Predictions, with_intervals: bool) -> list[dict[str, Any]]:
    each, _ = gains(before.labels_NF, before.scores_NF, after.scores_NF, before.patients)
    return [_figure(gain.value, gain.interval if with_intervals else None) for gain in each]


def _finding(
    test: Predictions,
    finding: str,
    lesions: Mapping[int, Mapping[str, LesionSizes]],
    at: Mapping[int, _FiguresAt],
    halves: _Halves | None,
) -> dict[str, Any]:
    column = test.findings.index(finding)
    counts = finding_figures(test.labels_NF[:, column], test.scores_NF[:, column], test.patients)
    found: dict[str, Any] = {
        "positives": counts.positives,
        "positive_patients": counts.positive_patients,
        "boxes": next((of[finding].boxes for of in lesions.values() if finding in of), 0),
        "halves": None if halves is None else _half_counts(halves, test.patients),
        "at": {},
    }
    for size_px, figures in at.items():
        sizes = lesions[size_px].get(finding)
        box = None if sizes is None else [round(sizes.median_w_px, 2), round(sizes.median_h_px, 2)]
        found["at"][str(size_px)] = figures.of_finding[finding] | {"median_box_px": box}
        if halves is not None:
            found["at"][str(size_px)] |= {
                "halves_cut_px": round(halves.cut_share * size_px, 2),
                **{half: figures.of_half[finding, half] for half in HALVES},
            }
    return found


def _half_counts(halves: _Halves, patients_N: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    return {
        half: {
            "positives": int((labels_N == PRESENT).sum()),
            "positive_patients": len(np.unique(patients_N[labels_N == PRESENT])),
        }
        for half, labels_N in zip(HALVES, halves.labels_N, strict=True)
    }


def _halves_by_finding(test: Predictions, boxes: Boxes) -> dict[str, _Halves]:
    """The findings whose boxed positives can be split by size with enough patients in each half."""
    found = {finding: _halves(test, finding, boxes) for finding in test.findings}
    return {finding: halves for finding, halves in found.items() if halves is not None}


def _halves(test: Predictions, finding: str, boxes: Boxes) -> _Halves | None:
    labels_N = test.labels_NF[:, test.findings.index(finding)]
    of_finding = boxes.take(boxes.finding == finding)
    longer_of: dict[str, float] = {}
    for image, side in zip(
        of_finding.image, np.maximum(of_finding.w, of_finding.h) / boxes.size_px, strict=True
    ):
        # An image is as easy as the largest lesion on it.
        longer_of[str(image)] = max(float(side), longer_of.get(str(image), 0.0))
    longer_N = np.array([longer_of.get(str(image), np.nan) for image in test.images])
    longer_N[labels_N != PRESENT] = np.nan
    if np.isnan(longer_N).all():
        return None
    cut = float(np.nanmedian(longer_N))
    small_N, large_N = longer_N < cut, longer_N >= cut  # both False where there is no box
    if min(len(np.unique(test.patients[half_N])) for half_N in (small_N, large_N)) < (
        TOO_FEW_PATIENTS
    ):
        return None
    positive_N = labels_N == PRESENT

    def alone(half_N: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.where(positive_N & ~half_N, np.nan, labels_N).astype(np.float32)

    return _Halves((alone(small_N), alone(large_N)), cut)


def _longer_px(lesions: Mapping[str, LesionSizes], finding: str) -> float:
    return lesions[finding].median_longer_px if finding in lesions else np.inf


def _figure(value: float | None, interval: Interval | None) -> dict[str, Any]:
    return {
        "auroc": None if value is None else round(value, _DIGITS),
        "auroc_ci": None if interval is None else [round(end, _DIGITS) for end in interval],
    }
