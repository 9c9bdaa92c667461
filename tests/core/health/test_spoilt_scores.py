"""Good predictions of NIH's size, spoilt in each way that people spoil theirs, and told by name.

The predictions are simulated, so that nothing of NIH is needed. Each fault has healthy twins, which
nobody is to be told of.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from simulated_scores import nih_like

from core.evaluation.metrics import auroc
from core.findings import FINDINGS
from core.health.diagnosis import Severity
from core.health.score_columns import columns_of, mean_area
from core.health.scores import check_scores

RARE, COMMON, OTHER = (FINDINGS.index(name) for name in ("Hernia", "Infiltration", "Fibrosis"))


@pytest.fixture(scope="module")
def good():
    """Its rare finding has as few positive patients as NIH's."""
    predictions = nih_like(seed=1)
    patients = predictions.patients[predictions.labels_NF[:, RARE] == 1]
    assert 10 < len(np.unique(patients)) < 25
    return predictions


@pytest.fixture(scope="module")
def small():
    """Of a tenth of the patients: what is told of large files is told of small ones."""
    return nih_like(280, seed=2)


def told(predictions, **known):
    return [(found.check, found.severity) for found in check_scores(predictions, **known)]


def spoilt(predictions, spoil):
    return replace(predictions, scores_NF=spoil(predictions.scores_NF, predictions))


def in_column(place, values):
    """The same with one column of other values."""

    def spoil(scores_NF, predictions):
        scores_NF = scores_NF.copy()
        scores_NF[:, place] = values(scores_NF[:, place], predictions)
        return scores_NF

    return spoil


def order_of(one, other):
    """Two columns changed for each other."""
    order = np.arange(len(FINDINGS))
    order[[one, other]] = other, one
    return order


def rng():
    return np.random.default_rng(0)


def logits(scores_NF):
    return np.log(scores_NF / (1 - scores_NF))


def softmax(scores_NF, _):
    odds_NF = np.exp(logits(scores_NF))
    return odds_NF / odds_NF.sum(axis=1, keepdims=True)


def shuffled_in_batches(size):
    def spoil(scores_NF, _):
        pieces = np.split(np.arange(len(scores_NF)), range(size, len(scores_NF), size))
        generator = rng()
        return scores_NF[np.concatenate([generator.permutation(piece) for piece in pieces])]

    return spoil


def noise(scores_N, _):
    return 0.1 + 1e-9 * rng().standard_normal(len(scores_N))


