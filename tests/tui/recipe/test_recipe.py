"""Recipe, by its keys: a form over the draft, and what the draft would take."""

import pytest
from console import plain, press, press_at_once, shows, until
from tables import random_rows, write_images, write_v2020

from core.errors import RecipeError
from core.recipe_faults import known_keys
from core.recipe_on_data import with_data_of
from core.recipe_toml import changed_recipe, differences, load_recipe
from core.requests import Request
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.workspace import Workspace
from cxr_tui.recipe.field_row import FieldRow, elided
from cxr_tui.recipe.fields import edited_recipe, recipe_fields, words_at_field
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.recipe.look_ahead import LookAhead
from cxr_tui.recipe.measurement import Measurement


@pytest.fixture
def workspace(tmp_path, cache_dir, phantom_dir):
    workspace = Workspace(tmp_path / "sessions", cache_dir, device="cpu")
    workspace.draft = on_phantom(phantom_dir)
    return workspace


def on_phantom(folder, *changes):
    small = [f"dataset.images={folder}", "image.size_px=32", "train.precision=fp32"]
    return load_recipe("demo", ["dataset.phantom=none", *small, *changes])


async def at_field(pilot, key):
    """On the recipe screen, with the cursor on a field."""
    app = pilot.app
    app.action_mode("recipe")
    await until(pilot, lambda: bool(app.screen.query(RecipeForm)), "the form")
    form = app.screen.query_one(RecipeForm)
    await until(pilot, lambda: form.has_focus, "the form's focus")
    down = [field.key for field in recipe_fields()].index(key)
    await press_at_once(pilot, "home", *["down"] * down)
    await until(pilot, lambda: form.field.key == key, key)
    return form


async def type_text(pilot, text):
    await press(pilot, *text)


async def estimate_known(pilot):
    ahead = pilot.app.screen.query_one(LookAhead)
    known = lambda: ahead.estimate is not None and not ahead.estimate.stage  # noqa: E731
    await until(pilot, known, "the estimate")
    return ahead.estimate


async def throughput_known(pilot):
    known = lambda: measured(pilot.app) is not None  # noqa: E731
    await until(pilot, known, "the throughput", 120)
    return measured(pilot.app)


def measured(app):
    return app.screen.query_one(Measurement).throughput(app.workspace.draft)


def test_every_key_of_a_recipe_is_a_field_with_help():
    fields = recipe_fields()
    alone = (key for key in known_keys() if not key.startswith("datasets."))
    assert sorted(field.key for field in fields) == sorted(alone)
    assert all(field.help for field in fields)
    by_key = {field.key: field for field in fields}
    assert by_key["train.learning_rate"].bounds == "Above 0, at most 10."
    assert by_key["train.optimizer"].choices == ("sgd", "adamw")
    assert "wang2017_official" in by_key["evaluate.reference"].choices
    assert (by_key["image.size_px"].unit, by_key["augment.rotate_deg"].unit) == ("px", "°")


