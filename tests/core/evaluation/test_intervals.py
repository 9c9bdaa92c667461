"""Intervals that count patients: they hold the truth, and agree with other ways to get there."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm, rankdata
from simulated_patients import simulated

from core.evaluation.confidence import effective_patients, patient_codes
from core.evaluation.intervals import mean_intervals, patient_bootstrap, ratio_intervals
from core.evaluation.metrics import auroc
from core.evaluation.placements import (
    auroc_interval,
    average_ranks,
    gains,
    mean_interval,
    place,
    place_findings,
)

PREVALENCES = np.repeat([0.005, 0.02, 0.12], 3)
AUROCS = np.tile([0.65, 0.8, 0.95], 3)


def positive_patients(labels_N, patients_N):
    return len(np.unique(patients_N[labels_N == 1]))


def test_intervals_hold_the_truth_as_often_as_they_say_where_few_patients_are_positive():
    held = {"few": [], "some": [], "many": []}
    means = []
    for seed in range(150):
        drawn = simulated(np.random.default_rng(seed), 300, PREVALENCES, AUROCS)
        found = patient_bootstrap(
            drawn.labels_NF, drawn.scores_NF, drawn.patients_N, draws=150, seed=seed
        )
        for column, interval in enumerate(found.auroc_F):
            if interval is not None:
                assert interval[0] < interval[1]
                patients = positive_patients(drawn.labels_NF[:, column], drawn.patients_N)
                group = "few" if patients <= 10 else "some" if patients <= 35 else "many"
                held[group].append(interval[0] <= AUROCS[column] <= interval[1])
        if found.bounded_mean is not None:
            low, high = found.bounded_mean
            means.append(low <= AUROCS[list(found.bounded)].mean() <= high)
    assert min(len(group) for group in held.values()) > 250
    shares = {name: np.mean(group) for name, group in held.items()}
    # docs/intervals.md has the whole study, beside what percentiles of the draws would hold.
    assert 0.94 <= shares["few"] <= 0.995, shares
    assert 0.93 <= shares["some"] <= 0.99, shares
    assert 0.90 <= shares["many"] <= 0.98, shares
    assert 0.91 <= np.mean(means) <= 0.998


def test_shares_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(150):
        drawn = simulated(np.random.default_rng(1000 + seed), 200, PREVALENCES, AUROCS)
        present_NF, called_NF = drawn.labels_NF == 1, drawn.scores_NF >= 1
        found = ratio_intervals(called_NF & present_NF, present_NF, drawn.patients_N)
        truth_F = norm.cdf(np.sqrt(2) * norm.ppf(AUROCS) - 1)
        held += [
            low <= truth <= high
            for interval, truth in zip(found, truth_F, strict=True)
            if interval is not None
            for low, high in [interval]
        ]
    assert len(held) > 800
    assert 0.92 <= np.mean(held) <= 0.985


def test_two_equally_good_models_seldom_differ():
    false, perfect = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        drawn = simulated(rng, 300, PREVALENCES, AUROCS)
        before_NF, after_NF = drawn.scores_NF + 0.6 * rng.normal(size=(2, *drawn.scores_NF.shape))
        each, mean = gains(drawn.labels_NF, before_NF, after_NF, drawn.patients_N)
        false += [not g.interval[0] <= 0 <= g.interval[1] for g in each if g.interval is not None]
        perfect.append(not mean.interval[0] <= 0 <= mean.interval[1])
    assert len(false) > 700
    assert np.mean(false) <= 0.06
    assert np.mean(perfect) <= 0.1


def test_a_gain_is_seen_where_there_is_one():
    rng = np.random.default_rng(0)
    drawn = simulated(rng, 400, PREVALENCES, AUROCS)
    before_NF = drawn.scores_NF + 2 * rng.normal(size=drawn.scores_NF.shape)
    each, mean = gains(drawn.labels_NF, before_NF, drawn.scores_NF, drawn.patients_N)
    assert mean.interval[0] > 0
    assert each[-1].interval[0] > 0
    areas = [auroc(drawn.labels_NF[:, -1], s[:, -1]) for s in (before_NF, drawn.scores_NF)]
    assert each[-1].value == pytest.approx(areas[1] - areas[0])


def test_scores_that_rank_alike_have_a_gain_of_zero_without_an_interval():
    labels, scores, patients = drawn_hospital()
    each, mean = gains(labels, scores, 3 * scores + 1, patients)
    assert [gain.value for gain in each] == [0, 0, 0]
    assert {gain.interval for gain in each} == {None}
    assert mean.value is None


def test_the_variance_of_an_auroc_is_obuchowskis_sum_over_pairs_of_images():
    """Her equations for clustered data, written out image by image, against the sums by patient."""
    rng = np.random.default_rng(3)
    patients = rng.integers(0, 12, 60)
    labels = (rng.random(60) < 0.4).astype(float)
    scores = np.round(labels + rng.normal(size=60), 1)  # with ties
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    wins = np.array(
        [[(scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n]) for n in negatives]
         for p in positives]
    )  # fmt: skip
    area = wins.mean()
    of_positive, of_negative = wins.mean(axis=1), wins.mean(axis=0)
    names = np.unique(patients)
    x = np.array([(of_positive[patients[positives] == name] - area).sum() for name in names])
    y = np.array([(of_negative[patients[negatives] == name] - area).sum() for name in names])
    with_x = len(np.unique(patients[positives]))
    with_y = len(np.unique(patients[negatives]))
    m, n, count = len(positives), len(negatives), len(names)
    s10 = with_x / ((with_x - 1) * m) * (x**2).sum()
    s01 = with_y / ((with_y - 1) * n) * (y**2).sum()
    s11 = count / (count - 1) * (x * y).sum()
    expected = s10 / m + s01 / n + 2 * s11 / (m * n)
    placed = place(labels, scores, *patient_codes(patients))
    assert placed.value == pytest.approx(area)
    assert placed.variance == pytest.approx(expected)


def test_placements_and_draws_give_the_same_interval():
    drawn = simulated(np.random.default_rng(5), 800, PREVALENCES, AUROCS)
    found = patient_bootstrap(drawn.labels_NF, drawn.scores_NF, drawn.patients_N, draws=1500)
    placed = place_findings(drawn.labels_NF, drawn.scores_NF, drawn.patients_N)
    for column in (4, 6, 7, 8):  # of few patients the draws' own spread differs by a tenth
        assert found.auroc_F[column] == pytest.approx(auroc_interval(placed[column]), abs=0.01)
    assert found.mean_auroc == pytest.approx(mean_interval(placed), abs=0.005)


def test_the_interval_of_a_share_is_that_of_its_patients_left_out_one_at_a_time():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(80), rng.integers(1, 9, 80))
    called = (rng.random(len(patients)) < (0.3 + 0.5 * (patients % 2))).astype(float)[:, None]
    ((low, high),) = ratio_intervals(called, np.ones_like(called), patients)
    left_out = np.array([called[patients != one].mean() for one in range(80)])
    jackknife = np.sqrt(79 / 80 * ((left_out - left_out.mean()) ** 2).sum())
    share = called.mean()
    logit_width = np.log(high / (1 - high)) - np.log(low / (1 - low))
    assert logit_width * share * (1 - share) / (2 * 1.99) == pytest.approx(jackknife, rel=0.05)


def test_a_mean_over_few_patients_has_no_interval_and_one_of_equal_values_is_not_certain():
    values = np.array([[1.0], [1.0], [0.0], [0.0]])
    assert mean_intervals(values, np.array([1, 1, 2, 2])) == [None]
    (interval,) = mean_intervals(values, np.array([1, 2, 3, 4]))
    assert interval[0] < 0.1
    assert interval[1] > 0.9
    unknown = np.array([[np.nan], [1.0], [1.0], [1.0]])
    (all_hit,) = mean_intervals(unknown, np.array([1, 2, 3, 4]))
    assert all_hit == pytest.approx((0.025 ** (1 / 3), 1.0))
    assert mean_intervals(3 * unknown, np.array([1, 2, 3, 4]), are_shares=False) == [None]


def drawn_hospital(seed=0, patients=120, images_each=6, findings=3, patient_share=0.7):
    """Images of one patient look alike: a share of a score's noise is the patient's."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), images_each)
    ill = (rng.random((patients, findings)) < 0.3)[owners]
    patient_noise = rng.normal(size=(patients, findings))[owners]
    image_noise = rng.normal(size=ill.shape)
    noise = np.sqrt(patient_share) * patient_noise + np.sqrt(1 - patient_share) * image_noise
    return ill.astype(np.float32), (ill + noise).astype(np.float32), owners


