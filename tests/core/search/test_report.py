"""What a search says at its end: the best by other seeds, and the optimism of having chosen."""

import pytest

pytest.importorskip("optuna")

from told_searches import EPOCHS, a_search, a_trial, an_epoch

from core.search.report import search_report, to_retrain
from core.store.sessions import create_session


@pytest.fixture
def search(tmp_path):
    """Complete trials of 0.70 (the recipe itself), 0.80 and 0.79, the best two of three thirds."""
    search = a_search(tmp_path / "sessions", trials=9)
    for figure in (0.7, 0.8, 0.81):
        a_trial(search, *[figure] * EPOCHS)
    return search


def trained(search, anew, figures):
    """Sessions of what is to be retrained, whose best epochs have these figures, in order."""
    recipes = anew.recipes
    assert len(recipes) == len(figures)
    for recipe, figure in zip(recipes, figures, strict=True):
        session = create_session(search.place.path.parent.parent, recipe, recipe.name)
        with session.writing() as writer:
            writer.append(an_epoch(1, figure))


def test_the_best_is_chosen_by_its_other_seeds_and_each_optimism_is_told(search):
    anew = to_retrain(search, 2, 3)
    assert [one.name for one in anew.recipes] == [
        *(f"night-best-02-seed{seed}" for seed in (1, 2, 3)),
        *(f"night-best-01-seed{seed}" for seed in (1, 2, 3)),
        *(f"night-unchanged-seed{seed}" for seed in (1, 2, 3)),
    ]
    assert [one.train.seed for one in anew.recipes] == [1, 2, 3] * 3
    assert all(one.evaluate.sealed for one in anew.recipes)
    trained(search, anew, [0.72, 0.74, 0.76, 0.77, 0.79, 0.78, 0.70, 0.71, 0.69])
    found = search_report(search, anew)
    first, second = found["candidates"]
    assert (first["number"], second["number"]) == (2, 1)
    assert first["optimism"] == pytest.approx(0.81 - 0.74)
    assert second["optimism"] == pytest.approx(0.80 - 0.78)
    assert found["best"]["number"] == 1  # though its own figure was not the best
    assert found["retrained"] == second["retrained"]
    assert (found["retrained_mean"], found["optimism"]) == (0.78, second["optimism"])
    assert found["gain"] == pytest.approx(0.08)
    assert found["gain_ci"][0] < 0.08 < found["gain_ci"][1]


def test_the_recipe_itself_among_the_best_is_trained_once_and_compared_with(search):
    anew = to_retrain(search, 3, 2)
    assert len(anew.recipes) == 6  # none is called unchanged
    trained(search, anew, [0.74, 0.76, 0.77, 0.79, 0.70, 0.71])
    found = search_report(search, anew)
    assert found["best"]["number"] == 1
    assert found["unchanged"] == found["candidates"][2]["retrained"]
    assert found["gain"] == pytest.approx(0.78 - 0.705)


def test_the_recipe_itself_may_be_the_best_and_then_there_is_no_gain(search):
    anew = to_retrain(search, 3, 1)
    trained(search, anew, [0.6, 0.6, 0.7])
    found = search_report(search, anew)
    assert found["best"]["number"] == 0
    assert (found["unchanged"], found["gain"], found["gain_ci"]) == ([], None, None)


def test_without_seeds_the_best_trial_is_the_best(search):
    found = search_report(search, to_retrain(search, 2, 0))
    assert found["best"]["number"] == 2
    assert found["retrained"] == []
    assert (found["optimism"], found["gain"]) == (None, None)
