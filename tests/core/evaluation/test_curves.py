"""ROC curves, calibration and the most wrong images, against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.curves import calibration, most_wrong, roc_curve, score_spread
from core.evaluation.metrics import auroc

NAN = np.nan


def area(curve) -> float:
    xs, ys = np.array(curve.false_positive_rate), np.array(curve.sensitivity)
    return float(np.sum(np.diff(xs) * (ys[1:] + ys[:-1]) / 2))


def drawn(number: int, seed: int = 0, levels: int | None = None):
    rng = np.random.default_rng(seed)
    labels_N = (rng.random(number) < 0.3).astype(np.float32)
    scores_N = rng.normal(labels_N, 1.0)
    if levels is not None:
        scores_N = np.round(scores_N * levels) / levels
    return labels_N, scores_N


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.integers(0, 1000), st.sampled_from([1, 3, None]))
def test_the_area_under_an_unthinned_curve_is_the_auroc(seed, levels):
    labels_N, scores_N = drawn(120, seed, levels)
    assert area(roc_curve(labels_N, scores_N)) == pytest.approx(auroc(labels_N, scores_N))


def test_a_thinned_curve_has_few_points_and_nearly_the_same_area():
    labels_N, scores_N = drawn(20_000)
    curve = roc_curve(labels_N, scores_N, max_points=100)
    assert len(curve.sensitivity) <= 100
    assert area(curve) == pytest.approx(auroc(labels_N, scores_N), abs=0.002)
    ends = (curve.false_positive_rate[0], curve.sensitivity[0])
    assert ends == (0.0, 0.0)
    assert (curve.false_positive_rate[-1], curve.sensitivity[-1]) == (1.0, 1.0)


def test_constant_scores_are_the_diagonal():
    curve = roc_curve(np.array([0.0, 1.0, 0.0]), np.array([0.2, 0.2, 0.2]))
    assert curve.false_positive_rate == (0.0, 1.0)
    assert curve.sensitivity == (0.0, 1.0)


@pytest.mark.parametrize("label", [0.0, 1.0, NAN])
def test_one_class_has_no_curve(label):
    labels_N, scores_N = np.full(4, label), np.array([0.1, 0.2, 0.3, 0.4])
    assert roc_curve(labels_N, scores_N) is None
    assert score_spread(labels_N, scores_N) is None


def test_unknown_labels_are_left_out():
    labels_N = np.array([0, 1, NAN, 0, 1], dtype=np.float32)
    scores_N = np.array([0.1, 0.9, 1.0, 0.2, 0.8])
    assert area(roc_curve(labels_N, scores_N)) == 1.0
    assert calibration(labels_N, scores_N).num_images == (4,)
    highest, lowest = most_wrong(labels_N, scores_N, 10)
    assert highest.tolist() == [3, 0]
    assert lowest.tolist() == [4, 1]


def test_calibrated_scores_lie_on_the_diagonal():
    rng = np.random.default_rng(1)
    scores_N = rng.random(50_000)
    labels_N = (rng.random(50_000) < scores_N).astype(np.float32)
    groups = calibration(labels_N, scores_N)
    assert len(groups.mean_score) == 10
    assert set(groups.num_images) == {5_000}
    assert groups.share_present == pytest.approx(groups.mean_score, abs=0.03)


def test_equal_scores_stay_in_one_calibration_group():
    labels_N = np.array([0.0] * 50 + [1.0] * 50)
    groups = calibration(labels_N, np.full(100, 0.25))
    assert groups.num_images == (100,)
    assert groups.share_present == (0.5,)


def test_score_shares_sum_to_one_for_each_label():
    spread = score_spread(*drawn(500))
    assert sum(spread.present) == pytest.approx(1)
    assert sum(spread.absent) == pytest.approx(1)


def test_the_most_wrong_come_first_and_no_more_than_asked():
    labels_N = np.array([0, 0, 0, 1, 1], dtype=np.float32)
    highest, lowest = most_wrong(labels_N, np.array([0.1, 0.9, 0.9, 0.3, 0.2]), 2)
    assert highest.tolist() == [1, 2]
    assert lowest.tolist() == [4, 3]
