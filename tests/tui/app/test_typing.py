"""Whatever is typed into a field of the console, at every key: it is answered, never a crash."""

import contextlib
from pathlib import Path

import pytest
from console import press, until
from small_runs import made_session
from textual.widgets import Input

from core.errors import CxrError, RecipeError
from core.recipe_toml import load_recipe
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.dialogs import ValueDialog
from cxr_tui.console.workspace import Workspace
from cxr_tui.data.fields import typed
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.recipe.field_editor import FieldInput
from cxr_tui.recipe.fields import edited_recipe, recipe_fields
from cxr_tui.recipe.file_dialog import FileName
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.results.threshold import ThresholdDialog

_LONG = "n" * 300

PATHS = (
    *("/", "//", "///x", ".", "..", "...", "./", "../", "/.", "/..", "/tmp/.", "x/", "x//y", "."),
    *("~", "~/", "~nobody-here/x", "~/.", "~~", "$HOME/x", "x/.toml", "a.", "a..", "a .toml", "a/"),
    *("recipe.tom", "recipe.TOML", "con", "-", "--set", "-rf", _LONG, f"/{_LONG}/x", "x/" * 600),
    *("a\0b", "\0", "\x1b[31mred", "\x07", "\x9b2J", "\u202eknil", "\ufeffx", "a=b", "#", "画像"),
    *("\ud800", "a\udcff.toml", "é", "e\u0301", "🫁", "\u200b", "[bold]x[/]", "[/", "[@click=x]"),
)
TEXTS = (
    *PATHS,
    *("0", "-0", "+1", "1e999", "-1e999", "1e-400", "nan", "inf", "-inf", "0x10", "1_000", "1__0"),
    *("0.5", ".5", "5.", "1,5", "１２", "٣", "½", "1e", "1e+", "9" * 400, "0" * 400, "1 2", "true"),
    *("null", "none", "[]", "[", "[1", '["Mass"', '["Mass", ]', "{}", "{a=1}", "{a", "{}}", "a\tb"),
    *('"', "'", '"""', "\\", "\\u12", "# x", "=", "==", "a=b=c", "key = 1\nx = 2", "a\nb", "  "),
    *("Mass", "mass", "Mass, Nodule", "Mass,,Nodule", ",", ";", "sensitivity=", "sensitivity=2"),
    *("sensitivity=nan", "specificity=0.9", "youden", "1979-05-27", "07:32:00Z", " x "),
)
PREFIXES = tuple(
    dict.fromkeys(
        text[:length]
        for text in TEXTS
        for length in range(1, len(text) + 1)
        if length <= 6 or length == len(text)
    )
)


@pytest.fixture
def app(tmp_path, cache_dir, phantom_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    made_session(tmp_path, phantom_dir, epochs=1)
    workspace = Workspace(tmp_path / "sessions", cache_dir, device="cpu")
    workspace.draft = load_recipe("demo", ["dataset.phantom=none", f"dataset.images={phantom_dir}"])
    return ConsoleApp(workspace)


async def every_prefix(pilot, field):
    """Type them; each is dealt with before the next."""
    for text in ("", *PREFIXES):
        field.value = text
        await pilot.pause(0)


async def opened(pilot, kind, key):
    await press(pilot, key)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind), kind.__name__)
    return pilot.app.screen.query_one(Input)


async def at_the_form(pilot):
    pilot.app.action_mode("recipe")
    await until(pilot, lambda: bool(pilot.app.screen.query(RecipeForm)), "the form")
    form = pilot.app.screen.query_one(RecipeForm)
    await until(pilot, lambda: form.has_focus, "the form's focus")


def test_at_least_a_hundred_odd_texts_are_typed():
    assert len(TEXTS) >= 100


async def test_a_recipes_file_can_be_typed_letter_by_letter(app):
    async with app.run_test() as pilot:
        await at_the_form(pilot)
        await every_prefix(pilot, await opened(pilot, FileName, "o"))


@pytest.mark.parametrize("key", ["o", "s"])
async def test_a_recipes_file_is_opened_and_saved_under_any_name_or_refused(app, key, tmp_path):
    async with app.run_test() as pilot:
        await at_the_form(pilot)
        for text in PATHS:
            field = await opened(pilot, FileName, key)
            field.value = f"{tmp_path}{text}" if text.startswith("/") else text
            await pilot.pause(0)
            await press(pilot, "enter")
            while len(app.screen_stack) > 1:  # the refusal, or what is asked: Write over it?
                await press(pilot, "escape")


async def test_the_filters_take_every_text(app):
    async with app.run_test() as pilot:
        for screen in ("sessions", "recipe"):
            app.action_mode(screen)
            await until(pilot, lambda: bool(app.screen.query("#filter")), "the filter")
            await press(pilot, "slash")
            await every_prefix(pilot, app.screen.query_one("#filter", Input))
            await press(pilot, "escape")


async def test_a_data_sets_path_can_be_typed_letter_by_letter(app):
    async with app.run_test() as pilot:
        await app.push_screen(DataSetPicker([], DataSet.at(Path("x")), Path.cwd()))
        await every_prefix(pilot, app.screen.query_one(Input))


async def test_a_data_sets_path_is_taken_or_refused(app):
    taken = []
    async with app.run_test() as pilot:
        for text in PATHS:
            await app.push_screen(
                DataSetPicker([], DataSet.at(Path("x")), Path.cwd()), taken.append
            )
            field = app.screen.query_one(Input)
            field.focus()
            field.value = text
            await press(pilot, "enter")
            while len(app.screen_stack) > 1:
                await press(pilot, "escape")
    assert len(taken) == len(PATHS)


async def test_a_value_of_the_data_can_be_typed_letter_by_letter(app):
    recipe = load_recipe("demo")

    def fault_of(text):
        try:
            typed(recipe, "subset.max_patients", text)
        except CxrError as error:
            return str(error)
        return ""

    async with app.run_test() as pilot:
        await app.push_screen(ValueDialog("patients", "at most", "", fault_of))
        await every_prefix(pilot, app.screen.query_one(Input))


async def test_a_field_of_the_form_can_be_typed_letter_by_letter(app):
    async with app.run_test() as pilot:
        await at_the_form(pilot)
        await press(pilot, "home", "enter")
        await until(pilot, lambda: app.screen.query_one(FieldInput).has_focus, "the field")
        await every_prefix(pilot, app.screen.query_one(FieldInput))


async def test_a_threshold_can_be_typed_letter_by_letter(app):
    async with app.run_test() as pilot:
        await app.push_screen(ThresholdDialog("Mass", "youden", ""))
        await every_prefix(pilot, app.screen.query_one(Input))


async def test_the_palette_takes_every_text(app):
    async with app.run_test() as pilot:
        await press(pilot, "colon")
        await until(pilot, lambda: bool(app.screen.query(Input)), "the palette")
        await every_prefix(pilot, app.screen.query_one(Input))


@pytest.mark.parametrize("field", recipe_fields(), ids=lambda field: field.key)
def test_a_field_of_a_recipe_takes_a_text_or_says_why_not(field):
    recipe = load_recipe("demo")
    for text in PREFIXES:
        with contextlib.suppress(RecipeError):
            edited_recipe(recipe, field.key, text)
