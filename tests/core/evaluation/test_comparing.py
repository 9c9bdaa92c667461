"""Comparing runs: p values, equivalence, seeds as chance, and what is told of a group."""

from dataclasses import replace

import numpy as np
import pytest
from compared_runs import another, session, truth
from scipy import stats

from core.errors import DataError, UsageError
from core.evaluation.comparing.alignment import align
from core.evaluation.comparing.compare import compare_named, compare_runs
from core.evaluation.comparing.comparison import ComparisonSettings, Group, compare_groups
from core.evaluation.comparing.comparison_frame import compare
from core.evaluation.comparing.over_seeds import OverSeeds, with_seeds
from core.evaluation.comparing.scored_runs import ScoredRun, read_runs
from core.evaluation.comparing.significance import (
    equivalence_p,
    holm,
    positives_needed,
    two_sided_p,
    verdict,
)
from core.evaluation.confidence import Spread, plain_interval
from core.evaluation.operating_points import choose_threshold, parse_rule
from core.evaluation.placements import gains
from core.evaluation.predictions import frame_of


def runs_of(test, *seeds, noise=0.5):
    return [ScoredRun(f"run {seed}", another(test, seed, noise)) for seed in seeds]


def test_holms_p_values_are_those_of_statsmodels():
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    ps = np.random.default_rng(0).random(14) ** 4
    assert holm(list(ps)) == pytest.approx(multipletests(ps, method="holm")[1])
    with_gaps = holm([None, *ps, None])
    assert with_gaps[1:-1] == pytest.approx(holm(list(ps)))
    assert with_gaps[0] is with_gaps[-1] is None


def test_p_and_equivalence_are_students_t_tests():
    draws = np.random.default_rng(1).normal(0.3, 1, 20)
    spread = Spread(stats.sem(draws), 20)
    assert two_sided_p(draws.mean(), spread) == pytest.approx(stats.ttest_1samp(draws, 0).pvalue)
    sides = [
        stats.ttest_1samp(draws, -1, alternative="greater").pvalue,
        stats.ttest_1samp(draws, 1, alternative="less").pvalue,
    ]
    assert equivalence_p(draws.mean(), spread, 1.0) == pytest.approx(max(sides))


def test_p_is_below_5_percent_where_the_interval_leaves_out_0():
    for value in (0.02, 0.0228, 0.0229, 0.03):
        spread = Spread(0.011, 22)
        low, _ = plain_interval(value, spread)
        assert (two_sided_p(value, spread) < 0.05) == (low > 0)


def test_welchs_test_is_what_is_left_where_patients_dont_vary():
    rng = np.random.default_rng(2)
    for sizes in ((5, 5), (3, 8)):
        a, b = rng.normal(0.8, 0.01, sizes[0]), rng.normal(0.82, 0.03, sizes[1])
        found = with_seeds(Spread(0.0, 1e6), OverSeeds(tuple(a), 0.0), OverSeeds(tuple(b), 0.0))
        p = two_sided_p(b.mean() - a.mean(), found.spread)
        assert p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-4)


def test_what_seeds_vary_only_by_their_own_patients_isnt_counted_twice():
    group = OverSeeds((0.80, 0.82), own_patients=0.0002)  # its variance is 0.0002 too
    found = with_seeds(Spread(0.01, 50), group, group)
    assert found.of_seeds == 0
    assert found.spread.error == pytest.approx(0.01)
    lone = OverSeeds((0.8,), 0.0)
    borrowed = with_seeds(Spread(0.01, 50), replace(group, own_patients=0.0), lone)
    assert borrowed.of_seeds == pytest.approx(0.0002 * (1 / 2 + 1))
    assert with_seeds(Spread(0.01, 50), lone, lone).spread == Spread(0.01, 50)


def test_two_single_runs_have_the_gain_of_their_placements_and_nearly_its_interval():
    test = truth(seed=3)
    runs = runs_of(test, 1, 2)
    aligned = align(runs)
    (found,) = compare_groups(aligned, [Group("A", (0,)), Group("B", (1,))])
    each, mean = gains(aligned.labels_NF, *aligned.scores_RNF, aligned.patients_N)
    for one, gain in zip(found.findings.values(), each, strict=True):
        assert one.differing.value == pytest.approx(gain.value)
        assert one.differing.interval == pytest.approx(gain.interval, abs=0.01)
    assert found.mean.differing.value == pytest.approx(mean.value)
    assert found.mean.differing.interval == pytest.approx(mean.interval, abs=0.005)


