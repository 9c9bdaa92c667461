"""Differences between two data sets: do their intervals hold, and is each cause found?"""

import numpy as np
import pytest
from simulated_patients import simulated

from core.evaluation.external.because import Sample, because_of
from core.evaluation.external.case_mix import CaseMix
from core.evaluation.external.differences import (
    compared_mean,
    difference_interval,
    placed_pairs,
)
from core.evaluation.predictions import Predictions

PAIRS = 300


@pytest.mark.parametrize("auroc", [0.75, 0.93])
def test_a_95_percent_interval_of_the_difference_holds_0_in_95_of_100_pairs_without_one(auroc):
    rng = np.random.default_rng(7)
    held, held_mean = 0, 0
    for _ in range(PAIRS):
        sides = [
            predictions_of(simulated(rng, patients, np.array([0.2, 0.3]), np.array([auroc, 0.8])))
            for patients in (120, 200)
        ]
        pairs = placed_pairs(*sides)
        mean = compared_mean(sides[0].findings, pairs, with_intervals=True)
        first = compared_mean(("Mass",), pairs[:1], with_intervals=True)
        held += low_to_high_holds_0(first)
        held_mean += low_to_high_holds_0(mean)
    # 0.95 ± 2.6 standard errors of a share of 300
    assert 0.917 <= held / PAIRS <= 0.983
    assert 0.917 <= held_mean / PAIRS <= 0.983


def low_to_high_holds_0(compared):
    low, high = compared["difference_ci"]
    assert low < compared["difference"] < high
    return low <= 0 <= high


def predictions_of(sample):
    return Predictions(
        images=np.arange(len(sample.labels_NF)).astype(str).astype(object),
        patients=sample.patients_N,
        findings=("Mass", "Nodule"),
        labels_NF=sample.labels_NF,
        scores_NF=sample.scores_NF,
    )


def test_intervals_of_shares_add_up_by_their_distances():
    # Newcombe 1998, table II: 56/70 against 48/80, by Wilson's intervals 0.0524 to 0.3339.
    low, high = difference_interval(56 / 70, (0.6918, 0.8769), 48 / 80, (0.4905, 0.7003))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def images(rng, count, prevalence=0.3, apart=1.5):
    """Labels and calibrated probabilities of a normal score."""
    labels_N = (rng.random(count) < prevalence).astype(np.float32)
    scores_N = rng.normal(size=count) + apart * labels_N
    logits_N = apart * scores_N - apart**2 / 2 + np.log(prevalence / (1 - prevalence))
    return labels_N, logits_N


def sample(labels_N, logits_N):
    return Sample.of(labels_N, 1 / (1 + np.exp(-logits_N)))


def one_stratum(external, internal):
    return CaseMix(
        np.zeros(len(external), dtype=np.int64), np.zeros(len(internal), dtype=np.int64), ("sex",)
    )


def causes(external, internal, mix=None):
    found = because_of(
        sample(*external), sample(*internal), mix or one_stratum(external[0], internal[0])
    )
    difference = found["log_loss_difference"]
    assert difference == pytest.approx(found["log_loss"] - found["internal_log_loss"], abs=2e-6)
    assert sum(found["because_log_loss"].values()) == pytest.approx(difference, abs=1e-9)
    return found


def test_a_shift_of_all_logits_is_prevalence_and_a_stretch_is_calibration():
    rng = np.random.default_rng(1)
    labels_N, logits_N = images(rng, 20_000)
    shifted = causes((labels_N, logits_N + 1.3), (labels_N, logits_N))
    assert shifted["log_loss_difference"] > 0.1
    assert shifted["because_log_loss"]["prevalence"] == pytest.approx(
        shifted["log_loss_difference"], abs=1e-3
    )
    stretched = causes((labels_N, 3 * (logits_N - logits_N.mean())), (labels_N, logits_N))
    parts = stretched["because_log_loss"]
    assert parts["calibration"] > 0.1
    assert abs(parts["rest"]) < 1e-3
    for found in (shifted, stretched):
        assert found["because"] == {"case_mix": 0.0, "rest": 0.0}