async def test_a_wrong_value_is_refused_at_its_field_while_typing(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await at_field(pilot, "train.learning_rate")
        before = workspace.draft
        await press(pilot, "enter")
        await type_text(pilot, "-0.1")
        await shows(pilot, "✗   must be above 0, got -0.1")
        await press(pilot, "enter", "down")
        assert form.is_editing
        assert workspace.draft is before
        await press(pilot, "escape")
        await until(pilot, lambda: not form.is_editing, "the field to be left")
        assert app.current_mode == "recipe"
        assert workspace.draft is before
        assert "must be above" not in plain(app)


async def test_a_value_goes_into_the_draft_and_is_marked_until_taken_back(workspace):
    workspace.draft = load_recipe("demo")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await at_field(pilot, "train.epochs")
        assert "preset demo · unchanged" in plain(app)
        await press(pilot, "enter")
        await type_text(pilot, "9")
        await press(pilot, "down")
        await shows(pilot, "1 change")
        assert workspace.draft.train.epochs == 9
        await until(pilot, lambda: form.field.key == "train.batch_size", "the next field")
        assert "  • epochs                9" in plain(app)
        await press(pilot, "up")
        await shows(pilot, "demo has 5")
        await press(pilot, "delete")
        await shows(pilot, "unchanged")
        assert workspace.draft == load_recipe("demo")


async def test_keys_are_text_while_a_field_is_edited(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "name")
        await press(pilot, "enter")
        await type_text(pilot, "q1S2pms3")
        assert app.current_mode == "recipe"
        await press(pilot, "enter")
        await until(pilot, lambda: workspace.draft.name == "q1S2pms3", "the name")
        assert workspace.running is None
        await press(pilot, "4")
        await until(pilot, lambda: app.current_mode == "training", "the training screen")


async def test_choices_are_listed_and_none_changes_by_itself(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.optimizer")
        await press(pilot, "enter")
        await shows(pilot, "• adamw")
        assert workspace.draft.train.optimizer == "adamw"
        await press(pilot, "k", "enter")
        await until(pilot, lambda: workspace.draft.train.optimizer == "sgd", "sgd")
        await press(pilot, "enter")
        await shows(pilot, "• sgd")
        await press(pilot, "escape")
        assert workspace.draft.train.optimizer == "sgd"
        await at_field(pilot, "subset.finding")
        await press(pilot, "enter")
        await shows(pilot, "• none")
        await press(pilot, "2", "down", "enter")
        await until(pilot, lambda: workspace.draft.subset.finding == "Atelectasis", "the finding")
        assert app.current_mode == "recipe"


async def test_fields_that_the_run_will_not_look_at_say_so(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.momentum")
        await shows(pilot, "not used if train.optimizer is adamw")


def test_shares_make_a_whole_again():
    recipe = load_recipe("chexnet")
    once = edited_recipe(recipe, "split.val", "0.105")
    assert (once.split.train, once.split.val, once.split.test) == (0.7, 0.105, 0.195)
    twice = edited_recipe(once, "split.train", "0.79")
    assert (twice.split.train, twice.split.val, twice.split.test) == (0.79, 0.105, 0.105)
    by_patient = edited_recipe(load_recipe("demo"), "split.by", "patient")
    assert (by_patient.split.train, by_patient.split.val, by_patient.split.test) == (
        0.7,
        0.15,
        0.15,
    )


def test_images_take_the_place_of_the_synthetic_set_and_the_other_way_round(tmp_path):
    real = edited_recipe(load_recipe("demo"), "dataset.images", str(tmp_path))
    assert (real.dataset.images, real.dataset.phantom) == (tmp_path, None)
    made = edited_recipe(real, "dataset.phantom.patients", "50")
    assert (made.dataset.images, made.dataset.phantom.patients) == (None, 50)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("train.learning_rate", "-0.1", "must be above 0, got -0.1"),
        ("train.epochs", "2.5", "must be a whole number, got 2.5"),
        ("split.train", "0.95", "needs train + val + test = 1 if by = 'patient', got 1.25"),
        ("subset.prevalence", "0.3", "needs finding, whose prevalence is set"),
        ("dataset.findings", "Mass, Infiltraton", "Did you mean 'Infiltration'?"),
        ("name", "", "begin with a letter or a digit"),
    ],
)
def test_the_field_speaks_in_the_recipes_own_words(key, text, words):
    with pytest.raises(RecipeError) as refused:
        edited_recipe(load_recipe("chexnet"), key, text)
    shown = words_at_field(refused.value, key)
    assert words in shown
    assert not shown.startswith(key)


@pytest.mark.parametrize("name", ["demo", "nih-14", "nih-mass", "chexnet", "strong", "resolution"])
def test_leaving_a_field_as_it_is_changes_nothing(name):
    from cxr_tui.recipe.fields import typed_value

    recipe = load_recipe(name)
    for field in recipe_fields():
        if field.section == "dataset.phantom" and recipe.dataset.phantom is None:
            continue
        assert edited_recipe(recipe, field.key, typed_value(recipe, field.key)) == recipe


async def test_what_gives_way_is_told(workspace):
    workspace.draft = load_recipe("chexnet")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_field(pilot, "split.val")
        await press(pilot, "enter")
        await type_text(pilot, "0.2")
        await press(pilot, "enter")
        await shows(pilot, "Also changed: split.test")


async def test_saving_says_where_and_asks_before_writing_over(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "s")
        await shows(pilot, "Save the recipe as")
        await type_text(pilot, "mine")
        await shows(pilot, "/mine.to")  # where it will be
        await press(pilot, "enter")
        await until(pilot, (tmp_path / "mine.toml").is_file, "the file")
        assert load_recipe(tmp_path / "mine.toml") == workspace.draft

        workspace.draft = changed_recipe(workspace.draft, ["train.epochs=7"])
        await press(pilot, "s")
        await shows(pilot, "Save the recipe as")
        await type_text(pilot, "mine")
        await press(pilot, "enter")
        await shows(pilot, "Overwrite mine.toml?")
        await press(pilot, "escape")
        assert load_recipe(tmp_path / "mine.toml").train.epochs == 5
        await press(pilot, "s")
        await shows(pilot, "Save the recipe as")
        await type_text(pilot, "mine")
        await press(pilot, "enter")
        await shows(pilot, "Overwrite mine.toml?")
        await press(pilot, "y")
        await until(
            pilot, lambda: load_recipe(tmp_path / "mine.toml").train.epochs == 7, "the new file"
        )


async def test_saving_where_nothing_can_be_written_says_why(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "s")
        await shows(pilot, "Save the recipe as")
        await type_text(pilot, "nowhere/mine")
        await press(pilot, "enter")
        await shows(pilot, "there is no such folder")
        await press(pilot, "home", *["delete"] * len("nowhere/mine"))
        await type_text(pilot, "x" * 300)
        await press(pilot, "enter")
        await shows(pilot, "File name too long")


async def test_a_file_is_opened_or_refused_where_it_was_named(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text("[train]\nepochs = 0\n")
    (tmp_path / "good.toml").write_text('name = "good"\n[train]\nepochs = 3\n')
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "o")
        await shows(pilot, "Open a recipe")
        await type_text(pilot, "bad")
        await press(pilot, "enter")
        await shows(pilot, "must be at least 1")
        await press(pilot, "home", *["delete"] * 3)
        await type_text(pilot, "good")
        await press(pilot, "enter")
        await shows(pilot, "good.toml · unchanged")
        assert (workspace.draft.name, workspace.draft.train.epochs) == ("good", 3)
        said = app._notifications
        await until(pilot, lambda: any("is kept" in one.message for one in said), "what is kept")


@pytest.mark.parametrize("clears", [["ctrl+u"], ["backspace"] * 3])
async def test_keys_that_come_in_a_burst_are_taken_in_their_order(workspace, clears):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await at_field(pilot, "train.epochs")
        await press(pilot, "enter")
        await press_at_once(pilot, *clears, *"12", "enter")
        await until(pilot, lambda: not form.is_editing, "the value")
        await until(pilot, lambda: workspace.draft.train.epochs == 12, "twelve epochs")


async def test_an_empty_field_is_no_fault_until_it_is_to_be_taken(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await at_field(pilot, "train.epochs")
        await press(pilot, "enter", "ctrl+u")
        assert form.is_editing
        assert form.fault == ""
        await press(pilot, "enter")
        await shows(pilot, "must be a whole number")


async def test_a_run_that_would_be_refused_is_not_started_from_another_screen_either(
    workspace, tmp_path
):
    workspace.draft = changed_recipe(workspace.draft, [f"dataset.images={tmp_path / 'gone'}"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await estimate_known(pilot)
        await press(pilot, "1", "S")
        await shows(pilot, "This run would be refused")
        await press(pilot, "escape")
        assert workspace.running is None


async def test_a_head_that_is_too_long_ends_in_an_ellipsis(workspace):
    workspace.draft = changed_recipe(workspace.draft, [f"note={'words ' * 40}"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        assert plain(app).splitlines()[1].endswith("…")


async def test_a_past_sessions_recipe_is_a_preset_and_the_draft_before_is_kept(workspace):
    past = load_recipe("nih-mass", ["train.epochs=33", "name=past"])
    create_session(workspace.sessions, past, "past-one")
    workspace.draft = before = changed_recipe(workspace.draft, ["train.epochs=44"])
    count = len(differences(with_data_of(workspace.base, before), before))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "p")
        await shows(pilot, "session past-one")
        await press(pilot, "end", "enter")
        await shows(pilot, "preset past-one · unchanged")
        kept = f"{count} changes of demo, is kept"
        said = app._notifications
        await until(pilot, lambda: any(kept in one.message for one in said), "what is kept")
        assert workspace.draft == with_data_of(past, before)
        await press(pilot, "p")
        await shows(pilot, "Start from the recipe of")
        await shows(pilot, f"{count} changes of demo")
        await press(pilot, "home", "enter")
        await shows(pilot, "preset demo · ")
        assert workspace.draft is before
        assert workspace.earlier_drafts == []


async def test_a_preset_changes_all_but_the_data(workspace, phantom_dir):
    workspace.draft = changed_recipe(
        workspace.draft, ["dataset.phantom=none", f"dataset.images={phantom_dir}"]
    )
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "p")
        await shows(pilot, "nih-14")
        await press(pilot, "home")
        choices = pilot.app.screen.query_one("OptionList")
        while "nih-14" not in str(choices.get_option_at_index(choices.highlighted or 0).prompt):
            await press(pilot, "down")
        await press(pilot, "enter")
        await shows(pilot, "preset nih-14")
        assert workspace.draft.dataset.images == phantom_dir
        assert len(workspace.draft.dataset.findings) == 14
        assert workspace.draft.name == "nih-14"


async def test_the_estimate_counts_what_the_run_will_count(workspace, phantom_dir):
    from core.data.batches import steps_per_epoch
    from core.data.study.study import prepare_study

    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.epochs")
        estimate = await estimate_known(pilot)
        study = prepare_study(workspace.draft, workspace.cache)
        assert estimate.problem == ""
        assert estimate.images == {part: len(study.rows(part)) for part in study.drawn.rows}
        assert estimate.steps_per_epoch == steps_per_epoch(len(study.rows("train")), 16)
        assert 0 <= estimate.images_ready <= len(study.images_used())
        assert f"{estimate.steps_per_epoch} steps; 5 epochs" in plain(app)
        assert "cpu, " in plain(app)
        assert "GiB free" in plain(app)
        assert "m measures it" in plain(app)
        workspace.draft = changed_recipe(workspace.draft, ["train.batch_size=3"])
        app.screen.refresh_view()
        ahead = app.screen.query_one(LookAhead)
        await until(
            pilot,
            lambda: ahead.estimate and ahead.estimate.steps_per_epoch is not None,
            "the steps",
        )
        assert ahead.estimate.steps_per_epoch == steps_per_epoch(len(study.rows("train")), 3)


def test_steps_are_the_trainers():
    from core.data.batches import steps_per_epoch
    from cxr_tui.recipe.estimate import steps_in_epoch

    for num_images in range(1, 40):
        for batch_size in range(1, 9):
            assert steps_in_epoch(num_images, batch_size) == steps_per_epoch(num_images, batch_size)


async def test_missing_images_are_told_before_the_start(workspace, tmp_path):
    write_v2020(tmp_path / "Data_Entry_2017_v2020.csv", random_rows(60))
    write_images(tmp_path / "images", ["00000001_000.png"])
    changes = [f"dataset.images={tmp_path}", "split.by=patient", "split.test=0.15"]
    workspace.draft = changed_recipe(workspace.draft, changes)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.epochs")
        estimate = await estimate_known(pilot)
        assert "images are missing: set partial (dataset)" in estimate.problem
        assert estimate.steps_per_epoch > 0
        await press(pilot, "S")
        await shows(pilot, "This run would be refused")
        await press(pilot, "escape")
        assert workspace.running is None


async def test_without_a_data_set_the_next_step_is_named(workspace):
    workspace.draft = load_recipe("nih-14")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await shows(pilot, "no data set is named")
        assert "per epoch –" in plain(app)


async def test_a_synthetic_set_is_not_drawn_by_looking(workspace, tmp_path):
    workspace.cache = tmp_path / "empty"
    workspace.draft = load_recipe("demo")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.epochs")
        await shows(pilot, "the synthetic set of 600 patients is")
        assert not workspace.cache.exists()


async def test_measuring_gives_the_time_of_an_epoch_until_the_recipe_needs_another(workspace):
    workspace.draft = changed_recipe(workspace.draft, ["train.batch_size=4"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.epochs")
        estimate = await estimate_known(pilot)
        await press(pilot, "m")
        throughput = await throughput_known(pilot)
        await shows(pilot, "images/s")
        assert "per epoch," in plain(app)
        assert throughput.precision == "fp32"
        assert throughput.train_images_per_second > 0
        assert throughput.score_images_per_second > 0
        train, val = estimate.images["train"], estimate.images["val"]
        assert throughput.epoch_seconds(estimate.images) == pytest.approx(
            train / throughput.train_images_per_second + val / throughput.score_images_per_second
        )
        workspace.draft = changed_recipe(workspace.draft, ["image.size_px=64"])
        app.screen.refresh_view()
        await shows(pilot, "m measures it")


async def test_a_device_that_is_not_there_is_told_when_measured(workspace):
    workspace.device = "cuda:77"
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "m")
        await shows(pilot, "'cuda:77'")
        await shows(pilot, "m measures it")
        assert measured(app) is None


async def test_quitting_does_not_wait_for_a_whole_measurement(workspace):
    workspace.draft = changed_recipe(workspace.draft, ["image.size_px=128", "train.batch_size=32"])
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "train.epochs")
        await press(pilot, "m")
        await shows(pilot, "measuring:")
        await press(pilot, "m")
        await shows(pilot, "stopping after")
        await press(pilot, "q")
    assert app.return_code == 0


async def test_a_measurement_that_is_broken_off_at_once_can_be_begun_again(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_field(pilot, "train.epochs")
        await estimate_known(pilot)
        app.screen.action_measure()
        app.screen.action_measure()  # before its thread could begin
        await shows(pilot, "m measures it")
        app.screen.action_measure()
        app.screen.on_screen_suspend()  # and the same where another screen is gone to
        await shows(pilot, "m measures it")
        await press(pilot, "m")
        await throughput_known(pilot)


def test_a_measurement_can_be_broken_off(workspace):
    from core.bench.throughput import measured_throughput

    assert measured_throughput(workspace.draft, "cpu", lambda: True) is None


async def test_nothing_is_measured_while_a_run_is_under_way(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_field(pilot, "train.epochs")
        app.start_run(changed_recipe(workspace.draft, ["train.epochs=50"]))
        await until(pilot, lambda: workspace.running is not None, "the run")
        app.action_mode("recipe")
        await press(pilot, "m")
        await shows(pilot, "would distort")
        running = workspace.running
        running.source.ask(Request.STOP)
        await until(pilot, lambda: workspace.running is None, "the run's end", 120)


async def test_the_filter_leaves_the_fields_that_match(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        form = await at_field(pilot, "name")
        await press(pilot, "slash")
        await type_text(pilot, "decay")
        await shows(pilot, "weight decay")
        assert "batch size" not in plain(app)
        await press(pilot, "enter")
        await until(pilot, lambda: form.has_focus, "the form's focus")
        assert form.field.key == "train.weight_decay"
        await press(pilot, "escape")
        await shows(pilot, "batch size")


async def test_the_filter_hides_a_field_that_was_edited_before(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "image.size_px")
        await press(pilot, "enter", "escape", "slash")
        await type_text(pilot, "decay")
        await shows(pilot, "weight decay")
        assert "image size" not in plain(app).partition("│")[0]
        assert not app.screen.query(".at-cursor.no-match")
        assert [row.field.key for row in app.screen.query(FieldRow) if row.display] == [
            "train.weight_decay"
        ]
        await type_text(pilot, "zz")
        await shows(pilot, "no field's name or help")


async def test_values_can_be_read_in_the_smallest_terminal(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(60, 16)) as pilot:
        await at_field(pilot, "image.size_px")
        await shows(pilot, "image size            32 px")
        await shows(pilot, "Width and height")


async def test_control_characters_are_made_visible_and_an_untouched_field_stays(workspace):
    note = "a\x1b]52;c;x\x07[/b]\u202eb\nc"
    workspace.draft = workspace.draft.model_copy(update={"note": note})
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        form = await at_field(pilot, "note")
        assert "␛]52;c;x␇[/b]\\u202eb c" in plain(app)
        await press(pilot, "enter")
        assert "\x1b" not in plain(app)
        await press(pilot, "enter")
        await until(pilot, lambda: not form.is_editing, "the field to be left")
        assert workspace.draft.note == note


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
async def test_every_field_can_be_reached_and_seen(workspace, width, height):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(width, height)) as pilot:
        form = await at_field(pilot, "name")
        for field in recipe_fields():
            assert form.field.key == field.key
            at_it = (f"▸  {field.label}", f"▸• {field.label}")
            await until(pilot, lambda at=at_it: any(it in plain(app) for it in at), field.key)
            await press(pilot, "down")


def test_a_long_value_keeps_its_ends():
    path = "/data/shared/somewhere/far/away/nih/images"
    short = elided(path, 20)
    assert len(short) == 20
    assert short.startswith("/dat")
    assert short.endswith("nih/images")
    assert elided(path, 100) == path
    assert elided("画像画像画像画像", 9).count("…") == 1


def test_visible_gpus_are_numbered_as_torch_numbers_them():
    from core.nvidia_smi import visible_gpus

    answer = "0, GPU-aa, NVIDIA H100, 20480, 81920\n1, GPU-bb, NVIDIA H100, 71680, 81920\n"
    assert [gpu.words for gpu in visible_gpus(answer, None)] == [
        "cuda:0 H100, 20 of 80 GiB free",
        "cuda:1 H100, 70 of 80 GiB free",
    ]
    assert [gpu.words for gpu in visible_gpus(answer, "1")] == ["cuda:0 H100, 70 of 80 GiB free"]
    assert [gpu.free_gib for gpu in visible_gpus(answer, "GPU-bb,0")] == [70, 20]
    assert visible_gpus(answer, "") == []
    assert visible_gpus("NVIDIA-SMI has failed", None) == []


def test_looking_ahead_loads_no_torch():
    import subprocess
    import sys

    modules = "cxr_tui.recipe.screen, cxr_tui.recipe.estimate, core.bench.throughput"
    script = f"import sys, {modules}; print({{'torch', 'sklearn', 'pandas'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


async def test_tab_completes_the_path_in_a_field_and_takes_any_other_value(workspace, tmp_path):
    (tmp_path / "boxes-of-mine.csv").write_text("")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_field(pilot, "dataset.boxes")
        await press(pilot, "enter", "ctrl+u", *f"{tmp_path}/boxes", "tab")
        path = f"{tmp_path}/boxes-of-mine.csv"
        await until(pilot, lambda: app.focused.value == path, "the path")
        await press(pilot, "tab")
        await until(pilot, lambda: str(workspace.draft.dataset.boxes) == path, "the value")
