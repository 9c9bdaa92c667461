"""What the label table reaches without an image: AUROC from age, sex, view and follow-up.

A ward's portable (AP) images are of sicker patients, and a long follow-up is one of an ill
patient. A network that doesn't beat this has perhaps read nothing but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.metrics import auroc, mean_over_defined
from core.findings import ABSENT, PRESENT

_COLUMN_NAMES = {
    "age_years": "age",
    "sex": "sex",
    "view": "view position",
    "follow_up": "follow-up number",
}


@dataclass(frozen=True)
class TableColumns:
    """What a label table says of N images beside their findings; None where it lacks a column.

    Attributes:
        age_years: NaN where missing.
        sex: ``M``, ``F`` or empty.
        view: ``PA``, ``AP`` or empty.
        follow_up: number of the image in its patient's series.
    """

    age_years: NDArray[Any] | None
    sex: NDArray[Any] | None
    view: NDArray[Any] | None
    follow_up: NDArray[Any] | None


@dataclass(frozen=True)
class TableAlone:
    """AUROC that the table alone reaches; ``reason`` says why there is none.

    Attributes:
        scores_MF: what it says of each of the M images scored, NaN for a finding that it could not
            be fitted on; None where there is a reason.
    """

    auroc_by_finding: dict[str, float | None]
    mean: float | None
    reason: str | None
    scores_MF: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)


def table_alone(
    train: TableColumns | None,
    test: TableColumns | None,
    train_labels_NF: NDArray[Any] | None,
    test_labels_NF: NDArray[Any] | None,
    findings: Sequence[str],
) -> TableAlone:
    """Fit a scikit-learn model on the train part's columns and score the test part's.

    A small gradient boosting of shallow trees a finding, deterministic, about 0.1 s each on
    all of NIH. A finding that lacks a class in either part has None, and the mean is over
    the others.

    Args:
        train, test: columns of N train and M test images; None where the part is missing.
        train_labels_NF, test_labels_NF: 1, 0 or NaN (unknown: left out).
        findings: names of the F columns.
    """
    reason = _why_not("train", train, train_labels_NF) or _why_not("test", test, test_labels_NF)
    if train is None or test is None or train_labels_NF is None or test_labels_NF is None or reason:
        return TableAlone(dict.fromkeys(findings), None, reason)
    train_rows, test_features_NC = _distinct_rows(_features(train)), _features(test)
    scores_MF = np.column_stack(
        [
            _scores_of_table(train_rows, train_labels_NF[:, column], test_features_NC)
            for column in range(len(findings))
        ]
    )
    by_finding = {
        finding: None
        if np.isnan(scores_MF[:, column]).any()
        else auroc(test_labels_NF[:, column], scores_MF[:, column])
        for column, finding in enumerate(findings)
    }
    mean = mean_over_defined(list(by_finding.values()))
    reason = "no finding has both classes in train and test" if mean is None else None
    return TableAlone(by_finding, mean, reason, scores_MF)


def _why_not(part: str, columns: TableColumns | None, labels_NF: NDArray[Any] | None) -> str | None:
    if columns is None or labels_NF is None or len(labels_NF) == 0:
        return f"there is no {part} part to {'fit on' if part == 'train' else 'score'}"
    missing = [name for field, name in _COLUMN_NAMES.items() if getattr(columns, field) is None]
    return f"the label table has no {', '.join(missing)} column" if missing else None


def _features(columns: TableColumns) -> NDArray[np.float64]:
    """N × 4: age, sex, view and follow-up as numbers, NaN where missing."""

    def one_of(values_N: NDArray[Any], low: str, high: str) -> NDArray[np.float64]:
        return np.where(values_N == high, 1.0, np.where(values_N == low, 0.0, np.nan))

    assert columns.age_years is not None
    assert columns.sex is not None
    assert columns.view is not None
    assert columns.follow_up is not None
    return np.stack(
        [
            columns.age_years.astype(np.float64),
            one_of(columns.sex, "F", "M"),
            one_of(columns.view, "PA", "AP"),
            columns.follow_up.astype(np.float64),
        ],
        axis=1,
    )


@dataclass(frozen=True)
class _DistinctRows:
    """The train part's rows, each once: most of NIH's images share theirs with others."""

    features_UC: NDArray[np.float64]
    row_of_image_N: NDArray[np.intp]

    def counted(self, present_N: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How many of these images each distinct row stands for."""
        rows = self.row_of_image_N[present_N]
        return np.bincount(rows, minlength=len(self.features_UC)).astype(np.float64)


def _distinct_rows(features_NC: NDArray[np.float64]) -> _DistinctRows:
    features_UC, row_of_image_N = np.unique(features_NC, axis=0, return_inverse=True)
    return _DistinctRows(features_UC, row_of_image_N.reshape(-1))


def _scores_of_table(
    train: _DistinctRows, train_labels_N: NDArray[Any], test_MC: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A score for each of M images; NaN where train lacks a class."""
    # Slow to import, so only a command that scores pays.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    positives_U = train.counted(train_labels_N == PRESENT)
    negatives_U = train.counted(train_labels_N == ABSENT)
    if not positives_U.any() or not negatives_U.any():
        return np.full(len(test_MC), np.nan)
    weights_R = np.concatenate([positives_U, negatives_U])
    features_RC = np.concatenate([train.features_UC, train.features_UC])
    present_R = np.repeat([True, False], len(train.features_UC))
    there_R = weights_R > 0
    # Shallow and damped: a rare finding (Hernia, 0.2 %) is soon learnt by heart otherwise.
    model = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.05,
        max_depth=3,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    # One thread: the trees are so small that threads which wait for each other on a busy
    # machine take twenty times as long.
    with threadpool_limits(limits=1):
        model.fit(features_RC[there_R], present_R[there_R], sample_weight=weights_R[there_R])
        scores_M: NDArray[np.float64] = model.decision_function(test_MC)
        return scores_M
