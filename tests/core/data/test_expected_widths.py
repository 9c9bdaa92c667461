"""Expected widths of a test part's intervals: the published formula, and simulated patients."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_patients import simulated

from core.data.study.audit_report import width_in_words
from core.data.study.expected_widths import expected_intervals, hanley_mcneil
from core.evaluation.confidence import patient_codes
from core.evaluation.placements import auroc_interval, place


def test_the_standard_error_is_that_of_hanley_and_mcneils_own_example():
    assert hanley_mcneil(0.893, 51, 58) == pytest.approx(0.0325, abs=0.0005)


def test_images_of_one_patient_count_for_less_than_as_many_patients():
    labels_R1 = np.tile([1.0, 0.0, 0.0, 0.0], 100)[:, None]
    alone = expected_intervals(labels_R1, np.arange(400), ("Mass",))["findings"]["Mass"]
    shared = expected_intervals(labels_R1, np.arange(400) // 8 * 2, ("Mass",))["findings"]["Mass"]
    assert (alone["positive_patients"], alone["negative_patients"]) == (100, 300)
    assert alone["half_width"] == pytest.approx(1.96 * hanley_mcneil(0.8, 100, 300), abs=1e-4)
    assert shared["positive_patients"] == 50
    assert shared["half_width"] > 1.05 * alone["half_width"]
    needed = alone["positive_patients_needed"]
    assert 1.96 * hanley_mcneil(0.8, needed, 3 * needed) == pytest.approx(0.02, abs=2e-4)


def test_it_foretells_the_width_of_measured_intervals():
    ratios = []
    for seed in range(20):
        drawn = simulated(np.random.default_rng(seed), 1_000, np.array([0.1]), np.array([0.8]))
        expected = expected_intervals(drawn.labels_NF, drawn.patients_N, ("Mass",))["findings"]
        codes = patient_codes(drawn.patients_N)
        ends = auroc_interval(place(drawn.labels_NF[:, 0], drawn.scores_NF[:, 0], *codes))
        ratios.append(2 * expected["Mass"]["half_width"] / (ends[1] - ends[0]))
    assert 0.9 < np.mean(ratios) < 1.2, ratios


def test_a_finding_of_one_class_has_no_width_and_is_not_named():
    labels_RF = np.column_stack([np.zeros(50), np.arange(50) % 2, np.full(50, np.nan)])
    expected = expected_intervals(labels_RF, np.arange(50), ("Mass", "Edema", "Hernia"))
    assert expected["findings"]["Mass"]["half_width"] is None
    assert expected["findings"]["Hernia"]["positive_patients_needed"] is None
    assert "for Edema" in width_in_words(expected)
    assert "Mass" not in width_in_words(expected)
    assert width_in_words(expected_intervals(labels_RF[:, :1], np.arange(50), ("Mass",))) == ""
