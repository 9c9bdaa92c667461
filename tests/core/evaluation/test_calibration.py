"""Calibration figures: as scikit-learn and statsmodels compute them, and with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from simulated_calibration import Network, intervals
from simulated_patients import simulated
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from core.evaluation.calibrating.calibration import calibration_figures
from core.evaluation.calibrating.calibration_report import calibration_json
from core.evaluation.calibrating.corp import brier_parts
from core.evaluation.calibrating.decision_curve import decision_curve

PREVALENCE = 0.08


def _scored(seed: int = 0, patients: int = 600, bend: float = 0.6, shift: float = 0.5):
    """Labels, probabilities that are too extreme and too high, and patients."""
    drawn = simulated(
        np.random.default_rng(seed), patients, np.array([PREVALENCE]), np.array([0.8])
    )
    true_N = logit(PREVALENCE) + drawn.scores_NF[:, 0] * 1.19 - 1.19**2 / 2
    return drawn.labels_NF[:, 0], expit((true_N + shift) / bend), drawn.patients_N


def test_intercept_and_slope_are_those_of_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    labels_N, scores_N, patients_N = _scored()
    figures = calibration_figures(labels_N, scores_N, patients_N)
    binomial = sm.families.Binomial()
    large = sm.GLM(labels_N, np.ones_like(scores_N), binomial, offset=logit(scores_N)).fit(
        tol=1e-14
    )
    sloped = sm.GLM(labels_N, sm.add_constant(logit(scores_N)), binomial).fit(
        tol=1e-14, cov_type="cluster", cov_kwds={"groups": patients_N}
    )
    assert figures.intercept.value == pytest.approx(large.params[0], abs=1e-6)
    assert figures.slope.value == pytest.approx(sloped.params[1], abs=1e-6)
    low, high = figures.slope.interval
    # Theirs is the plain sandwich with a normal quantile, which is a little narrower.
    assert 1.0 <= (high - low) / (2 * 1.96 * sloped.bse[1]) < 1.2


def test_the_brier_score_and_its_parts_are_those_of_scikit_learn():
    labels_N, scores_N, patients_N = _scored()
    scores_N = np.round(scores_N, 3)  # with ties
    figures = calibration_figures(labels_N, scores_N, patients_N)
    again_N = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores_N, labels_N)
    recalibrated = brier_score_loss(labels_N, again_N)
    uncertainty = labels_N.mean() * (1 - labels_N.mean())
    assert figures.brier.value == pytest.approx(brier_score_loss(labels_N, scores_N), abs=1e-6)
    assert figures.parts is not None
    assert figures.parts.miscalibration == pytest.approx(
        figures.brier.value - recalibrated, abs=1e-6
    )
    assert figures.parts.discrimination == pytest.approx(uncertainty - recalibrated, abs=1e-6)
    assert figures.scaled_brier.value == pytest.approx(
        1 - figures.brier.value / uncertainty, abs=1e-6
    )


def test_the_parts_of_the_brier_score_sum_to_it_even_rounded():
    for seed in range(20):
        found = calibration_json(calibration_figures(*_scored(seed, patients=60)))
        whole = found["miscalibration"] - found["discrimination"] + found["uncertainty"]
        assert whole == pytest.approx(found["brier"], abs=1e-12)
        exact = brier_parts(_scored(seed)[1], _scored(seed)[0] == 1)
        whole = exact.miscalibration - exact.discrimination + exact.uncertainty
        assert whole == pytest.approx(exact.brier, abs=1e-15)


def test_scores_that_are_too_high_and_too_extreme_are_told_as_such():
    figures = calibration_figures(*_scored(patients=2000))
    assert figures.slope.interval[0] < 0.6 < figures.slope.interval[1] < 0.8
    assert figures.error.value > figures.error.limit
    right = calibration_figures(*_scored(patients=2000, bend=1, shift=0))
    assert right.slope.interval[0] < 1 < right.slope.interval[1]
    assert right.intercept.interval[0] < 0 < right.intercept.interval[1]
    assert right.observed_expected.interval[0] < 1 < right.observed_expected.interval[1]
    assert right.error.value < right.error.limit


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], "no positive image"),
        ([1, 1, 1, 1], [0.1, 0.2, 0.3, 0.4], "no negative image"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "separate"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.4], "separate"),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3], "all scores are equal"),
        ([0, 1, 0, 1], [-1.5, 0.3, 0.3, 2.0], "no probabilities"),
        ([np.nan] * 4, [0.1, 0.2, 0.3, 0.4], "no label is known"),
    ],
)
def test_what_cannot_be_fitted_is_null_with_the_reason(labels, scores, said):
    found = calibration_json(
        calibration_figures(np.array(labels, float), np.array(scores), np.arange(4))
    )
    assert (found["slope"], found["slope_ci"]) == (None, None)
    assert said in found["note"]
    assert all(value is None or not np.isnan(np.asarray(value, float)).any()
               for key, value in found.items() if key != "note")  # fmt: skip


def test_scores_of_exactly_0_or_1_move_inside_and_are_counted():
    labels_N, scores_N, patients_N = _scored()
    coarse_N = np.round(scores_N, 1)
    assert (coarse_N == 0).sum() > 100
    found = calibration_json(calibration_figures(labels_N, coarse_N, patients_N))
    assert 0 < found["slope"] < 1.5
    assert "exactly 0 or 1" in found["note"]


def test_few_patients_have_figures_without_intervals():
    labels_N = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 0], float)
    scores_N = np.linspace(0.9, 0.1, 10)
    patients_N = np.array([1, 1, 1, 2, 3, 4, 5, 6, 7, 8])
    found = calibration_json(calibration_figures(labels_N, scores_N, patients_N))
    assert found["slope"] is not None
    assert (found["slope_ci"], found["brier_ci"]) == (None, None)
    assert "too few for an interval" in found["note"]


def test_net_benefit_counts_cases_against_false_alarms():
    labels_N = np.array([1, 1, 0, 0, 0, np.nan])
    scores_N = np.array([0.9, 0.1, 0.8, 0.05, 0.3, 0.9])
    curve = decision_curve(labels_N, scores_N, np.arange(6), (0.2, 0.5))
    # At 0.2: one case found, two false alarms at 1 to 4; at 0.5 one and one at 1 to 1.
    assert [one.value for one in curve.model_T] == pytest.approx([(1 - 2 / 4) / 5, 0.0])
    assert curve.treat_all_T == pytest.approx(((2 - 3 / 4) / 5, (2 - 3) / 5))
    assert curve.gain_T[0].value == pytest.approx((1 - 2 / 4) / 5 - (2 - 3 / 4) / 5)
    assert curve.gain_T[1].value == pytest.approx(0.0)  # treating none is the better default


def test_scores_that_are_no_probabilities_have_no_decision_curve():
    curve = decision_curve(np.array([0.0, 1, 0]), np.array([-3.0, 2, 1]), np.arange(3))
    assert curve.thresholds_T == ()
    assert "no probabilities" in curve.note


def test_intervals_hold_the_truth_on_clustered_patients():
    """A share of tests/bench/calibration_coverage.py."""
    network = Network(bend=0.7, shift=0.4)
    truth = network.truth()
    held = {name: [] for name in truth}
    for each in intervals(30, 200, network=network):
        for name, value in truth.items():
            assert each[name] is not None or "gain" in name or "net" in name
            if each[name] is not None:
                held[name].append(each[name][0] <= value <= each[name][1])
    for name in truth:
        assert len(held[name]) > 190
        assert np.mean(held[name]) > 0.9, name  # of 95 %; 1.5 % is the error of 200
        assert name != "slope" or np.mean(held[name]) < 0.99
