"""Recalibration: fitted on val alone, mends what it can, and changes no ranking and no call."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from core.errors import DataError, UsageError
from core.evaluation.calibrating.corp import pooled
from core.evaluation.calibrating.kept_recalibration import (
    FILE,
    keep_recalibration,
    recalibration_of,
)
from core.evaluation.calibrating.prevalence import parse_prevalence
from core.evaluation.calibrating.recalibration import fit_recalibration
from core.evaluation.predictions import Predictions, write_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.health.calibration import check_calibration
from core.recipe_toml import load_recipe
from core.report_shape import PartReport
from core.store.sessions import create_session
from tests.support.simulated_patients import simulated

TRAINED_AT = 0.29
SHARPNESS = 1.5


def scored(prevalence: float, seed: int, patients: int = 700) -> Predictions:
    """Images at a prevalence, with the probabilities of a network that is right at 29 %."""
    drawn = simulated(
        np.random.default_rng(seed), patients, np.array([prevalence]), np.array([0.856])
    )
    logits_NF = logit(TRAINED_AT) + SHARPNESS * drawn.scores_NF - SHARPNESS**2 / 2
    names = np.array([f"{seed}-{row}.png" for row in range(len(logits_NF))], dtype=object)
    patients_N = drawn.patients_N + 1
    return Predictions(names, patients_N, ("Mass",), drawn.labels_NF, expit(logits_NF))


def report_of(test, val, method="none", **more):
    recalibration = None if method == "none" else fit_recalibration(val, method)
    context = EvaluationContext(val=val, recalibration=recalibration, bootstrap=10, **more)
    report = evaluate(test, context)
    PartReport.of(json.loads(json.dumps(report)))
    return report


def named_miscalibrated(report):
    return [answer for answer in check_calibration(report) if answer.check == "probabilities-off"]


def test_a_network_of_29_percent_judged_at_5_is_named_miscalibrated_and_told_why_not_mended():
    test, val = scored(0.05, 1), scored(TRAINED_AT, 2)
    for method in ("none", "platt", "isotonic"):
        (answer,) = named_miscalibrated(report_of(test, val, method))
        assert "Mass" in answer.text
        assert "times too high" in answer.text
        assert "so recalibrating on val can't mend it" in answer.remedy
        assert "--prevalence Mass=0.0" in answer.remedy


def test_too_few_positive_patients_are_never_named_miscalibrated():
    report = report_of(scored(0.05, 1, 150), scored(TRAINED_AT, 2))
    assert report["findings"]["Mass"]["positive_patients"] < 30
    assert report["calibration"]["Mass"]["observed_expected_ci"][1] < 0.5
    assert named_miscalibrated(report) == []


def test_what_one_finding_may_show_is_chance_among_fourteen():
    report = report_of(scored(0.05, 1), scored(TRAINED_AT, 2))
    figures = report["calibration"]["Mass"] | {
        "observed_expected": 1.6,
        "observed_expected_ci": [1.1, 1.6**2 / 1.1],
    }
    for findings, named in ((1, 1), (14, 0)):
        alike = [f"Mass {number}" for number in range(findings)]
        of_many = {
            "findings": dict.fromkeys(alike, report["findings"]["Mass"]),
            "calibration": dict.fromkeys(alike, figures),
        }
        assert len(named_miscalibrated(of_many)) == named


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_where_val_is_at_5_percent_too_recalibration_mends_it(method):
    test, val = scored(0.05, 3, 2000), scored(0.05, 4, 2000)
    (answer,) = named_miscalibrated(report_of(test, val))
    assert "evaluate.recalibrate" in answer.remedy
    after = report_of(test, val, method)
    assert named_miscalibrated(after) == []
    figures, before = after["calibration"]["Mass"], after["recalibration"]["before"]["Mass"]
    low, high = figures["observed_expected_ci"]
    assert low < 1 < high
    assert before["observed_expected"] < 0.5
    assert figures["brier"] < before["brier"]


def test_a_given_prevalence_shifts_the_intercept_where_val_differs():
    test, val = scored(0.05, 5, 2000), scored(TRAINED_AT, 6, 2000)
    report = report_of(test, val, "platt", prevalence=("mass=0.05",))
    elsewhere = report["at_prevalence"]["Mass"]
    wanted = logit(0.05) - logit(report["calibration"]["Mass"]["val_prevalence"])
    assert elsewhere["logit_shift"] == pytest.approx(wanted, abs=1e-5)
    assert elsewhere["shifted_from_part"] == "val"
    low, high = elsewhere["calibration"]["intercept_ci"]
    assert low < 0 < high
    assert report["calibration"]["Mass"]["intercept_ci"][1] < -1


def test_the_networks_own_probabilities_are_shifted_from_the_prevalence_that_it_was_trained_at():
    test, val = scored(0.05, 16, 2000), scored(0.05, 17)
    report = report_of(test, val, prevalence=("Mass=0.05",), train_prevalence={"Mass": TRAINED_AT})
    elsewhere = report["at_prevalence"]["Mass"]
    assert (elsewhere["shifted_from"], elsewhere["shifted_from_part"]) == (TRAINED_AT, "train")
    low, high = elsewhere["calibration"]["observed_expected_ci"]
    assert low < 1 < high


def test_ppv_and_npv_at_the_parts_own_prevalence_are_its_own():
    test, val = scored(0.1, 7), scored(0.1, 8)
    own = report_of(test, val)["findings"]["Mass"]
    share = own["positives"] / (own["positives"] + own["negatives"])
    report = report_of(test, val, prevalence=(f"Mass={share}",))
    there, point = report["at_prevalence"]["Mass"]["there"], own["operating_point"]
    assert there["ppv"] == pytest.approx(point["ppv"], abs=1e-6)
    assert there["npv"] == pytest.approx(point["npv"], abs=1e-6)
    called = point["counts"]["true_positives"] + point["counts"]["false_positives"]
    assert there["alarms_per_1000"] == pytest.approx(1000 * called / len(test.images), abs=1e-3)
    assert there["ppv_ci"][0] < there["ppv"] < there["ppv_ci"][1]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_no_ranking_and_no_call_changes(method):
    test, val = scored(0.1, 9), scored(0.1, 10)
    before, after = report_of(test, val), report_of(test, val, method)
    one, other = before["findings"]["Mass"], after["findings"]["Mass"]
    assert one["auroc"] == other["auroc"]
    assert one["operating_point"]["counts"] == other["operating_point"]["counts"]
    assert other["operating_point"]["threshold_raw"] == one["operating_point"]["threshold"]
    recalibration = fit_recalibration(val, method)
    raw_N = test.scores_NF[:, 0]
    shown_N = recalibration.predictions(test).scores_NF[:, 0]
    assert (np.diff(shown_N[np.argsort(raw_N)]) > 0).all()
    threshold = one["operating_point"]["threshold"]
    carried = recalibration.threshold("Mass", threshold)
    assert np.array_equal(shown_N >= carried, raw_N >= threshold)


def test_platt_is_the_unpenalised_logistic_regression_of_scikit_learn():
    val = scored(0.1, 11)
    logits_K1 = logit(val.scores_NF)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(
        logits_K1, val.labels_NF[:, 0]
    )
    ours = fit_recalibration(val, "platt").scores("Mass", val.scores_NF[:, 0])
    assert np.abs(ours - theirs.predict_proba(logits_K1)[:, 1]).max() < 1e-6


def test_isotonic_is_scikit_learns_with_its_steps_joined():
    val = scored(0.2, 12)
    scores_K, labels_K = val.scores_NF[:, 0], val.labels_NF[:, 0].astype(np.float64)
    theirs_K = IsotonicRegression().fit_transform(scores_K, labels_K)
    blocks = pooled(scores_K, labels_K)
    assert np.abs(blocks.shares[blocks.block_K] - theirs_K).max() < 1e-9
    recalibration = fit_recalibration(val, "isotonic")
    ours_K = recalibration.scores("Mass", scores_K)
    assert np.abs(ours_K - theirs_K).mean() < 0.02
    assert ours_K.mean() == pytest.approx(labels_K.mean(), rel=0.05)
    assert 0 < ours_K.min() < ours_K.max() < 1


def test_what_val_cannot_tell_stays_as_it_is_with_the_reason():
    val = scored(0.1, 13, patients=60)
    labels_NF = val.labels_NF.copy()
    labels_NF[np.flatnonzero(labels_NF[:, 0] == 1)[2:], 0] = 0
    few = Predictions(val.images, val.patients, val.findings, labels_NF, val.scores_NF)
    found = fit_recalibration(few, "platt")
    assert found.maps == {}
    assert "too few to recalibrate" in found.notes["Mass"]
    assert np.array_equal(found.predictions(few).scores_NF, few.scores_NF)
    plain = scored(0.1, 14)
    turned = Predictions(
        plain.images, plain.patients, plain.findings, plain.labels_NF, 1 - plain.scores_NF
    )
    for method in ("platt", "isotonic"):
        found = fit_recalibration(turned, method)
        assert "wrong way round" in found.notes["Mass"]
    foreign = Predictions(
        plain.images, plain.patients, plain.findings, plain.labels_NF, 9 * plain.scores_NF
    )
    assert "between 0 and 1" in fit_recalibration(foreign, "platt").notes["Mass"]


@pytest.fixture
def session(tmp_path, phantom_dir):
    keys = [
        "dataset.phantom=none",
        f"dataset.images={phantom_dir}",
        "evaluate.recalibrate=isotonic",
    ]
    session = create_session(tmp_path / "sessions", load_recipe("demo", keys), "recalibrated")
    session.predictions.mkdir(exist_ok=True)
    write_predictions(session.predictions / "val.csv", scored(0.1, 15))
    return session


def test_a_session_keeps_its_maps_and_nothing_of_a_patient(session):
    assert recalibration_of(session, "none") is None
    keep_recalibration(session)
    text = (session.path / FILE).read_text()
    kept = json.loads(text)
    assert set(kept) == {"method", "fitted_on", "scale", "findings", "notes", "prevalence"}
    assert ".png" not in text
    assert recalibration_of(session) == fit_recalibration(scored(0.1, 15), "isotonic")
    shutil.copy(session.predictions / "val.csv", session.path / "kept.csv")
    (session.predictions / "val.csv").unlink()
    assert recalibration_of(session).maps == recalibration_of(session, "isotonic").maps
    assert recalibration_of(session, "platt") is None  # nothing is left to fit it on


@pytest.mark.parametrize(
    "changes",
    [
        {"at": [1.0, 0.5]},
        {"to": [0.1]},
        {"below": 0},
        {"at": "[/red]\x1b[31m"},
        {"at": [float("nan"), 1.0]},
    ],
)
def test_a_damaged_file_is_refused_with_what_to_do(session, changes):
    kept = {"at": [0.0, 1.0], "to": [0.0, 1.0], "below": 0.1, "above": 0.1} | changes
    content = {"method": "isotonic", "findings": {"Mass": kept}}
    (session.path / FILE).write_text(json.dumps(content))
    with pytest.raises(DataError, match="damaged or was edited") as told:
        recalibration_of(session)
    assert "Delete it" in str(told.value.remedy)


@pytest.mark.parametrize("text", ["Mass", "Mass=", "Mass=0", "Mass=1", "Mass=nan", "Moss=0.1"])
def test_a_prevalence_that_is_none_is_refused(text):
    with pytest.raises(UsageError):
        parse_prevalence([text], ["Mass"])
