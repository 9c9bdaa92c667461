"""Scores that were spoiled on their way to the AUROC are known for what they are."""

import numpy as np
import pytest

from core.evaluation.predictions import Predictions
from core.findings import FINDINGS
from core.health.diagnosis import Severity
from core.health.scores import check_our_scores, check_scores

IMAGES = 6000


def good_predictions(findings=FINDINGS, separation=1.5, seed=0):
    """As published ones are: calibrated, rare findings, a mean AUROC of about 0.85."""
    rng = np.random.default_rng(seed)
    prevalence_F = np.linspace(0.02, 0.2, len(findings))
    labels_NF = (rng.random((IMAGES, len(findings))) < prevalence_F).astype(np.float32)
    logits_NF = np.log(prevalence_F / (1 - prevalence_F)) - separation**2 / 2
    logits_NF = logits_NF + separation * (rng.normal(size=labels_NF.shape) + separation * labels_NF)
    return Predictions(
        images=np.array([f"{row:08d}.png" for row in range(IMAGES)], dtype=object),
        patients=np.arange(IMAGES) // 2,
        findings=tuple(findings),
        labels_NF=labels_NF,
        scores_NF=1 / (1 + np.exp(-logits_NF)),
    )


def spoilt(predictions, spoil):
    return Predictions(**{**vars(predictions), "scores_NF": spoil(predictions.scores_NF)})


def checks(predictions):
    return [found.check for found in check_scores(predictions)]


@pytest.mark.parametrize("seed", range(5))
def test_good_predictions_are_not_complained_of(seed):
    assert checks(good_predictions(seed=seed)) == []


@pytest.mark.parametrize("seed", range(5))
def test_weak_predictions_are_not_complained_of(seed):
    assert checks(good_predictions(seed=seed, separation=0.3)) == []


@pytest.mark.parametrize("seed", range(5))
def test_predictions_that_know_nothing_are_told_to_be_at_chance(seed):
    assert checks(good_predictions(seed=seed, separation=0.02)) == ["scores-at-chance"]


def test_scores_cut_to_integers_are_told_with_the_call_that_cuts():
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: scores.astype(int)))
    assert found.check == "scores-hard"
    assert found.severity is Severity.WARNING
    assert ".astype(int)" in found.text
    assert found.evidence["tied_pairs"] == 1.0
    assert found.evidence["mean_auroc"] == 0.5
    assert "probabilities" in found.remedy


def test_thresholded_scores_are_told():
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: (scores > 0.5).astype(int)))
    assert found.check == "scores-hard"
    assert "thresholded" in found.text
    assert 0.5 < found.evidence["mean_auroc"] < 0.75


def test_rounded_scores_are_told_by_their_ties():
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: np.round(scores, 1)))
    assert found.check == "scores-rounded"
    assert found.evidence["tied_pairs"] > 0.1


def test_a_sigmoid_on_probabilities_is_told_though_auroc_does_not_change():
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: 1 / (1 + np.exp(-scores))))
    assert found.check == "sigmoid-twice"
    assert found.evidence["lowest"] >= 0.5


def test_inverted_scores_are_told_beyond_chance():
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: 1 - scores))
    assert found.check == "scores-inverted"
    assert found.evidence["findings"] == len(FINDINGS)


def test_columns_in_alphabetical_order_are_told_as_swapped():
    order = np.argsort(FINDINGS)
    (found,) = check_scores(spoilt(good_predictions(), lambda scores: scores[:, order]))
    assert found.check == "columns-swapped"
    moved = sum(FINDINGS[place] != FINDINGS[order[place]] for place in range(len(FINDINGS)))
    assert found.evidence["own_column_wins"] == len(FINDINGS) - moved
    assert found.evidence["mean_auroc_if_moved"] > 0.8 > found.evidence["mean_auroc"]


def test_two_columns_swapped_are_named():
    def swap(scores):
        scores = scores.copy()
        scores[:, [3, 7]] = scores[:, [7, 3]]
        return scores

    (found,) = check_scores(spoilt(good_predictions(), swap))
    assert found.check == "columns-swapped"
    assert f"{FINDINGS[3]} in the column of {FINDINGS[7]}" in found.text


def test_probabilities_of_exactly_0_or_1_are_told():
    def saturate(scores):
        return np.where(np.arange(len(scores))[:, None] % 3 == 0, np.round(scores), scores)

    assert checks(spoilt(good_predictions(), saturate)) == ["scores-saturated"]


def test_few_positive_patients_speak_of_nothing():
    few = good_predictions()
    rare = np.where(few.patients[:, None] < 5, few.labels_NF, 0).astype(np.float32)
    few = Predictions(**{**vars(few), "labels_NF": rare})
    assert checks(spoilt(few, lambda scores: 1 - scores)) == []


def test_our_own_scores_cannot_have_been_squashed_twice_or_cut():
    for spoil in (
        lambda scores: 1 / (1 + np.exp(-scores)),
        lambda scores: np.minimum(scores, 0.5),
    ):
        assert check_our_scores(spoilt(good_predictions(), spoil)) == []


def test_a_network_at_chance_is_told_at_the_end_alone_and_as_a_note():
    at_chance = good_predictions(separation=0.02)
    assert check_our_scores(at_chance, in_training=True) == []
    (found,) = check_our_scores(at_chance)
    assert (found.check, found.severity) == ("scores-at-chance", Severity.NOTE)
