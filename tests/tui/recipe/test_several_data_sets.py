"""Recipe and Data with a recipe of [[datasets]]: each data set's keys, and nothing spoilt."""

import pytest
from console import plain, press, shows, until
from dicoms import hospital

from core.errors import RecipeError
from core.recipe_on_data import on_one, with_data_of
from core.recipe_toml import differences, load_recipe, recipe_toml
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.workspace import Workspace
from cxr_tui.data.fields import choices_of, stepped, typed, with_chosen_findings
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.recipe.fields import edited_recipe, fields_of, recipe_fields, shown_value
from cxr_tui.recipe.form import RecipeForm


@pytest.fixture
def recipe(phantom_dir, tmp_path):
    ward = hospital(tmp_path / "ward")
    return load_recipe(
        "nih-14",
        [
            f"datasets.0.images={phantom_dir}",
            "datasets.0.kind=nih",
            "datasets.0.findings=Mass,Effusion",
            f"datasets.1.labels={ward / 'exams.csv'}",
            f"datasets.1.images={ward / 'images'}",
            *("datasets.1.name=ward", "datasets.1.kind=table", "datasets.1.columns.image=exam"),
            *("datasets.1.patient_from=dicom", "datasets.1.findings=tube"),
            *("image.size_px=32", "model.weights=none"),
        ],
    )


@pytest.fixture
def workspace(recipe, tmp_path, cache_dir):
    workspace = Workspace(tmp_path / "sessions", cache_dir, device="cpu")
    workspace.begin("mine.toml", recipe)
    return workspace


async def the_form(pilot):
    app = pilot.app
    app.action_mode("recipe")
    await until(pilot, lambda: bool(app.screen.query(RecipeForm)), "the form")
    form = app.screen.query_one(RecipeForm)
    await until(pilot, lambda: form.has_focus, "the form's focus")
    return form


def test_the_form_has_every_key_of_each_data_set_and_none_of_the_single_one(recipe):
    keys = [field.key for field in fields_of(recipe)]
    assert not [key for key in keys if key.startswith(("dataset.", "labels."))]
    assert {"datasets.0.images", "datasets.1.uncertain", "datasets.1.columns.image"} <= set(keys)
    assert "datasets.0.columns.image" not in keys, "NIH's table has its own"
    assert all(field.help for field in fields_of(recipe))
    assert fields_of(on_one(recipe)) == recipe_fields()


def test_a_field_of_one_data_set_is_edited_and_the_rest_stays(recipe):
    for key, text, shown in (
        ("datasets.1.uncertain", "zeros", "zeros"),
        ("datasets.0.findings", "Mass", "Mass"),
        ("datasets.1.columns.image", "file", "file"),
        ("datasets.0.partial", "true", "true"),
        ("datasets.1.by_finding", "{tube = {blank = 'absent'}}", '{"tube" = {blank = "absent"}}'),
        ("train.epochs", "3", "3"),
    ):
        edited = edited_recipe(recipe, key, text)
        derived = {"dataset.findings", "dataset.partial"}
        assert set(differences(recipe, edited)) - derived <= {key, f"{key}.tube.blank"}
        assert shown_value(edited, key) == shown
        assert len(edited.datasets) == 2
    with pytest.raises(RecipeError, match=r"uncertain must be 'ignore'"):
        edited_recipe(recipe, "datasets.1.uncertain", "perhaps")


def test_another_preset_stays_on_the_same_data_sets(recipe):
    strong = with_data_of(load_recipe("strong"), recipe)
    assert strong.datasets == recipe.datasets
    assert strong.train == load_recipe("strong").train
    assert with_data_of(recipe, load_recipe("nih-14", ["dataset.images=/x"])) == recipe


def test_one_folder_takes_the_place_of_several_and_they_come_back(recipe, tmp_path):
    several = DataSet.of(recipe)
    assert (several.name, several.is_named) == ("nih + ward", True)
    alone = DataSet.at(tmp_path).put_into(recipe)
    assert (alone.datasets, alone.dataset.images) == ((), tmp_path)
    assert several.put_into(alone).datasets == recipe.datasets


def test_datas_fields_are_those_of_each_data_set(recipe):
    recipe = stepped(recipe, "datasets.1.uncertain", 1)
    assert recipe.datasets[1].uncertain == "ignore"
    shown = {choice.key: choice.shown for choice in choices_of(recipe)}
    assert shown["datasets.1.kind"] == "table"
    assert shown["datasets.1.uncertain"] == "ignore"
    assert "datasets.0.images" in shown
    assert not [key for key in shown if key.startswith(("dataset.", "labels."))]
    moved = typed(recipe, "datasets.0.images", "/data/256px")
    assert str(moved.datasets[0].images) == "/data/256px"
    with pytest.raises(RecipeError, match="its own findings"):
        with_chosen_findings(recipe, ["Mass"])


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_recipe_screen_shows_edits_and_saves_several_data_sets(
    workspace, recipe, tmp_path, size
):
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        form = await the_form(pilot)
        await until(pilot, lambda: "datasets.1.name" in form._field_rows, "the data sets' rows")
        form.go_to("datasets.1.uncertain")
        await shows(pilot, "data set 2")
        await press(pilot, "enter")
        await shows(pilot, "smooth")
        await press(pilot, "down", "enter")
        await until(
            pilot, lambda: workspace.draft.datasets[1].uncertain is not None, "another policy"
        )
        app.screen._save(tmp_path / "saved.toml")
        assert load_recipe(tmp_path / "saved.toml") == workspace.draft
        app.begin("demo", load_recipe("demo"))
        await until(pilot, lambda: "dataset.images" in form._field_rows, "a single set's rows")
        assert "datasets.1.name" not in form._field_rows
        assert "data set 2" not in plain(app)
    assert recipe_toml(load_recipe(tmp_path / "saved.toml")).count("[[datasets]]") == 2


async def test_data_shows_what_several_data_sets_hold_together(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await shows(pilot, "nih + ward")
        await shows(pilot, "ward: images")
        await shows(pilot, "tube")
