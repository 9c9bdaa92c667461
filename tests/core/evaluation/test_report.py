"""The evaluation of the contract: what stands beside every figure, and what it never says."""

import json

import numpy as np
import pytest

from core.errors import RecipeError
from core.evaluation.metrics import auroc
from core.evaluation.predictions import Predictions
from core.evaluation.references import (
    is_official_test,
    load_references,
    reference_for,
    references_of,
)
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.table_baseline import TableAlone
from core.findings import FINDINGS


def predictions_of(
    seed=0, patients=200, images_each=3, findings=("Mass", "Hernia"), prevalence=0.3
):
    rng = np.random.default_rng(seed)
    images = patients * images_each
    labels = (rng.random((images, len(findings))) < prevalence).astype(np.float32)
    scores = 1 / (1 + np.exp(-(labels + rng.normal(size=labels.shape))))
    return Predictions(
        images=np.array([f"{row:08d}.png" for row in range(images)], dtype=object),
        patients=np.repeat(np.arange(patients), images_each),
        findings=findings,
        labels_NF=labels,
        scores_NF=scores.astype(np.float32),
    )


def evaluated(predictions=None, **context):
    report = evaluate(
        predictions or predictions_of(), EvaluationContext(**{"bootstrap": 100} | context)
    )
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report


def with_labels(predictions, column, labels):
    labels_NF = predictions.labels_NF.copy()
    labels_NF[:, column] = labels
    return Predictions(
        predictions.images,
        predictions.patients,
        predictions.findings,
        labels_NF,
        predictions.scores_NF,
    )


def test_a_report_has_every_key_of_the_contract():
    report = evaluated()
    assert {
        "split",
        "images",
        "patients",
        "findings",
        "mean_auroc",
        "mean_auroc_ci",
        "warnings",
    } <= set(report)
    assert (report["split"], report["images"], report["patients"]) == ("test", 600, 200)
    mass = report["findings"]["Mass"]
    assert {
        "positives",
        "negatives",
        "positive_patients",
        "prevalence",
        "auroc",
        "auroc_ci",
    } <= set(mass)
    assert {"auprc", "auprc_ci", "auroc_by_view", "note"} <= set(mass)
    assert mass["positives"] + mass["negatives"] == 600
    assert mass["auroc_ci"][0] < mass["auroc"] < mass["auroc_ci"][1]
    assert mass["auprc_ci"][0] < mass["auprc"] < mass["auprc_ci"][1]
    assert report["mean_auroc_ci"][0] < report["mean_auroc"] < report["mean_auroc_ci"][1]
    assert report["labels_note"] == "Labels were mined from reports; some are wrong."
    assert report["warnings"] == []


def test_a_finding_without_positives_is_null_with_a_note_and_is_not_in_the_mean():
    report = evaluated(with_labels(predictions_of(), 1, 0))
    hernia = report["findings"]["Hernia"]
    assert hernia["auroc"] is hernia["auroc_ci"] is hernia["auprc"] is None
    assert hernia["note"] == "no positive image in test: AUROC needs both"
    assert report["mean_auroc"] == report["findings"]["Mass"]["auroc"]
    assert report["mean_auroc_over"] == ["Mass"]
    assert any("no AUROC in test for Hernia" in warning for warning in report["warnings"])


def test_scores_cut_to_integers_are_said_to_be_so():
    whole = predictions_of()
    cut = Predictions(
        whole.images,
        whole.patients,
        whole.findings,
        whole.labels_NF,
        whole.scores_NF.astype(int).astype(np.float32),
    )
    report = evaluated(cut)
    assert {figures["auroc"] for figures in report["findings"].values()} == {0.5}
    assert all(".astype(int)" in figures["note"] for figures in report["findings"].values())
    assert any("cut to integers" in warning for warning in report["warnings"])


def test_few_positive_patients_are_noted_and_very_few_warned_of():
    predictions = predictions_of()
    some = evaluated(with_labels(predictions, 1, predictions.patients < 32))
    assert some["findings"]["Hernia"]["note"] == (
        "96 positive images of 32 patients: read the interval, not the number"
    )
    assert some["warnings"] == []
    few = evaluated(with_labels(predictions, 1, predictions.patients < 4))
    assert "too few positive patients in test: Hernia (4)" in few["warnings"]


def test_images_of_unknown_patients_each_count_as_a_patient_and_are_warned_of():
    known = predictions_of()
    patients = np.where(known.patients < 10, -1, known.patients)
    unknown = Predictions(known.images, patients, known.findings, known.labels_NF, known.scores_NF)
    report = evaluated(unknown)
    assert report["patients"] == 190 + 30
    assert any("the patient of 30 images is unknown" in warning for warning in report["warnings"])