def test_rows_in_another_order_give_the_same_figures():
    runs = runs_of(truth(seed=3), 1, 2)
    shuffled = np.random.default_rng(0).permutation(len(runs[1].test.images))
    test = runs[1].test
    other = replace(
        test,
        images=test.images[shuffled],
        patients=test.patients[shuffled],
        labels_NF=test.labels_NF[shuffled],
        scores_NF=test.scores_NF[shuffled],
    )
    assert compare_runs([runs[0], replace(runs[1], test=other)]) == compare_runs(runs)


def test_equality_needs_a_margin_and_enough_patients():
    runs = runs_of(truth(seed=4, patients=400), 1, 2, noise=0.05)
    without = compare_runs(runs)
    assert {one["verdict"] for one in without["findings"].values()} == {"can't tell"}
    assert without["mean"]["p_equal"] is None
    wide = compare_runs(runs, margin=0.2)
    assert {one["verdict"] for one in wide["findings"].values()} == {"equal within margin"}
    narrow = compare_runs(runs, margin=1e-4)
    for one in narrow["findings"].values():
        assert one["verdict"] == "can't tell"
        assert one["positive_patients_needed"] > one["positive_patients"]
    same = compare_runs([runs[0], runs[0]], margin=0.01)
    assert same["mean"]["verdict"] == "equal within margin"
    assert verdict(0.02, 0.01, 0.2) == "b better"
    assert verdict(-0.02, 0.01, None) == "a better"


def test_the_patients_needed_are_those_with_which_four_of_five_parts_tell():
    needed = positives_needed(
        100, of_patients=0.01**2, of_seeds=0.0, difference=0.01, margin=None, tests=1
    )
    error = 0.01 * np.sqrt(100 / needed)
    power = stats.norm.sf(1.96 - 0.01 / error) + stats.norm.cdf(-1.96 - 0.01 / error)
    assert power == pytest.approx(0.8, abs=0.005)
    equal = positives_needed(
        100, of_patients=0.01**2, of_seeds=0.0, difference=0.0, margin=0.01, tests=1
    )
    error = 0.01 * np.sqrt(100 / equal)
    inside = 0.01 - 1.645 * error
    assert stats.norm.cdf(inside / error) - stats.norm.cdf(-inside / error) == pytest.approx(
        0.8, abs=0.005
    )
    hopeless = {"of_patients": 1e-4, "of_seeds": 1e-3, "margin": None, "tests": 1}
    assert positives_needed(100, difference=0.01, **hopeless) is None


