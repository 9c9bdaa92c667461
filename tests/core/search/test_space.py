"""A space is checked like a recipe: each fault names the file, the line and the key."""

import pytest

from core.errors import RecipeError
from core.recipe_toml import load_recipe
from core.search.space import read_space, shipped_spaces, with_values

GOOD = """\
[train]
learning_rate = { low = 0.0001, high = 0.01, scale = "log" }
optimizer = { choices = ["sgd", "adamw"] }
batch_size = { low = 8, high = 32 }

[augment.rotate_deg]
low = 0
high = 10
"""


def read(tmp_path, text, changed=()):
    path = tmp_path / "space.toml"
    path.write_text(text)
    return read_space(str(path), load_recipe("demo"), changed)


def test_a_space_has_ranges_by_factors_whole_numbers_and_choices(tmp_path):
    rate, optimizer, batch, rotation = read(tmp_path, GOOD).dimensions
    assert (rate.key, rate.low, rate.high, rate.is_log) == ("train.learning_rate", 1e-4, 0.01, True)
    assert optimizer.choices == ("sgd", "adamw")
    assert batch.is_whole
    assert not rotation.is_whole  # written 0 and 10, but the key takes any number


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("learning_rat = { low = 0.1, high = 1 }", "Did you mean 'train.learning_rate'?"),
        ("seed = { low = 0, high = 9 }", "train.seed is fixed in a search"),
        ("epochs = { low = 1, high = 9 }", "train.epochs is fixed in a search"),
        ("learning_rate = { low = 0.1, high = 11 }", "train.learning_rate must be at most 10"),
        ("learning_rate = { low = 0.1 }", "lacks high"),
        ("learning_rate = { low = 1, high = 0.1 }", "low must be below high"),
        ("weight_decay = { low = 0, high = 0.1, scale = 'log' }", "low must be above 0"),
        ("weight_decay = { low = 0, high = 0.1, scale = 'ln' }", "must be linear or log"),
        ("weight_decay = { low = 0, hihg = 0.1 }", "Did you mean 'high'?"),
        ("optimizer = { choices = ['sgd', 'adam'] }", "Did you mean 'adamw'?"),
        ("optimizer = { choices = ['sgd'] }", "two or more values"),
        ("optimizer = { choices = ['sgd', 'sgd'] }", "two or more values"),
        ("batch_size = { low = 1.5, high = 4 }", "takes whole numbers"),
        ("learning_rate = 0.1", "must be a table"),
        ("momentum = { low = 0.1, high = 0.9 }", "train.momentum is fixed by --set"),
    ],
)
def test_a_fault_names_file_line_and_what_was_meant(tmp_path, line, told):
    with pytest.raises(RecipeError) as refused:
        read(tmp_path, f"# a comment\n[train]\n{line}\n", ["train.momentum"])
    assert told in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'space.toml'}:3: ")


def test_data_split_and_figures_are_the_same_in_all_trials(tmp_path):
    for text in (
        "[split]\nval = { low = 0.1, high = 0.2 }",
        "[evaluate]\nsealed = { choices = [true, false] }",
        "[dataset]\npartial = { choices = [true, false] }",
    ):
        with pytest.raises(RecipeError, match="is fixed in a search"):
            read(tmp_path, text)


def test_an_empty_or_broken_or_missing_space_is_refused(tmp_path):
    for text, told in (("", "names no key"), ("[train\n", "not valid TOML")):
        with pytest.raises(RecipeError, match=told):
            read(tmp_path, text)
    with pytest.raises(RecipeError, match="Did you mean 'densenet121'"):
        read_space("densenet", load_recipe("demo"))


def test_shipped_spaces_fit_every_recipe_that_trains_a_densenet121():
    assert "densenet121" in shipped_spaces()
    for name in ("demo", "nih-14", "chexnet"):
        recipe = load_recipe(name)
        space = read_space("densenet121", recipe)
        drawn = {one.key: one.choices[0] if one.choices else one.low for one in space.dimensions}
        assert with_values(recipe, drawn, "test").train.learning_rate == 0.0001