def test_auroc_is_given_by_view():
    predictions = predictions_of()
    views = np.where(np.arange(600) % 2, "PA", "").astype(object)
    by_view = evaluated(predictions, views=views)["findings"]["Mass"]["auroc_by_view"]
    odd = slice(1, None, 2)
    expected = auroc(predictions.labels_NF[odd, 0], predictions.scores_NF[odd, 0])
    assert by_view == {"PA": pytest.approx(expected, abs=1e-6), "AP": None}
    assert evaluated(predictions)["findings"]["Mass"]["auroc_by_view"] == {"PA": None, "AP": None}


def test_the_threshold_comes_from_val_and_its_figures_from_test():
    test, val = predictions_of(0), predictions_of(1, patients=50)
    point = evaluated(test, val=val, operating_point="sensitivity=0.9")["findings"]["Mass"][
        "operating_point"
    ]
    assert point["on_val"]["sensitivity"] >= 0.9
    val_scores = np.unique(val.scores_NF[:, 0].astype(float))
    above = np.searchsorted(val_scores, point["threshold"])
    odds = val_scores[[above - 1, above]] / (1 - val_scores[[above - 1, above]])
    assert point["threshold"] / (1 - point["threshold"]) == pytest.approx(np.sqrt(odds.prod()))
    called = test.scores_NF[:, 0].astype(np.float64) >= point["threshold"]
    positive = test.labels_NF[:, 0] == 1
    assert point["sensitivity"] == pytest.approx(called[positive].mean(), abs=1e-6)
    assert point["specificity"] == pytest.approx((~called)[~positive].mean(), abs=1e-6)
    assert point["ppv"] == pytest.approx(positive[called].mean(), abs=1e-6)
    assert point["npv"] == pytest.approx((~positive)[~called].mean(), abs=1e-6)
    assert sum(point["counts"].values()) == 600


def test_no_threshold_is_given_where_val_is_missing_or_has_one_class():
    without = evaluated()["findings"]["Mass"]["operating_point"]
    assert without["threshold"] is None
    assert without["note"] == "no predictions on val, so no threshold can be chosen"
    one_class = evaluated(val=with_labels(predictions_of(1), 1, 0))["findings"]["Hernia"]
    assert one_class["operating_point"]["threshold"] is None
    assert "no positive image in val" in one_class["operating_point"]["note"]


def test_what_the_table_alone_reaches_stands_beside_each_finding():
    alone = TableAlone({"Mass": 0.54, "Hernia": None}, 0.54, None)
    report = evaluated(table_alone=alone)
    assert report["findings"]["Mass"]["table_alone_auroc"] == 0.54
    assert report["findings"]["Hernia"]["table_alone_auroc"] is None
    assert report["table_alone"]["mean_auroc"] == 0.54
    assert report["table_alone"]["note"] is report["table_alone"]["mean_auroc_ci"] is None
    left_out = evaluated(table_alone=TableAlone({}, None, "the label table has no age column"))
    assert left_out["table_alone"]["note"] == "the label table has no age column"


def test_figures_of_views_the_table_and_the_threshold_have_intervals_that_count_patients():
    predictions = predictions_of(patients=300)
    labels, scores = predictions.labels_NF, predictions.scores_NF
    rng = np.random.default_rng(1)
    table = (labels + 3 * rng.normal(size=labels.shape)).astype(np.float64)
    alone = TableAlone(
        {name: auroc(labels[:, f], table[:, f]) for f, name in enumerate(predictions.findings)},
        0.6,
        None,
        table,
    )
    views = np.where(np.arange(900) % 2, "PA", "AP").astype(object)
    report = evaluated(predictions, views=views, table_alone=alone, val=predictions_of(1))
    mass = report["findings"]["Mass"]
    point = mass["operating_point"]
    pairs = [(mass["auroc_by_view"][view], mass["auroc_by_view_ci"][view]) for view in ("PA", "AP")]
    pairs += [(mass["table_alone_auroc"], mass["table_alone_auroc_ci"])]
    pairs += [(mass["auroc_above_table"], mass["auroc_above_table_ci"])]
    pairs += [
        (point[share], point[f"{share}_ci"])
        for share in ("sensitivity", "specificity", "ppv", "npv")
    ]
    for value, (low, high) in pairs:
        assert low < value < high
        assert high - low < 0.25
    assert mass["auroc_above_table"] == pytest.approx(mass["auroc"] - mass["table_alone_auroc"])
    assert report["table_alone"]["mean_auroc_above_ci"][0] > 0
    assert report["table_alone"]["mean_auroc_ci"][0] < 0.6
    assert mass["effective_positive_patients"] <= mass["positive_patients"]
    # Copies of each image make no figure surer.
    twice = np.repeat(np.arange(900), 2)
    copied = Predictions(
        np.array([f"{row}.png" for row in range(1800)], dtype=object),
        predictions.patients[twice],
        predictions.findings,
        labels[twice],
        scores[twice],
    )
    again = evaluated(copied, views=views[twice], val=predictions_of(1))["findings"]["Mass"]
    assert again["auroc_by_view_ci"]["PA"] == pytest.approx(mass["auroc_by_view_ci"]["PA"])
    assert again["operating_point"]["ppv_ci"] == pytest.approx(point["ppv_ci"])