def test_groups_are_found_by_recipe_and_seeds_widen_what_patients_leave(tmp_path):
    test, val = truth(seed=5), truth(seed=6)
    for k in (1, 2, 3):
        for name, noise, rate in (("one", 0.4, 0.001), ("two", 1.5, 0.0001)):
            keys = [f"train.seed={k}", f"train.learning_rate={rate}", f"name={name}-seed{k}"]
            of_seed = 100 * k + int(10 * noise)
            tests = another(test, of_seed, noise), another(val, of_seed, noise)
            session(tmp_path, f"{name}-{k}", *tests, keys)
    names = [f"{name}-{k}" for k in (1, 2, 3) for name in ("one", "two")]
    report = compare_named(names, sessions=tmp_path, draws=200)
    assert [(run["name"], run["seeds"]) for run in report["runs"]] == [
        ("one × 3", 3),
        ("two × 3", 3),
    ]
    assert [one["seed"] for one in report["runs"][0]["members"]] == [1, 2, 3]
    assert report["recipe_differences"] == {"train.learning_rate": [0.001, 0.0001]}
    assert report["mean"]["verdict"] == "a better"
    assert report["mean"]["share_of_draws_a_ahead"] > 0.99
    assert report["holds_for"] == "recipes"
    means = [one["mean_auroc"] for one in report["runs"][1]["members"]]
    assert report["runs"][1]["sd_over_seeds"] == pytest.approx(np.std(means, ddof=1), abs=2e-6)
    assert report["mean"]["sd_over_seeds_b"] == pytest.approx(np.std(means, ddof=1), abs=2e-6)
    pooled = np.sqrt(sum(run["sd_over_seeds"] ** 2 for run in report["runs"]) / 2)
    assert report["another_seed"] == pytest.approx(2 / np.sqrt(np.pi) * pooled, abs=2e-6)
    assert "times what another seed" in report["sentence"]
    for one, run in zip(report["ensembles"], report["runs"], strict=True):
        assert one["mean_auroc"] > run["mean_auroc"]  # noise cancels out
        assert one["mean_auroc_ci"][0] < one["mean_auroc"] < one["mean_auroc_ci"][1]
    by_hand = compare_named(
        ["one-1", "one-2", "one-3"],
        ["two-1", "two-2", "two-3"],
        sessions=tmp_path,
        draws=200,
    )
    assert by_hand == report
    alone = compare_named(["one-1", "one-2", "one-3"], sessions=tmp_path, draws=0)
    assert [pair["a"] for pair in alone["comparisons"]] == ["one-1", "one-1"]
    assert "not for their recipes" in alone["notes"][0]
    assert "draws of patients and seeds" in report["notes"][0]
    mixed = compare_named(["one-1", "two-1"], ["two-2", "two-3"], sessions=tmp_path, draws=0)
    assert any("differ in train.learning_rate too" in words for words in mixed["warnings"])


def test_a_run_named_twice_in_a_group_is_refused():
    first, second = runs_of(truth(patients=60), 1, 2)
    with pytest.raises(UsageError, match="more than once"):
        compare_runs([first, first, second], 2)


def test_three_sides_are_each_compared_with_the_first_under_one_correction():
    runs = runs_of(truth(patients=100), 1, 2, 3)
    report = compare_runs(runs, draws=0)
    assert [(pair["a"], pair["b"]) for pair in report["comparisons"]] == [
        ("run 1", "run 2"),
        ("run 1", "run 3"),
    ]
    ps = [one["p"] for pair in report["comparisons"] for one in pair["findings"].values()]
    holms = [one["p_holm"] for pair in report["comparisons"] for one in pair["findings"].values()]
    assert holms == pytest.approx(holm(ps), rel=1e-5)
    assert report["findings"] == report["comparisons"][0]["findings"]


def test_logits_are_compared_but_not_averaged():
    test = truth(patients=80)
    logits = replace(test, scores_NF=np.log(test.scores_NF / (1 - test.scores_NF)))
    runs = [ScoredRun(f"run {k}", replace(another(test, k), scores_NF=logits.scores_NF + k))
            for k in (1, 2, 3)]  # fmt: skip
    report = compare_runs(runs, 1, draws=0)
    assert report["mean"]["auroc_difference"] == pytest.approx(0, abs=1e-9)
    assert report["ensembles"][1]["mean_auroc"] is None
    assert "no probabilities" in report["ensembles"][1]["note"]


def test_one_image_a_patient_is_delongs_test_of_two_correlated_areas():
    """DeLong's covariance by its definition, over pairs of a positive and a negative image."""
    rng = np.random.default_rng(7)
    labels_N = (rng.random(300) < 0.3).astype(np.float32)
    common_N = rng.normal(size=300) + labels_N
    scores_2N = [common_N + rng.normal(size=300) for _ in range(2)]
    x = [scores[labels_N == 1][:, None] > scores[labels_N == 0][None, :] for scores in scores_2N]
    of_positive = np.cov([one.mean(axis=1) for one in x])
    of_negative = np.cov([one.mean(axis=0) for one in x])
    whole = of_positive / x[0].shape[0] + of_negative / x[0].shape[1]
    variance = whole[0, 0] + whole[1, 1] - 2 * whole[0, 1]
    base = truth(patients=80)
    runs = [
        ScoredRun(
            str(k),
            replace(
                base,
                images=np.array([f"{n:04d}.png" for n in range(300)], dtype=object),
                patients=np.arange(300),
                findings=("Mass",),
                labels_NF=labels_N[:, None],
                scores_NF=scores[:, None],
            ),
        )
        for k, scores in enumerate(scores_2N)
    ]
    (found,) = compare_groups(
        align(runs), [Group("A", (0,)), Group("B", (1,))], ComparisonSettings(draws=0)
    )
    spread = found.findings["Mass"].differing.chance.spread
    assert spread.error**2 == pytest.approx(variance, rel=1e-3)
    # Placements of positives and of negatives are two samples, as in Welch's test.
    positive, negative = (x[1].mean(axis=axis) - x[0].mean(axis=axis) for axis in (1, 0))
    welch = stats.ttest_ind(positive, negative, equal_var=False)
    assert spread.effective - 1 == pytest.approx(welch.df, rel=1e-3)


