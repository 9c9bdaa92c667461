"""Recipes that no person wrote: refused soon and in few words."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import RecipeError
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe

pytestmark = pytest.mark.usefixtures("within_a_minute")

HOSTILE = {
    "a key of a thousand parts": "a." * 1000 + "a = 1",
    "a key of a hundred thousand parts": "a." * 100_000 + "a = 1",
    "a table of ten thousand parts": "[" + "a." * 10_000 + "a]\nx = 1",
    "lists in lists": "a = " + "[" * 100_000,
    "tables in tables": "a = " + "{a = " * 10_000 + "1" + "}" * 10_000,
    "a number of 5,000 digits": "[train]\nseed = " + "9" * 5_000,
    "a hexadecimal number of 5,000 digits": "[train]\nseed = 0x" + "f" * 5_000,
    "an infinite number": "[train]\nlearning_rate = 1e400",
    "no number": "[train]\nlearning_rate = nan",
    "a date for a number": "[train]\nseed = 1979-05-27T07:32:00Z",
    "fifty thousand unknown keys": "\n".join(f"key{n} = 1" for n in range(50_000)),
    "an unknown key of 800,000 letters": "x" * 800_000 + " = 1",
    "the same finding a hundred thousand times": "[dataset]\nfindings = ["
    + ",".join(['"Mass"'] * 100_000)
    + "]",
    "a finding of 500,000 letters": '[dataset]\nfindings = ["' + "x" * 500_000 + '"]',
    "a note of 900,000 letters": 'note = "' + "x" * 900_000 + '"',
    "the home of somebody unknown": '[dataset]\nimages = "~nobody-here/x"',
    "a path with a NUL": '[dataset]\nimages = "a\\u0000b"',
    "a name with ESC": 'name = "\\u001b[2J"',
    "half a character": 'note = "\\uD800"',
    "a quote that is never closed": '"' * 900_000,
    "more than a megabyte": "#" + "x" * 1_000_001,
    "a folder as a name": 'name = "../../etc"',
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_recipe_is_refused_in_few_words(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(HOSTILE[fault])
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert len(str(caught.value)) < 7_000
    assert not any(sign < " " for sign in str(caught.value).replace("\n", ""))


@pytest.mark.parametrize(
    "content", [b"\x80\x02]q\x00.", b"\0" * 100, b"\xff\xfea\0=\x001\0", b"name = '\xc3('"]
)
def test_a_binary_recipe_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        load_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize(
    "override",
    [
        *("train.seed=" + "9" * 5000, "train.seed=" + "[" * 50_000, "a." * 50_000 + "b=1"),
        *("dataset.images=~nobody-here/x", "train.seed=0x" + "f" * 5000),
        "dataset.findings=" + "x" * 10**6,
    ],
)
def test_a_hostile_override_is_refused(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        changed_recipe(Recipe(), [override])
    assert len(str(caught.value)) < 7_000