def test_no_draws_mean_no_interval_of_any_figure():
    views = np.where(np.arange(600) % 2, "PA", "AP").astype(object)
    report = evaluated(bootstrap=0, views=views, val=predictions_of(1))
    mass = report["findings"]["Mass"]
    assert mass["auroc_by_view_ci"] == {"PA": None, "AP": None}
    assert mass["operating_point"]["sensitivity_ci"] is None
    assert report["warnings"] == []


def test_a_drawn_part_stands_beside_what_it_would_be_in_the_whole_part():
    whole = predictions_of(patients=4000, prevalence=0.1)
    rng = np.random.default_rng(2)
    is_negative = whole.labels_NF[:, 0] == 0
    kept = ~is_negative | (rng.random(len(is_negative)) < 0.25)
    drawn = Predictions(
        whole.images[kept],
        whole.patients[kept],
        whole.findings,
        whole.labels_NF[kept],
        whole.scores_NF[kept],
    )
    share = (is_negative & kept).sum() / is_negative.sum()
    val = predictions_of(1)
    report = evaluated(
        drawn,
        val=val,
        label_table="NIH v2020 (labels.csv)",
        natural_prevalence={"Mass": 0.1, "Hernia": 0.1},
        weights=np.where(drawn.labels_NF[:, 0] == 1, 1.0, 1 / share),
    )
    mass, natural = report["findings"]["Mass"], evaluated(whole, val=val)["findings"]["Mass"]
    assert report["label_table"] == "NIH v2020 (labels.csv)"
    assert mass["natural_prevalence"] == 0.1
    assert mass["auprc"] > mass["auprc_natural"] + 0.1
    assert mass["auprc_natural"] == pytest.approx(natural["auprc"], abs=0.03)
    point, beside = mass["operating_point"], natural["operating_point"]
    assert point["ppv"] > point["ppv_natural"] + 0.1
    assert point["ppv_natural"] == pytest.approx(beside["ppv"], abs=0.02)
    assert point["npv_natural"] == pytest.approx(beside["npv"], abs=0.01)
    assert natural["natural_prevalence"] is natural["auprc_natural"] is None


def test_a_mean_without_an_interval_names_why_and_what_the_others_reach():
    predictions = predictions_of(findings=("Mass", "Effusion", "Hernia"))
    report = evaluated(with_labels(predictions, 2, predictions.patients < 2))
    assert report["mean_auroc_ci"] is None
    others = report["mean_auroc_with_interval"]
    assert others["over"] == ["Mass", "Effusion"]
    assert others["ci"][0] < others["auroc"] < others["ci"][1]
    assert any("since Hernia has none; over the other 2 it is" in w for w in report["warnings"])


def test_a_part_of_the_data_set_is_said_to_be_one():
    report = evaluated(dataset_share=0.0021, extra_warnings=("first of all",))
    assert report["warnings"] == [
        "first of all",
        "a part of the data set was scored: 0.21 % of its images were there",
    ]


def test_the_same_predictions_give_the_same_report_in_any_order_of_rows():
    whole = predictions_of()
    order = np.random.default_rng(0).permutation(600)
    shuffled = Predictions(
        whole.images[order],
        whole.patients[order],
        whole.findings,
        whole.labels_NF[order],
        whole.scores_NF[order],
    )
    assert evaluated(shuffled) == evaluated(whole)


def test_no_image_at_all_is_a_report_of_nulls():
    empty = predictions_of(patients=0)
    report = evaluated(empty)
    assert report["images"] == report["patients"] == 0
    assert report["mean_auroc"] is report["mean_auroc_ci"] is None


# Published figures


def official_sized():
    return predictions_of(patients=2797, images_each=10)