def widths(intervals):
    return np.array([high - low for low, high in intervals])


def test_copies_of_a_patients_images_add_no_certainty():
    labels, scores, patients = drawn_hospital()
    once = patient_bootstrap(labels, scores, patients, draws=200)
    copied = [np.repeat(array, 5, axis=0) for array in (labels, scores, patients)]
    five_times = patient_bootstrap(*copied, draws=200)
    np.testing.assert_allclose(five_times.auroc_F, once.auroc_F, rtol=1e-12)
    np.testing.assert_allclose(five_times.auprc_F, once.auprc_F, rtol=1e-7)
    np.testing.assert_allclose(five_times.mean_auroc, once.mean_auroc, rtol=1e-12)


def test_an_interval_by_patient_is_wider_than_one_by_image_where_images_are_alike():
    labels, scores, patients = drawn_hospital()
    by_patient = patient_bootstrap(labels, scores, patients, draws=300)
    by_image = patient_bootstrap(labels, scores, np.arange(len(patients)), draws=300)
    assert (widths(by_patient.auroc_F) > 1.4 * widths(by_image.auroc_F)).all()


def test_where_each_patient_has_one_image_the_interval_is_as_wide_as_delongs():
    labels, scores, patients = drawn_hospital(patients=2000, images_each=1, findings=1)
    positives, negatives = scores[labels == 1], scores[labels == 0]
    above = positives[:, None] > negatives[None, :]
    variance = above.mean(axis=1).var() / len(positives) + above.mean(axis=0).var() / len(negatives)
    (width,) = widths(patient_bootstrap(labels, scores, patients, draws=4000).auroc_F)
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.06)


