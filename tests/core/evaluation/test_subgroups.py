"""Figures of groups of patients: as others compute them, and no more than few patients allow."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from simulated_patients import simulated
from sklearn.metrics import roc_auc_score

from core.data.study.further_columns import further_columns
from core.data.tables.label_columns import LabelTable
from core.errors import RecipeError
from core.evaluation.confidence import patient_codes
from core.evaluation.intervals import ratio_intervals
from core.evaluation.part_report import report_of_file
from core.evaluation.placements import place, samples_interval
from core.evaluation.predictions import Predictions
from core.evaluation.subgroups.gap_frame import gaps_of
from core.evaluation.subgroups.groups import attributes_of, groups_of
from core.evaluation.subgroups.subgroup_report import subgroup_report
from core.health.subgroups import check_subgroups
from core.recipe import EvaluateSettings
from core.report_shape import PartReport

NAMES = ("Mass", "Edema", "Hernia")
THRESHOLDS = {"Mass": 0.2, "Edema": 0.3, "Hernia": 0.02}


def a_part(patients: int = 400, seed: int = 0) -> tuple[Predictions, dict[str, np.ndarray]]:
    """Sex of a patient, view of an image."""
    rng = np.random.default_rng(seed)
    drawn = simulated(rng, patients, np.array([0.15, 0.3, 0.003]), np.array([0.8, 0.7, 0.9]))
    num_images = len(drawn.patients_N)
    predictions = Predictions(
        images=np.array([f"{row}.png" for row in range(num_images)], dtype=object),
        patients=drawn.patients_N,
        findings=NAMES,
        labels_NF=drawn.labels_NF,
        scores_NF=expit(drawn.scores_NF - 2),
    )
    sexes_P = rng.choice(np.array(["female", "male"], dtype=object), patients)
    views_N = rng.choice(np.array(["AP", "PA", ""], dtype=object), num_images, p=[0.4, 0.5, 0.1])
    return predictions, {"sex": sexes_P[drawn.patients_N], "view": views_N}


def reported(predictions, attributes, thresholds=THRESHOLDS, *, with_intervals=True):
    found = subgroup_report(
        predictions, predictions.patients, attributes, thresholds, with_intervals=with_intervals
    )
    json.dumps(found, allow_nan=False)
    assert len(PartReport.of({"subgroups": found}).subgroups) == len(found)
    return {(group["by"], group["group"]): group for group in found}


def test_the_groups_are_of_sex_bands_of_20_years_view_and_their_pairs():
    table = LabelTable(
        images_N=np.array(list("abcdef"), dtype=object),
        patients_N=np.arange(6),
        findings=(),
        labels_NA=np.zeros((6, 0), dtype=np.float32),
        age_years_N=np.array([0, 19.9, 20, 79, 93, np.nan]),
        sex_N=np.array(["F", "M", "", "F", "M", "M"], dtype=object),
        view_N=np.array(["PA", "AP", "unknown", "PA", "lateral", ""], dtype=object),
    )
    attributes = attributes_of(table)
    assert attributes["sex"].tolist() == ["female", "male", "", "female", "male", "male"]
    assert attributes["age"].tolist() == ["0-19", "0-19", "20-39", "60-79", "80+", ""]
    groups = {(group.by, group.name): group for group in groups_of(attributes)}
    assert {by for by, _ in groups} == {
        *("sex", "age", "view", "sex and age", "sex and view", "age and view")
    }
    pair = groups["sex and view", "female, PA"]
    assert np.flatnonzero(pair.inside_N).tolist() == [0, 3]
    assert np.flatnonzero(pair.rest_N).tolist() == [1, 4]


def test_figures_of_a_group_equal_those_of_other_programs():
    statsmodels = pytest.importorskip("statsmodels.api")
    predictions, attributes = a_part()
    group = reported(predictions, attributes)["sex", "female"]
    inside_N = attributes["sex"] == "female"
    labels_K = predictions.labels_NF[inside_N, 0]
    scores_K = predictions.scores_NF[inside_N, 0]
    figures = group["findings"]["Mass"]
    assert figures["positives"] == labels_K.sum()
    assert figures["auroc"] == pytest.approx(roc_auc_score(labels_K, scores_K), abs=1e-6)
    called_K = scores_K >= THRESHOLDS["Mass"]
    assert figures["sensitivity"] == pytest.approx(called_K[labels_K == 1].mean(), abs=1e-6)
    assert figures["false_positive_rate"] == pytest.approx(called_K[labels_K == 0].mean(), abs=1e-6)
    fit = statsmodels.GLM(
        labels_K,
        np.ones(len(labels_K)),
        offset=np.log(scores_K / (1 - scores_K)),
        family=statsmodels.families.Binomial(),
    ).fit()
    assert figures["calibration_in_the_large"] == pytest.approx(fit.params[0], abs=1e-6)
    ends = ratio_intervals(
        (called_K & (labels_K == 1))[:, None],
        (labels_K == 1)[:, None],
        predictions.patients[inside_N],
    )
    assert figures["sensitivity_ci"] == pytest.approx(ends[0], abs=1e-6)


def test_the_gap_of_two_samples_of_patients_is_that_of_independent_samples():
    predictions, attributes = a_part()
    gap = reported(predictions, attributes)["sex", "female"]["findings"]["Edema"]["gaps"]["auroc"]
    sides = []
    for sex in ("female", "male"):
        inside_N = attributes["sex"] == sex
        codes_N, count = patient_codes(predictions.patients[inside_N])
        labels_N, scores_N = predictions.labels_NF[:, 1], predictions.scores_NF[:, 1]
        sides.append([place(labels_N[inside_N], scores_N[inside_N], codes_N, count)])
    assert gap["ci"] == pytest.approx(samples_interval(*sides), abs=1e-6)
    assert gap["difference"] == pytest.approx(sides[0][0].value - sides[1][0].value, abs=1e-6)


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_zero_out():
    found = []
    for seed in range(12):
        for group in reported(*a_part(150, seed)).values():
            for figures in group["findings"].values():
                found += [gap for gap in figures["gaps"].values() if gap["ci"] is not None]
    outside = [gap["ci"][0] > 0 or gap["ci"][1] < 0 for gap in found]
    assert 5 < sum(outside) < len(found) / 4
    assert outside == [gap["p"] < 0.05 for gap in found]


def test_patients_in_two_views_make_the_gap_narrower_than_independent_ones_would():
    predictions, attributes = a_part(600)
    shared = reported(predictions, attributes)["view", "AP"]["findings"]["Edema"]["gaps"]
    apart_N = predictions.patients * 2 + (attributes["view"] == "AP")
    apart = replace(predictions, patients=apart_N)
    alone = reported(apart, attributes)["view", "AP"]["findings"]["Edema"]["gaps"]
    for figure in ("auroc", "sensitivity", "false_positive_rate", "calibration_in_the_large"):
        assert shared[figure]["difference"] == pytest.approx(alone[figure]["difference"])
        widths = [np.ptp(of[figure]["ci"]) for of in (shared, alone)]
        assert widths[0] < 0.95 * widths[1], figure


def test_both_sides_of_one_gap_are_one_test_in_holms_correction():
    found = reported(*a_part())
    female, male = (
        found["sex", sex]["findings"]["Mass"]["gaps"]["auroc"] for sex in ("female", "male")
    )
    assert female["difference"] == -male["difference"]
    assert female["p_holm"] == male["p_holm"]
    gaps = [
        (key, name, figure, gap)
        for key, group in found.items()
        for name, figures in group["findings"].items()
        for figure, gap in figures["gaps"].items()
    ]
    gaps += [
        (key, "none", "missed", group["underdiagnosis"]["gap"]) for key, group in found.items()
    ]
    smallest = min((gap for *_, gap in gaps if gap), key=lambda gap: gap["p"])
    tests = {
        (key[0], key[1] if key[0] == "sex and view" else "", name, figure)
        for key, name, figure, gap in gaps
        if gap
    }
    assert smallest["p_holm"] == pytest.approx(min(1, len(tests) * smallest["p"]), rel=1e-3)


@pytest.mark.parametrize(("patients", "told"), [(9, "fewer than 10 positive patients"), (10, None)])
def test_fewer_than_10_positive_patients_give_no_figure(patients, told):
    predictions, attributes = a_part()
    rows = np.flatnonzero((attributes["sex"] == "female") & (predictions.labels_NF[:, 0] == 1))
    owners = np.unique(predictions.patients[rows])
    predictions.labels_NF[rows[np.isin(predictions.patients[rows], owners[patients:])], 0] = 0
    figures = reported(predictions, attributes)["sex", "female"]["findings"]["Mass"]
    assert figures["positive_patients"] == patients
    if told is None:
        assert figures["auroc"] is not None
        assert figures["note"] is None
    else:
        assert told in figures["note"]
        assert figures["auroc"] is figures["sensitivity"] is figures["auroc_ci"] is None
        assert figures["gaps"] == {}
        other = reported(predictions, attributes)["sex", "male"]["findings"]["Mass"]
        assert other["auroc"] is not None
        assert "the rest has fewer than 10" in other["note"]


def test_a_gap_that_is_prevalence_alone_is_gone_where_prevalence_is_matched():
    rng = np.random.default_rng(1)
    patients = 4_000
    is_sick_N = rng.random(patients) < np.where(np.arange(patients) % 2, 0.5, 0.1)
    logits_N = np.where(is_sick_N, 1.0, -1.0) + rng.normal(size=patients)
    predictions = Predictions(
        images=np.array([f"{row}.png" for row in range(patients)], dtype=object),
        patients=np.arange(patients),
        findings=("Mass",),
        labels_NF=is_sick_N[:, None].astype(np.float32),
        scores_NF=expit(2 * logits_N - 0.85)[:, None],  # right at 30 %, the mean of the two
    )
    attributes = {"ward": np.where(np.arange(patients) % 2, "b", "a").astype(object)}
    gaps = reported(predictions, attributes, {"Mass": 0.5})["ward", "b"]["findings"]["Mass"]["gaps"]
    calibration = gaps["calibration_in_the_large"]
    assert calibration["difference"] > 1
    assert calibration["p_holm"] < 0.001
    assert calibration["matched_ci"][0] < 0 < calibration["matched_ci"][1]


def test_underdiagnosis_is_the_share_of_images_with_a_finding_of_which_none_is_called():
    predictions, attributes = a_part()
    group = reported(predictions, attributes)["view", "AP"]["underdiagnosis"]
    inside_N = attributes["view"] == "AP"
    sick_N = inside_N & (predictions.labels_NF == 1).any(axis=1)
    called_N = (predictions.scores_NF >= np.array([THRESHOLDS[name] for name in NAMES])).any(axis=1)
    assert group["images"] == sick_N.sum()
    assert group["rate"] == pytest.approx((~called_N)[sick_N].mean(), abs=1e-6)
    renamed = replace(predictions, findings=("Mass", "Edema", "No Finding"))
    thresholds = {"No Finding": 0.02}
    group = reported(renamed, attributes, thresholds)["view", "AP"]["underdiagnosis"]
    sick_N = inside_N & (predictions.labels_NF[:, :2] == 1).any(axis=1)
    says_none_N = predictions.scores_NF[:, 2] >= 0.02
    assert group["rate"] == pytest.approx(says_none_N[sick_N].mean(), abs=1e-6)
    lacking = reported(predictions, attributes, {**THRESHOLDS, "Edema": None})
    assert lacking["view", "AP"]["underdiagnosis"]["note"] == "no threshold for Edema"


def test_health_names_a_gap_that_stands_after_correction_and_no_other():
    predictions, attributes = a_part(900, seed=1)
    plain = {"subgroups": list(reported(predictions, attributes).values())}
    assert list(check_subgroups(plain)) == []
    women_N = attributes["sex"] == "female"
    noise_N = np.random.default_rng(5).random(len(women_N))
    predictions.scores_NF[women_N, 1] = noise_N[women_N]  # Edema is not recognised in women
    (found,) = check_subgroups({"subgroups": list(reported(predictions, attributes).values())})
    assert found.check == "subgroup-gap"
    assert "Edema" in found.text
    assert "sex" in found.evidence["group"]
    assert found.evidence["p_holm"] < 0.05


def test_columns_of_ones_own_table_are_groups_and_a_wrong_one_is_refused(tmp_path):
    labels = tmp_path / "labels.csv"
    rows = ["Image Index,Patient ID,Mass,ward,weight"]
    rows += [
        f"{row}.png,{row},{row % 2},{'[/b]' if row < 30 else 'icu'},{row}" for row in range(60)
    ]
    labels.write_text("\n".join(rows) + "\n")
    images_N = np.array([f"{row}.png" for row in (59, 3, 999)], dtype=object)
    found = further_columns(labels, images_N, ("ward",))
    assert found["ward"].tolist() == ["icu", "[/b]", ""]
    scores = tmp_path / "scores.csv"
    rows = ["Image Index,Mass", *(f"{row}.png,{row / 60}" for row in range(60))]
    scores.write_text("\n".join(rows) + "\n")
    settings = EvaluateSettings(subgroups=("ward",), bootstrap=20)
    report, *_ = report_of_file(scores, labels, settings, test_list=None)
    assert [(one["by"], one["group"]) for one in report["subgroups"]] == [
        ("ward", "[/b]"),
        ("ward", "icu"),
    ]
    for name, told in (("wart", "no column"), ("weight", "60 different values")):
        with pytest.raises(RecipeError, match=told):
            further_columns(labels, np.array([f"{row}.png" for row in range(60)]), (name,))


def test_a_data_frame_has_every_gap():
    found = list(reported(*a_part()).values())
    frame = gaps_of({"subgroups": found})
    gap = found[0]["findings"]["Mass"]["gaps"]["auroc"]
    row = frame.loc[found[0]["by"], found[0]["group"], "Mass", "auroc"]
    assert (row["gap"], row["gap_low"], row["p_holm"]) == (
        *(gap["difference"], gap["ci"][0], gap["p_holm"]),
    )
    assert row["value"] - row["rest"] == pytest.approx(row["gap"], abs=2e-6)
    assert ("sex", "female", "any", "underdiagnosis") in frame.index
    assert gaps_of({"subgroups": []}).empty


def test_odd_parts_give_a_report_without_figures_rather_than_an_error():
    predictions, attributes = a_part(60)
    nothing = {"sex": np.full(len(predictions.images), "", dtype=object)}
    assert reported(predictions, nothing) == {}
    assert reported(predictions, {"sex": np.full(len(predictions.images), "x", dtype=object)}) == {}
    no_scores = replace(predictions, scores_NF=predictions.scores_NF * 10)
    figures = reported(no_scores, attributes)["sex", "male"]["findings"]["Edema"]
    assert figures["auroc"] is not None
    assert figures["calibration_in_the_large"] is None
    predictions.labels_NF[:, 0] = np.nan
    predictions.labels_NF[:, 1] = 1
    predictions.scores_NF[:, 2] = 0.5
    reported(predictions, attributes)
    plain = reported(predictions, attributes, with_intervals=False)
    assert all(
        gap["p"] is gap["ci"] is None
        for group in plain.values()
        for figures in group["findings"].values()
        for gap in figures["gaps"].values()
    )
