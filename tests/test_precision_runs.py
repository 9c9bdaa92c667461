"""Whole runs in bf16 and fp32, on the same small set."""

import json

import pytest

from core.recipe_toml import load_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.session import create_session

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