def test_the_means_interval_lies_between_those_of_a_good_and_a_bad_finding():
    labels, scores, patients = drawn_hospital(findings=2)
    scores[:, 1] = np.random.default_rng(0).random(len(patients))
    both = patient_bootstrap(labels, scores, patients, draws=500)
    (good_low, good_high), (bad_low, bad_high) = both.auroc_F
    low, high = both.mean_auroc
    assert bad_high < low < high < good_low
    assert (low + high) / 2 == pytest.approx(
        (good_low + good_high + bad_low + bad_high) / 4, abs=0.01
    )


def test_intervals_are_the_same_for_a_seed_whatever_the_order_of_images():
    labels, scores, patients = drawn_hospital()
    first = patient_bootstrap(labels, scores, patients, draws=150, seed=3)
    order = np.random.default_rng(0).permutation(len(patients))
    assert patient_bootstrap(labels, scores, patients, draws=150, seed=3) == first
    shuffled = patient_bootstrap(labels[order], scores[order], patients[order], draws=150, seed=3)
    np.testing.assert_allclose(shuffled.auroc_F, first.auroc_F, rtol=1e-12)
    other = patient_bootstrap(labels, scores, patients, draws=150, seed=4)
    assert other.auroc_F != first.auroc_F


def test_the_means_interval_uses_the_same_draws_for_all_findings():
    labels, scores, patients = drawn_hospital(findings=1)
    twice = patient_bootstrap(labels[:, [0, 0]], scores[:, [0, 0]], patients, draws=200)
    # The mean of a finding and its copy is that finding; separate draws would narrow it.
    assert twice.mean_auroc == pytest.approx(twice.auroc_F[0], abs=0.005)


def test_the_mean_rests_on_draws_in_which_every_finding_is_defined():
    labels, scores, patients = drawn_hospital()
    labels[:, 2] = np.where(patients < 3, 1.0, 0.0)  # three positive patients: lost in 5 % of draws
    rare = patient_bootstrap(labels, scores, patients, draws=1000)
    assert 900 < rare.mean_draws < 990
    assert rare.mean_auroc is not None
    assert rare.bounded == (0, 1, 2)


def test_a_finding_with_one_class_takes_no_part_in_the_mean():
    labels, scores, patients = drawn_hospital()
    without = patient_bootstrap(labels[:, :2], scores[:, :2], patients, draws=100)
    labels[:, 2] = 0
    undefined = patient_bootstrap(labels, scores, patients, draws=100)
    assert undefined.auroc_F[2] is None
    assert undefined.bounded == (0, 1)
    assert undefined.mean_auroc == without.mean_auroc