def test_another_prevalence_alone_leaves_no_rest():
    rng = np.random.default_rng(2)
    rare_N, rare_logits_N = images(rng, 200_000, prevalence=0.1)
    kept_N = (rare_N == 1) | (rng.random(len(rare_N)) < 0.2)
    found = causes((rare_N[kept_N], rare_logits_N[kept_N]), (rare_N, rare_logits_N))
    parts = found["because_log_loss"]
    assert found["log_loss_difference"] > 0.1
    assert parts["prevalence"] == pytest.approx(found["log_loss_difference"], abs=0.005)
    assert abs(parts["rest"]) < 0.005
    assert found["because"]["case_mix"] == 0.0


def test_a_set_with_more_of_the_hard_patients_differs_by_its_case_mix():
    rng = np.random.default_rng(3)

    def set_of(easy, hard):
        both = [images(rng, easy, apart=3.0), images(rng, hard, apart=0.7)]
        labels_N, logits_N = (np.concatenate(parts) for parts in zip(*both, strict=True))
        return (labels_N, logits_N), np.repeat([1, 2], [easy, hard])

    internal, internal_strata = set_of(30_000, 10_000)
    external, external_strata = set_of(10_000, 30_000)
    found = causes(external, internal, CaseMix(external_strata, internal_strata, ("age decade",)))
    assert sum(found["because"].values()) < -0.1
    assert abs(found["because"]["rest"]) < 0.01
    assert abs(found["because_log_loss"]["rest"]) < 0.01
    assert found["because_log_loss"]["case_mix"] > 0.1
    assert found["case_mix"]["covered"] == 1.0


def test_a_perfect_ranking_and_certain_scores_still_have_parts_that_sum():
    labels_N = np.repeat([0, 1], 30).astype(np.float32)
    certain_N = np.where(labels_N == 1, 600.0, -600.0)
    rng = np.random.default_rng(4)
    found = causes((labels_N, certain_N), images(rng, 400))
    assert found["because_log_loss"]["rest"] < 0


def test_without_the_sessions_table_case_mix_is_unknown_and_the_rest_is_all():
    rng = np.random.default_rng(5)
    external, internal = images(rng, 500, apart=1.0), images(rng, 500)
    found = because_of(sample(*external), sample(*internal), None)
    assert found["because"]["case_mix"] is None
    assert found["because"]["rest"] < 0
    assert found["case_mix"]["note"]


def test_a_part_varies_as_when_one_patient_after_the_other_is_left_out():
    rng = np.random.default_rng(6)
    sides = []
    for stretch in (1.8, 1.0):  # three images a patient, in two strata
        labels_N, logits_N = images(rng, 270)
        scores_N = 1 / (1 + np.exp(-stretch * logits_N))
        sides.append((labels_N, scores_N, np.repeat(np.arange(90), 3), rng.integers(0, 2, 270)))

    def parts(external, internal, with_intervals=False):
        samples = [Sample.of(*side[:3]) for side in (external, internal)]
        mix = CaseMix(external[3], internal[3], ("sex",))
        return because_of(*samples, mix, with_intervals=with_intervals)

    def without(side, patient):
        return tuple(values[side[2] != patient] for values in side)

    whole = parts(*sides, with_intervals=True)
    for of in ("because", "because_log_loss"):
        assert set(whole[f"{of}_ci"]) == set(whole[of])
    variances = dict.fromkeys([*whole["because"], *whole["because_log_loss"]], 0.0)
    for place in (0, 1):
        left = []
        for patient in range(90):
            changed = [
                without(side, patient) if at == place else side for at, side in enumerate(sides)
            ]
            found = parts(*changed)
            left.append({**found["because_log_loss"], "auroc_rest": found["because"]["rest"]})
        for name in left[0]:
            values = np.array([one[name] for one in left])
            variances[name] = variances.get(name, 0.0) + 89 * values.var()
    for name, (of, part) in {
        "auroc_rest": ("because", "rest"),
        "prevalence": ("because_log_loss", "prevalence"),
        "calibration": ("because_log_loss", "calibration"),
        "rest": ("because_log_loss", "rest"),
    }.items():
        low, high = whole[f"{of}_ci"][part]
        halves = (high - low) / 2 / np.sqrt(variances[name])
        assert 1.8 < halves < 2.4, name  # Student's t, and a factor for few patients
