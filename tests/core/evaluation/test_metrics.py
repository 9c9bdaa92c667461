"""AUROC, AUPRC, operating points, and what the table alone reaches."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.tables.label_columns import LabelTable
from core.data.tables.label_table import read_label_table
from core.errors import RecipeError
from core.evaluation.confidence import patient_codes
from core.evaluation.metrics import auprc, auroc, auroc_by_group, finding_figures
from core.evaluation.operating_points import (
    Rule,
    called_counts,
    choose_threshold,
    parse_rule,
)
from core.evaluation.patient_draws import areas_under_weights, rank_finding
from core.evaluation.table_baseline import table_alone
from core.findings import FINDINGS

# Few distinct scores, so that ties of every kind occur; unknown labels are common.
CASES = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, n, elements=st.sampled_from([0.0, 1.0, np.nan])),
        arrays(np.float32, n, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
        arrays(np.int64, n, elements=st.integers(0, 6)),
    )
)


def pairs_in_order(labels, scores, weights):
    """AUROC by its definition: every pair of a positive and a negative, one at a time."""
    won = pairs = 0.0
    for p in np.flatnonzero(labels == 1):
        for n in np.flatnonzero(labels == 0):
            weight = weights[p] * weights[n]
            pairs += weight
            won += weight * ((scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n]))
    return won / pairs if pairs else None


@settings(deadline=None)
@given(CASES)
def test_auroc_is_the_share_of_pairs_in_the_right_order(case):
    labels, scores, _ = case
    expected = pairs_in_order(labels, scores, np.ones(len(labels)))
    assert auroc(labels, scores) == (None if expected is None else pytest.approx(expected))


@settings(deadline=None)
@given(CASES, st.integers(0, 2**32 - 1))
def test_areas_under_patient_weights_are_those_of_sklearn_and_of_a_count_of_pairs(case, seed):
    labels, scores, patients = case
    codes, num_patients = patient_codes(patients)
    ranked = rank_finding(labels, scores, codes, num_patients)
    known = ~np.isnan(labels)
    if ranked is None:
        assert len(set(labels[known])) < 2
        return
    weights_PB = np.random.default_rng(seed).integers(0, 4, (num_patients, 5)).astype(float)
    auroc_B, auprc_B = areas_under_weights(ranked, weights_PB)
    for draw in range(5):
        weights = weights_PB[codes, draw]
        expected = pairs_in_order(labels, scores, weights)
        if expected is None:
            assert np.isnan(auroc_B[draw])
            assert np.isnan(auprc_B[draw])
            continue
        y, s, w = labels[known], scores[known], weights[known]
        assert auroc_B[draw] == pytest.approx(expected)
        assert auroc_B[draw] == pytest.approx(roc_auc_score(y, s, sample_weight=w))
        assert auprc_B[draw] == pytest.approx(average_precision_score(y, s, sample_weight=w))
        assert auroc(labels, scores, weights) == pytest.approx(expected)
        assert auprc(labels, scores, weights) == pytest.approx(auprc_B[draw])


def test_unknown_labels_are_neither_positive_nor_negative():
    labels = np.array([1, 0, np.nan, np.nan, 1, 0], dtype=np.float32)
    scores = np.array([0.9, 0.1, 0.0, 1.0, 0.4, 0.6])
    figures = finding_figures(labels, scores, np.arange(6))
    assert (figures.positives, figures.negatives, figures.prevalence) == (2, 2, 0.5)
    assert figures.auroc == 0.75


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ([0, 0, np.nan], "no positive image in test: AUROC needs both"),
        ([1, 1, np.nan], "no negative image in test: AUROC needs both"),
        ([np.nan] * 3, "no known label in test: AUROC needs positive and negative images"),
    ],
)
def test_one_class_has_no_auroc_and_says_why(labels, note):
    figures = finding_figures(np.array(labels), np.array([0.1, 0.2, 0.3]), np.arange(3))
    assert figures.auroc is None
    assert figures.auprc is None
    assert figures.notes == (note,)


def test_scores_cut_to_integers_have_an_auroc_of_a_half_and_a_note_that_names_the_mistake():
    labels = np.tile([0.0, 1.0], 100)
    probabilities = np.linspace(0.01, 0.9, 200)
    figures = finding_figures(labels, probabilities.astype(int), np.arange(200))
    assert figures.auroc == 0.5
    assert ".astype(int)" in figures.notes[0]


def test_thresholded_scores_get_a_note_and_probabilities_do_not():
    labels = np.tile([0.0, 1.0], 100)
    probabilities = np.linspace(0.01, 0.9, 200)
    assert (
        "two values, 0 and 1"
        in finding_figures(labels, probabilities > 0.5, np.arange(200)).notes[0]
    )
    assert finding_figures(labels, probabilities, np.arange(200)).notes == ()


def test_close_float32_scores_are_not_tied():
    smallest = np.float32(1e-45)
    scores = np.array([0.0, smallest, 2 * smallest, 3 * smallest], dtype=np.float32)
    assert auroc(np.array([0.0, 0.0, 1.0, 1.0]), scores) == 1.0


def test_auroc_within_a_view_sees_only_its_images():
    labels = np.array([1, 0, 1, 0, 1])
    scores = np.array([0.9, 0.1, 0.2, 0.8, 0.5])
    views = np.array(["PA", "PA", "AP", "AP", ""], dtype=object)
    assert auroc_by_group(labels, scores, views, ("PA", "AP", "LL")) == {
        "PA": 1.0,
        "AP": 0.0,
        "LL": None,
    }
    assert auroc_by_group(labels, scores, None, ("PA",)) == {"PA": None}


# Operating points


@settings(deadline=None)
@given(CASES, st.sampled_from(["youden", "sensitivity=0.8", "specificity=0.8"]))
def test_a_chosen_threshold_is_the_best_of_all_by_its_rule(case, text):
    labels, scores, _ = case
    threshold = choose_threshold(parse_rule(text), labels, scores)
    counts = [called_counts(cut, labels, scores) for cut in np.unique(scores[~np.isnan(labels)])]
    if threshold.value is None:
        assert threshold.reason
        known = labels[~np.isnan(labels)]
        if len(set(known)) == 2 and text == "youden":
            assert max(c.sensitivity + c.specificity - 1 for c in counts) <= 1e-9
        if len(set(known)) == 2 and text == "specificity=0.8":
            assert max(c.specificity for c in counts) < 0.8
        return
    chosen = called_counts(threshold.value, labels, scores)
    assert threshold.sensitivity == pytest.approx(chosen.sensitivity)
    assert threshold.specificity == pytest.approx(chosen.specificity)
    if text == "youden":
        best = max(c.sensitivity + c.specificity for c in counts)
        assert chosen.sensitivity + chosen.specificity == pytest.approx(best)
    elif text == "sensitivity=0.8":
        assert chosen.sensitivity >= 0.8 - 1e-9
        fitting = [c.specificity for c in counts if c.sensitivity >= 0.8 - 1e-9]
        assert chosen.specificity == pytest.approx(max(fitting))
    else:
        assert chosen.specificity >= 0.8 - 1e-9
        fitting = [c.sensitivity for c in counts if c.specificity >= 0.8 - 1e-9]
        assert chosen.sensitivity == pytest.approx(max(fitting))


@pytest.mark.parametrize(
    ("text", "labels", "scores", "gap"),
    [
        ("youden", [0, 0, 1, 1], [0.001, 0.01, 0.9, 0.95], (0.01, 0.9)),
        # Each gap's Youden index is 1/2; on the logit scale the lower one is wider.
        ("youden", [0, 1, 0, 1], [1e-6, 0.01, 0.5, 0.9], (1e-6, 0.01)),
        ("youden", [0, 1, 0, 1], [1e-3, 0.01, 0.5, 0.999], (0.5, 0.999)),
        ("sensitivity=0.5", [0, 0, 1, 1], [0.001, 0.01, 0.9, 0.95], (0.01, 0.9)),
        ("sensitivity=1", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9], (0.1, 0.2)),
        ("specificity=0.5", [0, 0, 1, 1], [0.001, 0.01, 0.9, 0.95], (0.01, 0.9)),
        ("specificity=1", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9], (0.3, 0.9)),
    ],
)
def test_a_threshold_is_the_middle_on_the_logit_of_the_gap_that_its_rule_chooses(
    text, labels, scores, gap
):
    rule = Rule(text.partition("=")[0], float(text.partition("=")[2] or 0))
    threshold = choose_threshold(rule, np.array(labels, float), np.array(scores))
    below, above = (math.log(score / (1 - score)) for score in gap)
    odds = threshold.value / (1 - threshold.value)
    assert math.log(odds) == pytest.approx((below + above) / 2)


@pytest.mark.parametrize(
    "scores",
    [[0.0, 0.2, 0.6, 0.7], [0.1, 0.2, 0.6, 1.0], [-7.0, 0.2, 0.6, 3.0], [0.1, 0.2, 0.6, 40]],
)
def test_scores_that_have_no_logit_are_halved_on_their_own_scale(scores):
    threshold = choose_threshold(Rule("youden"), np.array([0.0, 0, 1, 1]), np.array(scores))
    assert threshold.value == pytest.approx(0.4)


def test_where_all_images_must_be_called_the_lowest_score_is_the_threshold():
    labels, scores = np.array([1.0, 0, 1, 0]), np.array([0.2, 0.3, 0.4, 0.5])
    threshold = choose_threshold(parse_rule("sensitivity=0.9"), labels, scores)
    assert (threshold.value, threshold.sensitivity, threshold.specificity) == (0.2, 1, 0)


@pytest.mark.parametrize("below", [1e-300, 0.3, 1 - 2**-52, 5.0])
def test_a_threshold_parts_even_scores_that_are_neighbours_in_float64(below):
    scores = np.array([below, np.nextafter(below, np.inf)])
    threshold = choose_threshold(Rule("youden"), np.array([0.0, 1]), scores)
    assert (scores >= threshold.value).tolist() == [False, True]


def test_a_val_that_is_parted_without_a_fault_gives_a_threshold_that_holds_on_test():
    """On simulated logits: the lowest positive of a small val misses a positive in five later."""
    rng = np.random.default_rng(0)
    reached, at_lowest_positive, specificity = [], [], []
    for _ in range(200):
        labels = np.repeat([0.0, 1], [40, 5])
        scores = 1 / (1 + np.exp(-rng.normal(8 * labels - 6, 1.5)))
        test_labels = np.repeat([0.0, 1], [2000, 2000])
        test_scores = 1 / (1 + np.exp(-rng.normal(8 * test_labels - 6, 1.5)))
        threshold = choose_threshold(Rule("youden"), labels, scores)
        if (threshold.sensitivity, threshold.specificity) != (1, 1):
            continue
        on_test = called_counts(threshold.value, test_labels, test_scores)
        lowest = called_counts(scores[labels == 1].min(), test_labels, test_scores)
        reached.append(on_test.sensitivity)
        specificity.append(on_test.specificity)
        at_lowest_positive.append(lowest.sensitivity)
    assert len(reached) > 150
    assert np.mean(at_lowest_positive) < 0.85
    assert np.mean(reached) > 0.95
    assert np.mean(specificity) > 0.95


def test_predictive_values_are_shares_of_what_was_called_and_what_was_not():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, np.nan])
    scores = np.array([0.9, 0.8, 0.1, 0.7, 0.2, 0.2, 0.1, 0.9])
    counts = called_counts(0.7, labels, scores)
    assert (counts.true_positives, counts.false_negatives) == (2, 1)
    assert (counts.false_positives, counts.true_negatives) == (1, 3)
    assert counts.ppv == pytest.approx(2 / 3)
    assert counts.npv == pytest.approx(3 / 4)
    assert called_counts(2.0, labels, scores).ppv is None


@pytest.mark.parametrize("text", ["yuden", "sensitivity", "sensitivity=90", "specificity=x", ""])
def test_a_wrong_rule_is_refused_with_its_key(text):
    with pytest.raises(RecipeError, match=r"evaluate\.operating_point"):
        parse_rule(text)


# The table alone


def drawn_table(seed, images=2000):
    rng = np.random.default_rng(seed)
    age = np.where(rng.random(images) < 0.05, np.nan, rng.integers(1, 95, images))
    sex = rng.choice(np.array(["M", "F", ""], dtype=object), images)
    view = rng.choice(np.array(["PA", "AP"], dtype=object), images)
    follow_up = rng.integers(0, 30, images)
    by_view = rng.random(images) < np.where(view == "AP", 0.5, 0.1)
    by_chance = rng.random(images) < 0.3
    labels = np.stack([by_view, by_chance, np.zeros(images)], axis=1).astype(np.float32)
    rows = np.arange(images)
    return LabelTable(rows.astype(object), rows, DRAWN, labels, age, sex, view, follow_up)


DRAWN = ("Edema", "Mass", "Hernia")


def test_the_table_alone_finds_what_follows_from_the_view_and_nothing_where_nothing_is():
    train, test = drawn_table(0), drawn_table(1)
    alone = table_alone(train, test, DRAWN)
    assert alone.auroc_by_finding["Edema"] > 0.68
    assert abs(alone.auroc_by_finding["Mass"] - 0.5) < 0.06
    assert alone.auroc_by_finding["Hernia"] is None
    assert alone.mean == pytest.approx(
        (alone.auroc_by_finding["Edema"] + alone.auroc_by_finding["Mass"]) / 2
    )
    assert alone == table_alone(train, test, DRAWN)


COLUMNS = ("age_years_N", "sex_N", "view_N", "follow_up_N")


def test_the_table_alone_is_left_out_with_the_reason_where_it_lacks_something():
    table = drawn_table(0, images=20)
    bare = dataclasses.replace(table, **dict.fromkeys(COLUMNS))
    missing = table_alone(table, bare, DRAWN)
    assert missing.mean is None
    assert missing.reason == "the label table has no column of age, sex, view, follow-up number"
    less = table_alone(table, dataclasses.replace(table, view_N=None, sex_N=None), DRAWN)
    assert less.mean is not None
    assert less.columns == ("age", "follow-up number")
    unknown = np.full(len(table.images_N), "", dtype=object)
    no_age = np.full(len(table.images_N), np.nan)
    blank = dataclasses.replace(table, view_N=unknown, age_years_N=no_age)
    assert table_alone(blank, table, DRAWN).columns == ("sex", "follow-up number")
    for no_table in (None, table.take([])):
        no_train = table_alone(no_table, table, DRAWN)
        assert no_train.reason == "there is no train part to fit on"
        assert no_train.auroc_by_finding == dict.fromkeys(DRAWN)


def test_on_nihs_official_split_the_table_alone_reaches_what_was_measured():
    folder = os.environ.get("CXR_NIH_DIR")
    if not folder:
        pytest.skip("CXR_NIH_DIR is unset: the NIH tables are not here")
    nih = Path(folder)
    table = read_label_table(nih / "Data_Entry_2017_v2020.csv")
    in_test_names = set((nih / "test_list.txt").read_text().split())
    in_test = np.array([name in in_test_names for name in table.images_N])
    train, test = (table.take(np.flatnonzero(rows)) for rows in (~in_test, in_test))
    alone = table_alone(train, test, FINDINGS)
    assert 0.61 < alone.mean < 0.65
    assert 0.75 < alone.auroc_by_finding["Hernia"] < 0.92