def test_a_mean_with_a_member_that_has_no_interval_has_none_and_the_others_mean_has():
    labels, scores, patients = drawn_hospital()
    without = patient_bootstrap(labels[:, :2], scores[:, :2], patients, draws=100)
    labels[:, 2] = patients < 2
    few = patient_bootstrap(labels, scores, patients, draws=100)
    assert few.mean_auroc is None
    assert few.bounded_mean == without.mean_auroc
    assert few.bounded == (0, 1)


@pytest.mark.parametrize(
    ("positive", "reason"),
    [
        ([7], "all positive images are of one patient"),
        ([7, 8], "positive images of only 2 patients"),
        ([0, 1, 2], "are worth 1.2 patients"),  # of 71, 3 and 3 images
    ],
)
def test_too_few_patients_of_a_class_have_no_interval_and_the_reason(positive, reason):
    labels, scores, patients = drawn_hospital()
    more = [np.repeat(array[:1], 65, axis=0) for array in (labels, scores, patients)]
    labels, scores, patients = (
        np.concatenate(pair) for pair in zip((labels, scores, patients), more, strict=True)
    )
    if positive == [0, 1, 2]:
        keep = ~np.isin(patients, (1, 2)) | (np.arange(len(patients)) % 2 == 0)
        labels, scores, patients = labels[keep], scores[keep], patients[keep]
    labels[:, 0] = np.isin(patients, positive)
    for kind, column in (("positive", labels), ("negative", 1 - labels)):
        intervals = patient_bootstrap(column, scores, patients, draws=50)
        assert intervals.auroc_F[0] is None
        assert intervals.auprc_F[0] is None
        assert reason.replace("positive", kind) in intervals.reasons_F[0]


def test_effective_patients_are_as_many_as_would_have_equally_many_images():
    assert effective_patients(np.ones(30)) == pytest.approx(30)
    assert effective_patients(np.array([4, 4, 4, 0])) == pytest.approx(3)
    assert effective_patients(np.array([71, *[1] * 9])) == pytest.approx(80**2 / (71**2 + 9))
    assert effective_patients(np.zeros(3)) == 0


@pytest.mark.parametrize("patients_each", [1, 3])
def test_perfect_ranking_by_twelve_patients_is_not_certain(patients_each):
    patients = np.repeat(np.arange(60), patients_each)
    labels = (patients < 12).astype(np.float32)[:, None]
    found = patient_bootstrap(labels, labels + 0.01 * patients[:, None], patients, draws=200)
    # Twelve that were never missed: the exact interval of a share (Clopper and Pearson).
    exact = binomtest(12, 12).proportion_ci(method="exact")
    assert found.auroc_F[0] == pytest.approx((exact.low, 1.0))
    assert found.auprc_F[0] == pytest.approx((exact.low, 1.0))
    assert found.mean_auroc == pytest.approx((exact.low, 1.0), abs=0.02)
    inverted = patient_bootstrap(labels, -labels, patients, draws=200)
    assert inverted.auroc_F[0] == pytest.approx((0.0, 1 - exact.low))


def test_a_perfect_finding_widens_the_mean_by_what_it_may_have_missed():
    labels, scores, patients = drawn_hospital(findings=2)
    scores[:, 1] = labels[:, 1]
    both = patient_bootstrap(labels, scores, patients, draws=400)
    assert both.auroc_F[1][1] == 1.0
    half_of_first = np.diff(both.auroc_F[0])[0] / 2
    assert np.diff(both.mean_auroc)[0] > 1.01 * half_of_first


def test_constant_scores_have_no_interval():
    labels, scores, patients = drawn_hospital()
    found = patient_bootstrap(labels, np.full_like(scores, 0.5), patients, draws=100)
    assert found.auroc_F == (None, None, None)
    assert found.mean_auroc is None
    assert all("the same AUROC" in reason for reason in found.reasons_F)


def test_no_draws_give_no_intervals():
    intervals = patient_bootstrap(*drawn_hospital(), draws=0)
    assert intervals.auroc_F == (None, None, None)
    assert intervals.mean_auroc is None
    assert intervals.reasons_F == (None, None, None)


def test_ranks_are_scipys_with_ties_sharing_their_mean():
    values = np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.float32)
    assert average_ranks(values).tolist() == rankdata(values, axis=0).tolist()
    assert average_ranks(values[:, 0]).tolist() == rankdata(values[:, 0]).tolist()
