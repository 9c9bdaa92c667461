"""What is told before the first step: mistakes in the recipe."""

import pytest

from core.health.diagnosis import Severity
from core.health.recipe import check_recipe
from core.recipe_toml import load_recipe

SHIPPED = ("demo", "nih-14", "nih-mass", "chexnet", "strong", "resolution")


def recipe_with(name="nih-14", **changes):
    keys = [f"train.{key}={value}" for key, value in changes.items() if key != "weights"]
    if "weights" in changes:
        keys.append(f"model.weights={changes['weights']}")
    return load_recipe(name, keys)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("val_patients", [None, 400])
def test_shipped_recipes_are_not_complained_of(name, val_patients):
    assert check_recipe(load_recipe(name, []), val_patients=val_patients) == []


MISTAKES = [
    ("rate-high", Severity.WARNING, {"optimizer": "adamw", "learning_rate": 0.01}),
    ("rate-high", Severity.WARNING, {"learning_rate": 0.3}),
    ("rate-high", Severity.WARNING, {"learning_rate": 2, "weights": "none"}),
    ("rate-low", Severity.NOTE, {"learning_rate": 1e-4}),
    ("rate-low", Severity.NOTE, {"learning_rate": 1e-3, "momentum": 0}),
    ("rate-low", Severity.NOTE, {"optimizer": "adamw", "learning_rate": 1e-6}),
    ("warmup-endless", Severity.WARNING, {"epochs": 3, "warmup_epochs": 3}),
    ("batch-tiny", Severity.WARNING, {"batch_size": 2}),
    ("batch-tiny", Severity.NOTE, {"micro_batch_size": 2}),
    ("plateau-hasty", Severity.NOTE, {"plateau_patience": 0}),
    ("epochs-few", Severity.NOTE, {"epochs": 2, "weights": "none"}),
]


@pytest.mark.parametrize(("check", "severity", "changes"), MISTAKES)
def test_a_mistake_in_the_recipe_is_told_and_its_changes_end_it(check, severity, changes):
    recipe = recipe_with(**changes)
    (found,) = check_recipe(recipe, val_patients=60)
    assert (found.check, found.severity) == (check, severity)
    assert found.remedy
    assert found.evidence
    weights = [f"model.weights={changes['weights']}"] if "weights" in changes else []
    mistakes = [f"train.{key}={value}" for key, value in changes.items() if key != "weights"]
    mended = load_recipe("nih-14", [*weights, *mistakes, *found.changes])
    assert check_recipe(mended, val_patients=60) == []


HEALTHY = [
    {"optimizer": "adamw", "learning_rate": 0.001},
    {"learning_rate": 0.1},
    {"learning_rate": 0.1, "weights": "none"},
    {"learning_rate": 0.001},
    {"learning_rate": 0.01, "momentum": 0},
    {"optimizer": "adamw", "learning_rate": 1e-5},
    {"epochs": 3, "warmup_epochs": 1},
    {"batch_size": 4},
    {"batch_size": 64, "micro_batch_size": 4},
    {"plateau_patience": 0, "plateau_factor": 0.5},
    {"schedule": "cosine", "plateau_patience": 0},
    {"epochs": 3, "weights": "none"},
    {"epochs": 1},
]


@pytest.mark.parametrize("changes", HEALTHY)
def test_a_recipe_near_the_limits_is_not_complained_of(changes):
    assert check_recipe(recipe_with(**changes), val_patients=60) == []
