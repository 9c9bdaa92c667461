"""AUROC of the label table without images: from those of age, sex, view, follow-up that it has.

Portable (AP) images are of sicker patients, and so is a long follow-up. A network that doesn't beat
this may have learnt nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.tables.label_columns import LabelTable
from core.evaluation.metrics import auroc, mean_over_defined
from core.findings import ABSENT, PRESENT

_COLUMN_NAMES = {
    "age_years_N": "age",
    "sex_N": "sex",
    "view_N": "view",
    "follow_up_N": "follow-up number",
}


@dataclass(frozen=True)
class TableAlone:
    """AUROC of the table alone; ``reason`` says why there is none.

    Attributes:
        scores_MF: its score of each of the M images, NaN for a finding that it could not be fitted
            on; None if there is a reason.
        columns: names of the table's columns that it was fitted on.
    """

    auroc_by_finding: dict[str, float | None]
    mean: float | None
    reason: str | None
    scores_MF: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    columns: tuple[str, ...] = ()


def table_alone(
    train: LabelTable | None, test: LabelTable | None, findings: Sequence[str]
) -> TableAlone:
    """Fit a scikit-learn model on the train part's columns and score the test part's.

    One small gradient boosting model of shallow trees per finding, deterministic, about 0.1 s each
    on all of NIH. A finding that lacks a class in either part is None, and the mean is over the
    others. Images with an unknown label are left out.

    Args:
        train, test: of N train and M test images; None if the part is missing.
        findings: names of the F findings.
    """
    reason = _why_not("train", train) or _why_not("test", test)
    if train is not None and test is not None and not (reason or _columns_of(train, test)):
        reason = f"the label table has no column of {', '.join(_COLUMN_NAMES.values())}"
    if train is None or test is None or reason:
        return TableAlone(dict.fromkeys(findings), None, reason)
    columns = _columns_of(train, test)
    train_rows, test_features_NC = (
        _distinct_rows(_features(train, columns)),
        _features(test, columns),
    )
    scores_MF = np.column_stack(
        [
            _scores_of_table(train_rows, train.labels_of(finding), test_features_NC)
            for finding in findings
        ]
    )
    by_finding = {
        finding: None
        if np.isnan(scores_MF[:, column]).any()
        else auroc(test.labels_of(finding), scores_MF[:, column])
        for column, finding in enumerate(findings)
    }
    mean = mean_over_defined(list(by_finding.values()))
    reason = "no finding has both classes in train and test" if mean is None else None
    names = tuple(_COLUMN_NAMES[name] for name in columns)
    return TableAlone(by_finding, mean, reason, scores_MF, names)


def _why_not(part: str, table: LabelTable | None) -> str | None:
    if table is None or len(table.images_N) == 0:
        return f"there is no {part} part to {'fit on' if part == 'train' else 'score'}"
    return None


def _columns_of(*tables: LabelTable) -> list[str]:
    """The columns in which each of the tables knows something."""
    return [name for name in _COLUMN_NAMES if all(_knows(table, name) for table in tables)]


def _knows(table: LabelTable, name: str) -> bool:
    values_N = getattr(table, name)
    if values_N is None:
        return False
    missing_N = np.isnan(values_N) if name == "age_years_N" else values_N == ""
    return bool(len(values_N)) and not bool(np.all(missing_N))


def _features(table: LabelTable, columns: Sequence[str]) -> NDArray[np.float64]:
    """N × C: those of age, sex, view and follow-up that the table has, NaN where missing."""

    def one_of(values_N: NDArray[Any] | None, low: str, high: str) -> NDArray[np.float64]:
        return np.where(values_N == high, 1.0, np.where(values_N == low, 0.0, np.nan))

    numbers = {
        "age_years_N": table.age_years_N,
        "sex_N": one_of(table.sex_N, "F", "M"),
        "view_N": one_of(table.view_N, "PA", "AP"),
        "follow_up_N": table.follow_up_N,
    }
    return np.stack([np.asarray(numbers[name], dtype=np.float64) for name in columns], axis=1)


@dataclass(frozen=True)
class _DistinctRows:
    """The distinct rows of the train part: most of NIH's images share theirs with others."""

    features_UC: NDArray[np.float64]
    row_of_image_N: NDArray[np.intp]

    def counted(self, present_N: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Number of these images that share each distinct row."""
        rows = self.row_of_image_N[present_N]
        return np.bincount(rows, minlength=len(self.features_UC)).astype(np.float64)


def _distinct_rows(features_NC: NDArray[np.float64]) -> _DistinctRows:
    features_UC, row_of_image_N = np.unique(features_NC, axis=0, return_inverse=True)
    return _DistinctRows(features_UC, row_of_image_N.reshape(-1))


def _scores_of_table(
    train: _DistinctRows, train_labels_N: NDArray[Any], test_MC: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A score for each of M images; NaN if train lacks a class."""
    # Slow to import, so only commands that score import it.
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
    # Shallow and regularised: a rare finding (Hernia, 0.2 %) is soon memorised otherwise.
    model = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.05,
        max_depth=3,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=0,
    )
    # One thread: the trees are so small that threads waiting for each other on a busy machine take
    # twenty times as long.
    with threadpool_limits(limits=1):
        model.fit(features_RC[there_R], present_R[there_R], sample_weight=weights_R[there_R])
        scores_M: NDArray[np.float64] = model.decision_function(test_MC)
        return scores_M
