"""A share of tests/bench/compare_coverage.py, whose tables are in docs/compare.md."""

import compare_coverage
import numpy as np
from simulated_patients import simulated

from core.evaluation.comparing.differing import mean_auroc_differing
from core.evaluation.confidence import patient_codes


def test_equal_models_are_told_apart_about_as_often_as_5_percent_promises():
    found = compare_coverage.two_models(30, samples=120)
    assert len(found.told_apart.happened) > 330
    assert 0.01 < found.told_apart.share < 0.09
    assert found.any_told_apart.share < 0.1
    assert 0.91 < found.held_different.share < 0.99
    assert found.held_mean.share > 0.9
    many = compare_coverage.two_models(100, samples=60)
    assert 0.01 < many.told_apart.share < 0.1
    assert many.better_told.share > 2 * found.better_told.share


def test_two_groups_of_one_recipe_are_seldom_told_apart():
    for spread in (0.0, 0.5):
        told_apart, by_mean = compare_coverage.one_recipe_split(30, 3, spread, samples=60)
        assert told_apart.share < 0.07
        assert by_mean.share < 0.1


def test_a_better_recipe_is_told_though_seeds_vary():
    told = compare_coverage.Tally()
    for sample in range(30):
        rng = np.random.default_rng([11, sample])
        drawn = simulated(rng, 500, compare_coverage.PREVALENCE_F, compare_coverage.AUROC_F)
        codes_N, patients = patient_codes(drawn.patients_N)
        a, b = (
            [
                compare_coverage.placed_findings(
                    drawn.labels_NF,
                    drawn.scores_NF
                    + noise
                    * np.exp(0.15 * rng.normal())
                    * compare_coverage.own_noise(rng, codes_N, patients),
                    codes_N,
                    patients,
                )
                for _ in range(5)
            ]
            for noise in (0.9, 0.4)
        )
        told.add(compare_coverage.p_of(mean_auroc_differing(a, b, is_same=False)) < 0.05)
    assert told.share > 0.8
