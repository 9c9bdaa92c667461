"""Whole runs in bf16 and fp32, on the same small set."""

import json

import pytest
import torch
from small_runs import kinds_of, made_session, off_the_networks
from tiny_training import tiny_trainer

from core.evaluation.predictions import read_predictions
from core.events import CheckpointWritten, ValidationProgress
from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.sessions import create_session
from core.training.scoring import score

TOLERANCE = 0.05
"""Of the mean AUROC. Single findings have 5 to 17 positives here, and moved by up to 0.11."""


def figures_of(folder):
    return json.loads((folder / "evaluation" / "test.json").read_text())


@pytest.mark.slow
def test_a_run_in_bf16_comes_to_the_figures_of_one_in_fp32(trained_dir, cache_dir, tmp_path):
    recipe = load_recipe(str(trained_dir / "recipe.toml"), ["train.precision=bf16"])
    in_bf16 = create_session(tmp_path, recipe, "bf16")
    assert run(in_bf16, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))
    exact, rounded = figures_of(trained_dir), figures_of(in_bf16.path)
    assert exact["mean_auroc"] > 0.6  # else there is nothing to lose
    assert rounded["mean_auroc"] == pytest.approx(exact["mean_auroc"], abs=TOLERANCE)


def test_scores_to_be_kept_are_those_of_fp32_whatever_the_runs_precision():
    in_bf16, in_fp32 = tiny_trainer(precision="bf16"), tiny_trainer()
    fast, exact, expected = (
        score(in_bf16, in_bf16.part),
        score(in_bf16, in_bf16.part, exactly=True),
        score(in_fp32, in_fp32.part),
    )
    assert torch.equal(exact, expected)
    assert not torch.equal(fast, expected)


def test_a_run_in_bf16_keeps_fp32_scores_of_val_and_test_though_it_stops_between(
    tmp_path, phantom_dir, cache_dir
):
    changes = {"train.precision": "bf16", "train.few_images_first": "never"}
    changes |= {"subset.max_images": 60}
    session = made_session(tmp_path, phantom_dir, epochs=1, **changes)
    machine = Machine("cpu", cache_dir)
    told = []

    def asked():
        trained = any(isinstance(event, CheckpointWritten) for event in told)
        scoring = told and isinstance(told[-1], ValidationProgress)
        return Request.STOP if trained and scoring else Request.CONTINUE

    assert not run(session, told.append, asked, machine)
    assert kinds_of(session)[-2:] == ["ValidationProgress", "Stopped"]
    assert not (session.predictions / "test.csv").exists()
    assert run(session, told.append, lambda: Request.CONTINUE, machine)

    for part in ("val", "test"):
        assert off_the_networks(session, cache_dir, part, "fp32") < 1e-5
        assert off_the_networks(session, cache_dir, part, "bf16") > 1e-4
    val = read_predictions(session.predictions / "val.csv")
    points = {
        finding: figures["operating_point"]
        for finding, figures in figures_of(session.path)["findings"].items()
        if figures["operating_point"]["threshold"] is not None
    }
    assert points
    for finding, point in points.items():
        column = val.findings.index(finding)
        called = val.scores_NF[:, column] >= point["threshold"]
        present = val.labels_NF[:, column] == 1
        assert point["on_val"]["sensitivity"] == pytest.approx(called[present].mean(), abs=1e-6)


def test_a_run_in_fp32_does_not_score_val_twice(trained_dir):
    events = [json.loads(line) for line in (trained_dir / "events.jsonl").open()]
    kinds = [event["event"] for event in events]
    assert kinds[kinds.index("TestStarted") - 1] == "CheckpointWritten"