def test_published_figures_stand_only_beside_the_split_they_were_measured_on():
    on_official = evaluated(
        official_sized(), split_kind="official", reference="wang2017_official", bootstrap=0
    )
    assert on_official["findings"]["Mass"]["reference_auroc"] == 0.6933
    assert on_official["reference"]["measured_on"] == "the official test part, 25,596 images"
    assert on_official["warnings"] == []
    elsewhere = evaluated(split_kind="patient", reference="wang2017_official")
    assert elsewhere["findings"]["Mass"]["reference_auroc"] is None
    assert elsewhere["reference"]["mean_auroc"] is None
    assert any("measured on the official test part" in text for text in elsewhere["warnings"])


@pytest.mark.parametrize("split_kind", ["official", "patient", "lists", "unknown"])
def test_figures_of_a_random_split_are_shown_beside_no_other(split_kind):
    shown = reference_for("chexnet2017", split_kind)
    assert shown.auroc_by_finding is None
    assert "an undisclosed random 70/10/20 split by patient" in shown.warning


def test_a_fraction_of_the_official_test_part_is_another_test_set():
    assert reference_for("wang2017_official", "official", num_images=45).auroc_by_finding is None
    assert reference_for("wang2017_official", "official", num_images=25_590).auroc_by_finding
    assert reference_for("wang2017_official", "official", part="val").auroc_by_finding is None
    assert reference_for("none", "official") is None


def test_every_published_column_is_whole_and_says_where_it_comes_from():
    references = load_references()
    assert list(references_of("nih"))[:6] == [
        "wang2017_official",
        "chexnet2017",
        "reproduce_chexnet2022",
        "arnoweng",
        "zoogzog_tencrop",
        "swinchex2022_official",
    ]
    for column in references_of("nih")[:7]:
        assert set(references[column].auroc_by_finding) == set(FINDINGS)
    for reference in references.values():
        assert all(0.6 < figure < 1 for figure in reference.auroc_by_finding.values())
        assert reference.model
        assert reference.source
        assert reference.measured_on
        assert reference.split_kind in ("official", "random-by-patient", "random", "other set")
    assert np.mean(list(references["chexnet2017"].auroc_by_finding.values())) == pytest.approx(
        0.8414, abs=1e-4
    )


def test_an_unknown_reference_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match="Did you mean 'chexnet2017'"):
        evaluated(reference="chexnet2018")


def test_a_part_is_the_official_test_part_only_where_nearly_all_of_it_is_there():
    assert is_official_test("official", "test", 25_590)
    assert not is_official_test("official", "test", 20_000)
    assert not is_official_test("official", "val", 25_596)
    assert not is_official_test("patient", "test", 25_596)


def test_what_was_not_read_in_the_publication_itself_is_marked_and_splits_have_their_owner():
    references = load_references()
    for column in ("wang2017_official", "swinchex2022_official"):
        assert "read second-hand" in references[column].source
    assert "as jrzech/reproduce-chexnet quotes it" in references["chexnet2017"].source
    assert "its own random split" in references["arnoweng"].measured_on
    assert "of arnoweng/CheXNet" in references["zoogzog_tencrop"].measured_on
    assert not any("table 17" in reference.source for reference in references.values())


def test_a_column_of_chexpert_is_shown_only_with_its_own_official_validation_part():
    column = "chexpert_kamenbliznashki_imagenet"

    def shown(*, split_kind="official", part="chexpert valid", images=202):
        return reference_for(column, split_kind, num_images=images, official_part=part)

    assert shown().auroc_by_finding["Edema"] == 0.936
    assert set(shown().auroc_by_finding) == {
        *("Atelectasis", "Cardiomegaly", "Effusion", "Consolidation", "Edema")
    }
    assert "200 studies, and these are 202 images" in shown().no_difference
    assert shown(images=200).no_difference is None
    for other in (
        shown(split_kind="patient"),
        shown(part="chexpert test", images=668),
        shown(part="chexpert train"),
        shown(part=None),
        shown(part="mimic-cxr test"),
        shown(images=40),
    ):
        assert other.auroc_by_finding is None
        assert "CheXpert's official validation part" in other.warning
    nihs = reference_for("wang2017_official", "official", official_part="chexpert valid")
    assert nihs.auroc_by_finding is None
    for random in ("mimic_chexclusion2020", "vindr_xrv_all", "nih_jfhealthcare"):
        assert reference_for(random, "official", official_part=part_of(random)).warning


def part_of(column):
    return f"{load_references()[column].kind} test"
