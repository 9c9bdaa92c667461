"""A run that can't learn says so within its first steps, and one that can stays quiet."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from parts import part_of

from core.errors import RunFailedError
from core.evaluation.predict import Placement, part_predictions
from core.events import Diagnosed, EpochDone
from core.health.diagnosis import Severity
from core.health.epochs import check_metric, check_overfitting, check_schedule
from core.health.learning import (
    Spread,
    check_batch_norm,
    check_extreme_logits,
    check_gradient,
    check_rate,
    check_spread,
)
from core.health.training_watch import TrainingWatch
from core.health.watch import HealthRecord
from core.model.densenet import build_model
from core.model.precision import Precision
from core.recipe_toml import checked_recipe
from core.requests import Request
from core.store.sessions import create_session
from core.training import fit as fit_module
from core.training.context import RunContext
from core.training.control import Control
from core.training.fit import Fit
from core.training.trainer import Trainer

IMAGES, SIZE_PX = 240, 32
FINDINGS = ("Mass", "Effusion")


def bright_where_present(labels_NF):
    """Noise, with a bright half for each finding that is present: easy to learn."""
    rng = np.random.default_rng(0)
    images = rng.integers(60, 120, (len(labels_NF), SIZE_PX, SIZE_PX))
    images[:, :16] += (80 * labels_NF[:, 0]).astype(int)[:, None, None]
    images[:, 16:] += (80 * labels_NF[:, 1]).astype(int)[:, None, None]
    return images.astype(np.uint8)


def part(name, make_images, seed, images=IMAGES):
    labels_NF = (np.random.default_rng(seed).random((images, 2)) < 0.4).astype(np.float32)
    return part_of(name, make_images(labels_NF), labels_NF)


def told(
    tmp_path,
    *,
    freeze=False,
    silent_head=False,
    stale_statistics=False,
    val_images=IMAGES,
    steps=math.inf,
    **settings,
):
    """The answers of a run of two epochs of 30 steps, as its events tell them."""
    train = {"batch_size": 8, "epochs": 2, "learning_rate": 0.01} | settings
    recipe = checked_recipe(
        {
            "image": {"size_px": SIZE_PX},
            "dataset": {"findings": list(FINDINGS)},
            "train": train,
        },
        "test",
    )
    model = build_model(FINDINGS, seed=0)
    if freeze:
        model.features.requires_grad_(False)
    if silent_head:
        torch.nn.init.zeros_(model.classifier.weight)
    if stale_statistics:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1e-4
    train_part = part("train", bright_where_present, seed=1)
    trainer = Trainer(
        model, train_part, recipe, Placement(torch.device("cpu"), Precision("fp32", "a test"))
    )
    events = []
    base = trainer.host_objective.base_rate_loss(torch.from_numpy(train_part.labels_NF))
    val = part("val", bright_where_present, seed=2, images=val_images)
    watch = TrainingWatch(HealthRecord(events.append), val, base)

    def next_request():
        return Request.STOP if trainer.progress.step >= steps else Request.CONTINUE

    control = Control(next_request, lambda: Request.CONTINUE, events.append)
    session = create_session(tmp_path, recipe)
    fit = Fit(
        trainer, val, RunContext(session, control, events.append, lambda write: write()), {}, watch
    )
    with contextlib.suppress(RunFailedError):  # what it told before is what counts
        fit.run()
    return [event for event in events if isinstance(event, Diagnosed)]


def complaints(answers):
    return {event.check: event for event in answers if event.severity not in ("ok", "note")}


def test_a_run_that_learns_is_not_complained_of_and_says_that_it_learns(tmp_path):
    answers = told(tmp_path)
    assert complaints(answers) == {}
    texts = " ".join(event.text for event in answers)
    assert "gradients reach the first layer" in texts
    assert "below the base rate" in texts


def test_a_network_that_says_the_same_for_every_image_is_told_by_step_50(tmp_path):
    found = complaints(told(tmp_path, silent_head=True, learning_rate=1e-9))
    assert found["same-for-every-image"].step <= 50
    assert found["same-for-every-image"].evidence["logit_spread"] < 0.01


def test_a_learning_rate_that_is_far_too_high_is_told_with_a_lower_one(tmp_path):
    found = complaints(told(tmp_path, learning_rate=8.0))
    assert found["learning-rate"].changes == ("train.learning_rate=0.8",)
    assert "too high" in found["learning-rate"].text


def test_a_learning_rate_that_moves_nothing_is_told_with_a_higher_one(tmp_path):
    found = complaints(told(tmp_path, learning_rate=1e-9))
    assert found["learning-rate"].changes == ("train.learning_rate=1e-08",)
    assert "too low" in found["learning-rate"].text


def test_a_network_whose_first_layers_get_no_gradient_is_told_after_one_step(tmp_path):
    found = complaints(told(tmp_path, freeze=True))
    assert found["gradient"].severity == "stop"
    assert found["gradient"].step == 1


@pytest.mark.parametrize("stale", [True, False])
def test_running_statistics_that_lag_behind_are_told_at_step_200(tmp_path, stale):
    # At a tenfold rate the healthy one is at the edge of the same answer: a bit decides.
    answers = told(
        tmp_path,
        stale_statistics=stale,
        batch_size=4,
        epochs=9,
        val_images=16,
        steps=200,
        learning_rate=0.001,
    )
    found = complaints(answers)
    assert ("batch-norm" in found) == stale
    if stale:
        assert found["batch-norm"].step == 200
        evidence = found["batch-norm"].evidence
        assert evidence["loss_in_eval_mode"] > 2 * evidence["loss_in_train_mode"]


def test_scores_cut_to_integers_in_a_run_are_told_as_a_broken_metric(tmp_path, monkeypatch):
    """The report's own fault: the loss falls, and the AUROC of the scores' integers is 0.5."""

    def cut(part, findings, logits_NF):
        whole = part_predictions(part, findings, logits_NF)
        return replace(whole, scores_NF=whole.scores_NF.astype(int).astype(float))

    monkeypatch.setattr(fit_module, "part_predictions", cut)
    found = complaints(told(tmp_path))
    assert found["metric-broken"].evidence["mean_auroc"] == 0.5
    assert found["metric-broken"].step <= 60
    assert "scores-constant" in found


def test_looking_changes_nothing_of_the_run(tmp_path):
    kept = []
    for watched in (True, False):
        torch.manual_seed(5)
        trainer, watch = small_trainer(watched)
        if watched:
            watch.before_step(trainer)
        for batch, result in trainer.epoch_steps():
            if watched:
                watch.after_step(trainer, batch, result)
                if trainer.progress.step == 2:
                    watch._judge(trainer, 2)
                    watch._judge_batch_norm(trainer, batch, 2)
        kept.append((trainer.model.state_dict(), torch.rand(3)))
    (watched, draw), (alone, same_draw) = kept
    assert torch.equal(draw, same_draw)
    assert all(torch.equal(watched[name], alone[name]) for name in alone)


def small_trainer(watched):
    recipe = checked_recipe(
        {
            "image": {"size_px": SIZE_PX},
            "dataset": {"findings": list(FINDINGS)},
            "train": {"batch_size": 80},
        },
        "test",
    )
    placement = Placement(torch.device("cpu"), Precision("fp32", "a test"))
    trainer = Trainer(
        build_model(FINDINGS, seed=0), part("train", bright_where_present, 1), recipe, placement
    )
    record = HealthRecord(lambda _: None)
    val = part("val", bright_where_present, 2)
    return trainer, TrainingWatch(record, val, 0.6) if watched else None


def severities(answers):
    return [answer.severity for answer in answers]


def test_the_same_logits_for_every_image_stop_at_step_200_if_positives_were_seen():
    flat = Spread(200, {"Mass": 0.001, "Effusion": 0.002}, 32)
    assert severities(check_spread(flat, None, {"Mass": 50})) == [Severity.STOP]
    assert severities(check_spread(flat, None, {"Mass": 3})) == []
    alive = Spread(200, {"Mass": 0.001, "Effusion": 0.8}, 32)
    assert severities(check_spread(alive, None, {"Mass": 50, "Effusion": 50})) == [Severity.OK]


def test_a_gradient_of_nothing_stops():
    assert severities(check_gradient(0.0, 1.0, 1)) == [Severity.STOP]
    assert severities(check_gradient(0.1, 1.0, 1)) == [Severity.OK]


def rate_told(ratio, first, last, base=0.45, share_of_peak=1.0):
    losses = [*[first] * 20, *[last] * 20]
    (found,) = check_rate(losses, ratio, base, 1e-5, share_of_peak)
    return found.severity, found.text


def test_small_steps_are_told_where_the_loss_stays_over_the_base_rate():
    severity, text = rate_told(1.4e-6, 0.71, 0.68)
    assert severity is Severity.WARNING
    assert "too low" in text
    assert rate_told(1.4e-6, 0.71, 0.5)[0] is Severity.OK, "it falls"
    assert rate_told(1.4e-6, 0.2, 0.195)[0] is Severity.OK, "it has learnt before"
    assert rate_told(1.4e-6, 0.71, 0.68, share_of_peak=0.01)[0] is Severity.OK, "it warms up"
    assert rate_told(1e-3, 0.71, 0.68)[0] is Severity.OK


def test_a_loss_whose_median_alone_is_under_the_base_rate_is_not_called_learning():
    losses = [0.1, 0.1, 1.4] * 10  # as of one image at a time: mostly negative ones
    (found,) = check_rate(losses, 1e-3, 0.45, 0.001)
    assert found.severity is Severity.OK
    assert "below the base rate" not in found.text


def test_too_few_losses_say_nothing_of_the_rate():
    assert list(check_rate([0.7] * 5, None, 0.6, 0.01)) == []


def test_extreme_logits_are_told():
    assert severities(check_extreme_logits(0.2, 50)) == [Severity.WARNING]
    assert severities(check_extreme_logits(0.0, 50)) == []


def test_running_statistics_that_do_not_fit_are_told():
    assert severities(check_batch_norm(0.3, 2.0, 0.6, 200)) == [Severity.WARNING]
    assert severities(check_batch_norm(0.3, 0.4, 0.6, 200)) == []


def epochs(val_losses, train_losses, best):
    return [
        EpochDone(
            epoch=number,
            step=number,
            train_loss=train,
            val_loss=val,
            auroc={},
            mean_auroc=None,
            selected_on=(),
            is_best=number == best,
            learning_rate=0.01,
            seconds=1,
        )
        for number, (val, train) in enumerate(zip(val_losses, train_losses, strict=True), start=1)
    ]


def test_overfitting_is_told_from_the_epoch_where_val_loss_turned():
    (found,) = check_overfitting(epochs([0.5, 0.4, 0.45, 0.5, 0.6], [0.5, 0.4, 0.3, 0.2, 0.1], 2))
    assert "since epoch 3" in found.text
    assert found.severity is Severity.NOTE
    assert found.changes == ("train.early_stopping=3",)
    assert not list(check_overfitting(epochs([0.5, 0.4, 0.45, 0.4], [0.5, 0.4, 0.3, 0.2], 2)))


def test_overfitting_is_told_of_a_val_loss_that_jumps_and_stays_over_its_lowest():
    jumps, falls = [0.56, 0.93, 0.81, 1.38], [0.56, 0.44, 0.3, 0.2]
    (found,) = check_overfitting(epochs(jumps, falls, 2))
    assert "since epoch 2" in found.text
    (better,) = check_overfitting(epochs(jumps, falls, 4))
    assert "ranking of the images still improves" in better.text
    assert not list(check_overfitting(epochs(jumps, [0.56, 0.55, 0.54, 0.53], 2)))
    assert not list(check_overfitting(epochs([0.56, 0.93, 0.57, 0.6], falls, 2)))


def test_a_plateau_that_cut_the_rate_to_nothing_is_told_while_epochs_remain():
    settings = checked_recipe({"train": {"schedule": "plateau", "epochs": 9}}, "test").train
    assert severities(check_schedule(settings, 1e-6, 5)) == [Severity.NOTE]
    assert not list(check_schedule(settings, 0.001, 5))
    assert not list(check_schedule(settings, 1e-6, 9))


def test_a_loss_under_the_base_rate_beside_an_auroc_at_chance_is_a_broken_metric():
    (found,) = check_metric([0.15], 0.18, 0.5, (0.45, 0.55))
    assert found.check == "metric-broken"
    assert found.severity is Severity.WARNING


def test_a_high_loss_beside_a_good_auroc_is_miscalibration_and_no_broken_metric():
    (found,) = check_metric([0.5, 0.6], 0.18, 0.8, (0.75, 0.85))
    assert found.check == "miscalibrated"
    assert found.severity is Severity.NOTE
    assert not list(check_metric([0.15], 0.18, 0.8, (0.75, 0.85)))
    assert not list(check_metric([math.nan], None, None, None))


def test_a_high_loss_after_the_first_epoch_alone_is_no_miscalibration():
    assert not list(check_metric([1.6], 0.49, 0.74, (0.69, 0.78)))
    assert not list(check_metric([1.6, 0.4], 0.49, 0.89, (0.85, 0.93)))
