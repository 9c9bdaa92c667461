"""A range test of learning rates: asked for by a key, on a copy, told as a health check."""

import json
import threading

import numpy as np
import pytest
import torch
from parts import part_of

from core.evaluation.predict import Placement
from core.health.range_test import STEPS, RangeTest, check_range, try_rates
from core.model.densenet import build_model
from core.model.precision import Precision
from core.recipe_toml import checked_recipe, load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session
from core.training.trainer import Trainer

SIZE_PX, IMAGES = 32, 160
FINDINGS = ("Mass", "Effusion")


def small_trainer(**settings):
    rng = np.random.default_rng(0)
    labels_NF = (rng.random((IMAGES, 2)) < 0.4).astype(np.float32)
    images = rng.integers(60, 120, (IMAGES, SIZE_PX, SIZE_PX))
    images[:, :16] += (80 * labels_NF[:, 0]).astype(int)[:, None, None]
    images[:, 16:] += (80 * labels_NF[:, 1]).astype(int)[:, None, None]
    part = part_of("train", images.astype(np.uint8), labels_NF)
    recipe = checked_recipe(
        {
            "image": {"size_px": SIZE_PX},
            "dataset": {"findings": list(FINDINGS)},
            "train": {"batch_size": 8, "optimizer": "adamw"} | settings,
        },
        "test",
    )
    placement = Placement(torch.device("cpu"), Precision("fp32", "a test"))
    return Trainer(build_model(FINDINGS, seed=0), part, recipe, placement)


def test_rates_climb_until_the_loss_bursts_and_the_edge_is_where_it_was_lowest():
    found = try_rates(small_trainer(), lambda _done, _total: True)
    assert list(found.rates) == sorted(found.rates)
    assert found.rates[0] == pytest.approx(1e-6)
    assert min(found.smoothed) < 0.8 * found.losses[0]
    assert 1e-4 <= found.edge <= 0.3


def test_the_run_is_as_it_was_after_a_range_test():
    trainer = small_trainer()
    before = {name: item.clone() for name, item in trainer.model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    try_rates(trainer, lambda done, _total: done < 15 or None)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(trainer.model.state_dict()[name], before[name]) for name in before)
    assert trainer.progress.step == 0
    assert not trainer.train_step.optimizer.state


def test_a_stop_leaves_a_range_test_without_an_answer():
    assert try_rates(small_trainer(), lambda done, _total: done < 2) is None


def climbing(losses):
    rates = tuple(float(rate) for rate in np.geomspace(1e-6, 1, STEPS))[: len(losses)]
    return RangeTest(rates, tuple(losses), burst=len(losses) < STEPS)


FALLS_THEN_BURSTS = [0.7] * 20 + list(np.linspace(0.7, 0.3, 25)) + [0.9] * 5


def test_a_recipe_far_from_the_rates_that_work_is_told_with_the_change():
    found = climbing(FALLS_THEN_BURSTS)
    (high,) = check_range(found, learning_rate=10.0)
    assert "above the range" in high.text
    assert high.changes == (f"train.learning_rate={found.edge / 10:g}",)
    (low,) = check_range(found, learning_rate=1e-7)
    assert "below the range" in low.text


def test_a_rate_between_a_tenth_of_the_edge_and_the_edge_is_well():
    found = climbing(FALLS_THEN_BURSTS)
    for rate in (found.edge, found.edge / 10):
        (answer,) = check_range(found, learning_rate=rate)
        assert answer.severity == "ok"
        assert answer.changes == ()


def test_where_no_rate_lowers_the_loss_it_says_that_the_rate_is_not_the_matter():
    (answer,) = check_range(climbing([0.7] * STEPS), learning_rate=0.01)
    assert "the learning rate is not the cause" in answer.text


def test_a_range_test_asked_of_a_run_is_answered_in_its_events(phantom_dir, cache_dir, tmp_path):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "evaluate.bootstrap": 20,
    }
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    session = create_session(tmp_path, recipe, "ranged")
    asked = threading.Event()

    def once():
        if asked.is_set():
            return Request.CONTINUE
        asked.set()
        return Request.TRY_RATES

    assert run(session, lambda _: None, once, Machine("cpu", cache_dir))
    events = [json.loads(line) for line in (session.path / "events.jsonl").read_text().splitlines()]
    answers = [event for event in events if event.get("check") == "rate-range"]
    assert len(answers) == 1
    assert answers[0]["evidence"]["steps"] > 10