def test_specificity_is_that_of_scikit_learns_curve_at_the_sensitivity_that_val_chose():
    from sklearn.metrics import roc_curve

    test, val = truth(seed=7), truth(seed=8)
    runs = [ScoredRun(str(k), another(test, k), another(val, k)) for k in (1, 2)]
    report = compare_runs(runs, rule="sensitivity=0.8", draws=100)
    for column, (name, entry) in enumerate(report["findings"].items()):
        assert entry["sensitivity"] == 0.8, name
        for side, run in zip("ab", runs, strict=True):
            labels_N, scores_N = test.labels_NF[:, column], run.test.scores_NF[:, column]
            false, true, _ = roc_curve(labels_N, scores_N, drop_intermediate=False)
            at = 1 - false[np.flatnonzero(true >= 0.8)[0]]
            assert entry[f"specificity_{side}"] == pytest.approx(at, abs=2e-6)
        low, high = entry["specificity_difference_ci"]
        assert low < entry["specificity_difference"] < high
    youden = compare_runs(runs, draws=0)
    chosen = [
        choose_threshold(parse_rule("youden"), run.val.labels_NF[:, 0], run.val.scores_NF[:, 0])
        for run in runs
    ]
    mean = np.mean([one.sensitivity for one in chosen])
    assert youden["findings"]["Effusion"]["sensitivity"] == pytest.approx(mean, abs=2e-6)


def test_frames_are_compared_as_sessions_are():
    runs = runs_of(truth(patients=100), 1, 2, 3, 4)
    frames = [frame_of(run.test) for run in runs]
    one = compare(frames[0], frames[1], bootstrap=50)
    report = compare_runs(runs[:2], draws=50)
    assert list(one.index) == [*report["findings"], "mean"]
    for name, entry in (*report["findings"].items(), ("mean", report["mean"])):
        assert one.loc[name, "auroc_difference"] == entry["auroc_difference"]
        assert one.loc[name, "auroc_difference_low"] == entry["auroc_difference_ci"][0]
        assert one.loc[name, "verdict"] == entry["verdict"]
    groups = compare(frames[:2], frames[2:], bootstrap=0)
    assert groups.loc["mean", "sd_over_seeds_a"] > 0
    assert np.isnan(groups.loc["mean", "auprc_difference_low"])
    with pytest.raises(DataError, match="lacks 1 image"):
        compare(frames[0], frames[1].iloc[1:])


def test_predictions_with_an_image_twice_are_refused(tmp_path):
    test = truth(patients=60)
    twice = replace(test, images=np.array([test.images[0], *test.images[:-1]], dtype=object))
    with pytest.raises(DataError, match="more than once"):
        align([ScoredRun("a", test), ScoredRun("b", twice)])


def test_scores_without_labels_take_those_of_the_session_beside_them(tmp_path):
    test = truth(patients=80, seed=9)
    session(tmp_path, "mine", test)
    rows = ["Image Index,prob_Mass"]
    rows += [f"{name},{p}" for name, p in zip(test.images, test.scores_NF[:, 1], strict=True)]
    (tmp_path / "theirs.csv").write_text("\n".join(rows))
    names = [str(tmp_path / "theirs.csv"), "mine"]
    theirs, mine = read_runs(names, tmp_path)
    assert theirs.warnings
    assert mine.recipe.name == "demo"
    report = compare_runs([mine, theirs], common=True)
    assert list(report["findings"]) == ["Mass"]
    assert report["findings"]["Mass"]["auroc_difference"] == 0