SPOILT = {
    "image names shuffled": (
        lambda scores, _: scores[rng().permutation(len(scores))],
        "rows-misaligned",
    ),
    "shuffled in batches of 64": (shuffled_in_batches(64), "rows-misaligned"),
    "shuffled in batches of 8": (shuffled_in_batches(8), "rows-misaligned"),
    "one row down": (lambda scores, _: np.roll(scores, 1, axis=0), "rows-misaligned"),
    "three rows up": (lambda scores, _: np.roll(scores, -3, axis=0), "rows-misaligned"),
    "one row missing halfway": (
        lambda scores, _: np.delete(np.vstack([scores, scores[-1:]]), len(scores) // 2, axis=0),
        "rows-misaligned",
    ),
    "last first": (lambda scores, _: scores[::-1], "rows-misaligned"),
    "labels added": (lambda scores, good: scores + good.labels_NF, "scores-too-good"),
    "labels of a rare finding added": (
        in_column(RARE, lambda scores, good: scores + good.labels_NF[:, RARE]),
        "scores-too-good",
    ),
    "a softmax": (softmax, "scores-softmax"),
    "a log softmax": (lambda scores, good: np.log(softmax(scores, good)), "scores-softmax"),
    "a rare finding inverted": (in_column(RARE, lambda scores, _: 1 - scores), "scores-inverted"),
    "two rare ones swapped": (
        lambda scores, _: scores[:, order_of(RARE, OTHER)],
        "columns-swapped",
    ),
    "a rare one swapped with a common one": (
        lambda scores, _: scores[:, order_of(RARE, COMMON)],
        "columns-swapped",
    ),
    "one at chance": (
        in_column(COMMON, lambda scores, _: rng().random(len(scores))),
        "scores-at-chance",
    ),
    "one of noise": (in_column(COMMON, noise), "scores-constant"),
    "a rare one of noise": (in_column(RARE, noise), "scores-constant"),
    "the upper tail cut": (lambda scores, _: np.minimum(scores, 0.5), "scores-clipped"),
    "the lower tail cut": (
        lambda scores, _: np.maximum(scores, np.quantile(scores, 0.1, axis=0)),
        "scores-clipped",
    ),
    "three digits": (lambda scores, _: scores.round(3), "scores-rounded"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_each_way_of_spoiling_good_scores_is_told_by_name(good, how):
    spoil, expected = SPOILT[how]
    assert told(spoilt(good, spoil), labels_were_mined=True) == [(expected, Severity.WARNING)]


HEALTHY = {
    "as they are": lambda good: good,
    "another row order": lambda good: rows_of(good, rng().permutation(len(good.images))),
    "sorted columns with their names": lambda good: columns_in(good, np.argsort(FINDINGS)),
    "half precision": lambda good: spoilt(
        good, lambda scores, _: scores.astype(np.float16).astype(np.float64)
    ),
    "bfloat16": lambda good: spoilt(
        good, lambda scores, _: torch.from_numpy(scores).bfloat16().double().numpy()
    ),
    "five digits": lambda good: spoilt(good, lambda scores, _: scores.round(5)),
    "logits": lambda good: spoilt(good, lambda scores, _: logits(scores)),
    "one view": lambda good: rows_of(good, np.flatnonzero(rng().random(len(good.images)) < 0.4)),
    "1,000 images": lambda good: rows_of(good, np.sort(rng().permutation(len(good.images))[:1000])),
    "100 patients": lambda good: rows_of(good, np.flatnonzero(good.patients <= 100)),
}


def rows_of(good, rows):
    return replace(
        good,
        images=good.images[rows],
        patients=good.patients[rows],
        labels_NF=good.labels_NF[rows],
        scores_NF=good.scores_NF[rows],
    )


def columns_in(good, order):
    return replace(
        good,
        findings=tuple(FINDINGS[place] for place in order),
        labels_NF=good.labels_NF[:, order],
        scores_NF=good.scores_NF[:, order],
    )


@pytest.mark.parametrize("twin", HEALTHY)
def test_healthy_twins_are_not_complained_of(good, twin):
    assert told(HEALTHY[twin](good), labels_were_mined=True) == []


def test_a_few_patients_at_the_end_do_not_look_moved_by_chance():
    """Two rows too low would be better from row 521 on, where sixteen patients are left."""
    assert told(nih_like(80, seed=5175)) == []


@pytest.mark.parametrize("seed", range(12))
def test_good_scores_of_300_patients_are_not_complained_of(seed):
    assert told(nih_like(300, seed=100 + seed), labels_were_mined=True) == []


def test_a_perfect_auroc_is_believed_where_labels_are_the_truth(small):
    assert told(spoilt(small, lambda scores, good: scores + good.labels_NF)) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda scores, _: np.roll(scores, 1, axis=0), "1 row too low in the file's order"),
        (lambda scores, _: np.roll(scores, -2, axis=0), "2 rows too high in the file's order"),
        (lambda scores, _: scores[::-1], "in reverse order in the file's order"),
    ],
)
def test_the_order_that_brings_the_rows_back_is_named(small, spoil, words):
    (found,) = check_scores(spoilt(small, spoil))
    assert words in found.text
    right = np.mean(
        [auroc(*both) for both in zip(small.labels_NF.T, small.scores_NF.T, strict=True)]
    )
    assert found.evidence["mean_auroc_if_moved"] == pytest.approx(right, abs=1e-4)


def test_the_row_is_named_from_which_scores_stand_beside_other_images(good):
    (found,) = check_scores(spoilt(good, lambda s, _: np.vstack([s[:9000], s[8999:-1]])))
    told = re.search(r"from row ([\d,]+) on, the scores are 1 row too low", found.text)
    assert abs(int(told[1].replace(",", "")) - 9001) < 100


def test_auroc_and_its_error_are_those_of_whole_patients_drawn_again(small):
    columns = columns_of(small)
    assert [column.area for column in columns] == pytest.approx(
        [auroc(*both) for both in zip(small.labels_NF.T, small.scores_NF.T, strict=True)]
    )
    common = columns[COMMON]
    generator, areas = rng(), []
    for _ in range(200):
        drawn = generator.integers(1, 281, 280)
        weights_N = np.bincount(drawn, minlength=281)[small.patients].astype(float)
        areas.append(auroc(small.labels_NF[:, COMMON], small.scores_NF[:, COMMON], weights_N))
    assert common.standard_error == pytest.approx(np.std(areas), rel=0.15)
    mean, (low, high) = mean_area(columns)
    assert low < mean < high


def test_a_rare_findings_chance_is_counted_exactly(small):
    """Against scipy on one image a patient, where each patient has one image alone."""
    single = rows_of(small, np.unique(small.patients, return_index=True)[1])
    column = columns_of(spoilt(single, lambda scores, _: 1 - scores))[COMMON]
    expected = mannwhitneyu(
        column.scores_K[column.present_K], column.scores_K[~column.present_K], alternative="less"
    )
    assert column.probability_below_chance() == pytest.approx(expected.pvalue)
