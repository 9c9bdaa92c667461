"""2 Data, by its keys: opening, looking, changing the draft; on tables and images made here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import plain, press, press_at_once, shows, until
from other_forms import as_hospital
from tables import random_rows, write_images, write_lines, write_v2020
from textual.app import App
from textual.events import Paste
from textual.widgets import Input

from core.data.study.study import audit_study
from core.findings import FINDINGS
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.dialogs import Question
from cxr_tui.console.path_input import completed, completions_of
from cxr_tui.console.workspace import Workspace
from cxr_tui.data.balance_chart import BalanceChart, bar
from cxr_tui.data.co_occurrence import CoOccurrence, matrix_text, short_names
from cxr_tui.data.fields import balanced, share_of, stepped, typed
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.data.notes import ImageSearch, lesion_sentence, notes_of
from cxr_tui.data.recent_data_sets import (
    MOST_REMEMBERED,
    DataSet,
    recent_data_sets,
    recent_file,
    remember,
)
from cxr_tui.data.samples import COUNT, SampleImages, samples_of
from cxr_tui.widgets.xray_view import XrayView


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def app(tmp_path, cache_dir):
    return ConsoleApp(Workspace(tmp_path / "sessions", cache_dir, device="cpu"))


def nih_folder(folder, *, images=None):
    """Tables and lists of 60 patients, with some of their images."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = random_rows(60)
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    names = [row.partition(",")[0] for row in rows]
    test = [name for name in names if int(name[:8]) % 4 == 0]
    write_lines(folder / "train_val_list.txt", [name for name in names if name not in test])
    write_lines(folder / "test_list.txt", test)
    write_images(folder / "images", names if images is None else names[:images])
    return folder


def on(app, folder, *changes):
    app.workspace.draft = changed_recipe(
        load_recipe("nih-14", ['dataset.findings=["Mass","Nodule","Hernia"]']),
        [f"dataset.images={folder}", "split.by=official", *changes],
    )
    return app


async def settled(pilot):
    """The draft's picture is drawn and the search for images is over."""
    known = pilot.app.get_screen_stack("data")[0]._known

    def is_drawn():
        picture = known.picture
        drawn = picture is not None and picture.recipe == pilot.app.workspace.draft
        return drawn and not known.is_drawing and known.search.state != "looking"

    await until(pilot, is_drawn, "the picture")
    await pilot.pause()  # and shown
    return known.picture.report


def flat(app):
    """The screen's words, however its lines are broken."""
    return " ".join(plain(app).split())


async def says(pilot, words):
    await until(pilot, lambda: words in flat(pilot.app), repr(words))


async def choose(pilot, name):
    """Move to the field of that name, which is then marked."""
    screen = pilot.app.screen
    for _ in screen._choices():
        if screen._chosen().name == name:
            break
        await press(pilot, ".")
    await says(pilot, f"{name} ‹")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_figures_are_the_audits_at_every_size(app, tmp_path, cache_dir, size):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=size) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        audited = audit_study(app.workspace.draft, cache_dir)
        await says(pilot, f"{audited['images']:,} images · 60 patients")
        for part in ("train", "val", "test"):
            figures = audited["parts"][part]["findings"]["Mass"]
            await says(pilot, f"{100 * figures['prevalence']:.1f} %")
            await says(pilot, f"{figures['positives']:,}")
        await says(pilot, "✓ no patient is in two parts")
        await says(pilot, "✓ no image is missing")


async def test_a_step_of_the_seed_draws_other_parts_and_stays_in_the_draft(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        before = await settled(pilot)
        await choose(pilot, "seed")
        await press(pilot, "right", "right", "left", "right")
        after = await settled(pilot)
        assert app.workspace.draft.split.seed == 2
        assert after["split"]["seed"] == 2
        assert after["parts"]["val"] != before["parts"]["val"]
        assert after["parts"]["test"] == before["parts"]["test"]
        await says(pilot, "seed ‹2›")


async def test_a_typed_share_moves_patients_and_train_gets_the_rest(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"), "split.by=patient")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await choose(pilot, "test")
        await press(pilot, "enter")
        await shows(pilot, "percent of the patients")
        await press(pilot, *["backspace"] * 4, *"95")
        await shows(pilot, "✗")
        await press(pilot, "enter", *["backspace"] * 2, *"50", "enter")
        report = await settled(pilot)
        split = app.workspace.draft.split
        assert (split.train, split.val, split.test) == pytest.approx((0.4, 0.1, 0.5))
        assert report["parts"]["test"]["patients"] == 30


async def test_missing_images_are_counted_and_can_be_gone_without(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih", images=120))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        whole = await settled(pilot)
        missing = whole["images"] - 120
        await says(pilot, f"✗ {missing:,} of the table's {whole['images']:,} images are missing")
        assert "missing stop" in plain(app)  # the field that this speaks of
        await choose(pilot, "missing")
        await press(pilot, "right")
        partial = await settled(pilot)
        assert app.workspace.draft.dataset.partial
        assert partial["images"] == 120
        await says(pilot, "parts are drawn from the 120")


async def test_findings_are_ticked_in_a_list(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await press(pilot, "f")
        await shows(pilot, "Findings to learn")
        await press(pilot, "U", "enter")
        await shows(pilot, "tick at least one")
        await press(pilot, "down", "down", "space", "enter")
        report = await settled(pilot)
        assert app.workspace.draft.dataset.findings == ("Effusion",)
        assert report["findings"] == ["Effusion"]


async def test_balance_keeps_every_positive_and_empty_takes_it_off(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        before = await settled(pilot)
        app.screen.query_one(BalanceChart).move_cursor(row=1)
        await pilot.pause(0)
        finding = app.screen.query_one(BalanceChart).finding
        await press(pilot, "b")
        await shows(pilot, f"Prevalence of {finding}")
        await press(pilot, *"0.x")
        await shows(pilot, "must be a percentage")
        await press(pilot, "backspace", "backspace", "backspace", *"40", "enter")
        after = await settled(pilot)
        mass = after["parts"]["train"]["findings"][finding]
        assert mass["prevalence"] == pytest.approx(0.4, abs=0.01)
        assert mass["positives"] == before["parts"]["train"]["findings"][finding]["positives"]
        await says(pilot, f"{finding} at 40 %")
        app.screen.query_one(BalanceChart).move_cursor(
            row=app.screen.query_one(BalanceChart)._names().index(finding)
        )
        await press(pilot, "b")
        await shows(pilot, f"Prevalence of {finding}")
        await press(pilot, "ctrl+u", "enter")
        assert (await settled(pilot))["parts"] == before["parts"]
        assert app.workspace.draft.subset.finding is None


async def test_co_occurrence_stands_in_for_the_chart_and_esc_brings_it_back(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await press(pilot, "c")
        await shows(pilot, "Of the images with a row's finding")
        assert not app.screen.query_one(BalanceChart).display
        await press(pilot, "escape")
        await until(pilot, lambda: app.screen.query_one(BalanceChart).display, "the chart")
        assert app.current_mode == "data"
        await press(pilot, "v")
        await shows(pilot, "Labels were mined")
        await press(pilot, "escape", "escape")
        assert app.current_mode == "sessions"


async def test_a_large_terminal_shows_chart_matrix_and_notes_at_once(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        assert app.screen.query_one(BalanceChart).display
        assert app.screen.query_one(CoOccurrence).display
        await says(pilot, "Labels were mined")
        await says(pilot, "median age")


async def test_a_split_that_cannot_be_is_refused_in_words_and_another_one_helps(app, tmp_path):
    folder = nih_folder(tmp_path / "nih")
    (folder / "test_list.txt").unlink()
    on(app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await says(pilot, "✗ split.test_list: the list is not named")
        await choose(pilot, "split")
        await press(pilot, "right")
        await settled(pilot)
        assert app.workspace.draft.split.by == "patient"
        await until(pilot, lambda: "✗" not in plain(app), "a picture without a fault")


async def test_a_folder_that_vanished_is_said_and_read_again_when_it_is_back(app, tmp_path):
    folder = tmp_path / "nih"
    on(app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await says(pilot, "is missing")
        assert "x co-occurrence" not in plain(app)  # there is nothing to look at
        nih_folder(folder)
        await press(pilot, "enter")
        await settled(pilot)


async def test_no_image_under_the_folder_leaves_the_tables_picture(app, tmp_path):
    folder = nih_folder(tmp_path / "nih", images=0)
    on(app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await says(pilot, "60 patients")
        await says(pilot, f"✗ {str(folder)[:10]}")


async def test_a_path_is_typed_and_remembered_for_the_next_time(app, tmp_path):
    folder = nih_folder(tmp_path / "my [nih\x1b]")
    async with app.run_test(size=(80, 24)) as pilot:
        on(app, folder, "dataset.images=")
        await press(pilot, "2")
        await shows(pilot, "No data set is chosen")
        await press(pilot, "o")
        await shows(pilot, "Open a data set")
        await press(pilot, *"/no/such", "enter")  # nothing was opened before
        await shows(pilot, "✗ /no/such does not exist")
        app.screen.query_one("Input").value = str(folder)
        await press(pilot, "enter")
        await settled(pilot)
        await shows(pilot, "my [nih␛]")
        assert app.workspace.draft.dataset.images == folder
        await until(pilot, lambda: bool(recent_data_sets()), "the memory")
        app.workspace.draft = changed_recipe(app.workspace.draft, ["dataset.images="])
        await press(pilot, "1")
        app.switch_mode("data")
        await shows(pilot, "No data set is chosen")
        await press(pilot, "o")
        await shows(pilot, "my [nih␛]")
        await press(pilot, "enter")
        await settled(pilot)
        assert app.workspace.draft.dataset.images == folder


async def test_a_folder_is_found_in_the_tree(app, tmp_path, monkeypatch):
    folder = nih_folder(tmp_path / "work" / "my nih")
    (tmp_path / "work" / "[b]\x1b[other").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    on(app, folder, "dataset.images=")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await shows(pilot, "No data set is chosen")
        await press(pilot, "o", "tab")
        await shows(pilot, "▸ my nih")
        assert "[b]␛[other" in plain(app)
        await press(pilot, "down", "down", "o")
        await settled(pilot)
        assert app.workspace.draft.dataset.images == folder


async def test_the_synthetic_set_is_made_when_it_is_asked_for(tmp_path):
    app = ConsoleApp(Workspace(tmp_path / "sessions", tmp_path / "fresh", device="cpu"))
    app.workspace.draft = load_recipe(
        "nih-14", ["dataset.phantom={patients=12, size_px=64, seed=1}"]
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await shows(pilot, "does not exist yet")
        assert not list((tmp_path / "fresh").glob("phantom*"))
        await press(pilot, "enter")
        report = await settled(pilot)
        assert report["patients"] == 12
        assert recent_data_sets() == []


async def test_ascii_needs_no_blocks(tmp_path, cache_dir):
    app = ConsoleApp(Workspace(tmp_path / "sessions", cache_dir), ascii_only=True)
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await says(pilot, "+ no patient is in two parts")
        assert not set(plain(app)) & set("█▉▊▋▌▍▎▏▁▂▃▄▅▆▇✓✗▲")


def test_another_data_set_forgets_the_files_of_the_one_before(tmp_path):
    recipe = changed_recipe(load_recipe("demo"), [])
    named = DataSet.at(tmp_path).put_into(recipe)
    assert named.dataset.phantom is None
    assert named.dataset.images == tmp_path
    table = tmp_path / "mine.csv"
    table.write_text("x")
    named = DataSet.at(table).put_into(named)
    assert (named.dataset.labels, named.dataset.images) == (table, tmp_path)
    back = DataSet.of(recipe).put_into(named)
    assert back.dataset == recipe.dataset


def test_the_latest_data_sets_come_first_once_each_and_damage_is_no_harm(tmp_path):
    for number in range(MOST_REMEMBERED + 2):
        remember(DataSet.at(tmp_path / str(number)))
    remember(DataSet.at(tmp_path / "5"))
    kept = recent_data_sets()
    assert len(kept) == MOST_REMEMBERED
    assert kept[0] == DataSet.at(tmp_path / "5")
    assert len(set(kept)) == len(kept)
    for damage in ("", "[1]", '{"data_sets": [3, {"dataset.images": 4}, {}]}', "\x00"):
        recent_file().write_text(damage)
        assert recent_data_sets() == []


def test_a_path_is_completed_by_folders_and_tables(tmp_path):
    (tmp_path / "nih-large").mkdir()
    (tmp_path / "note.txt").write_text("")
    (tmp_path / "table.csv").write_text("")
    assert completions_of(f"{tmp_path}/ni", ".csv")[0] == f"{tmp_path}/nih-large/"
    assert completed(f"{tmp_path}/ta", ".csv") == f"{tmp_path}/table.csv"
    assert completions_of(f"{tmp_path}/no", ".csv") == []
    assert completed("/no/such/folder/") == "/no/such/folder/"


def test_shares_are_typed_as_percentages_or_shares():
    assert share_of("29", "k") == share_of("29 %", "k") == share_of("0.29", "k") == 0.29
    assert share_of("0.5 %", "k") == 0.005
    assert typed(Recipe(), "image.size_px", "320 px").image.size_px == 320
    assert balanced(Recipe(), "Mass", "29").subset.prevalence == 0.29


def test_the_split_by_patient_takes_what_val_and_test_leave():
    recipe = changed_recipe(Recipe(), ["split.val=0.3"])
    by_patient = stepped(recipe, "split.by", 1)
    assert by_patient.split.train == pytest.approx(0.5)
    assert stepped(by_patient, "split.val", -1).split.train == pytest.approx(0.51)


def test_sizes_go_by_their_steps_from_wherever_they_are():
    recipe = changed_recipe(Recipe(), ["image.size_px=230"])
    assert stepped(recipe, "image.size_px", 1).image.size_px == 256
    assert stepped(recipe, "image.size_px", -1).image.size_px == 224
    assert stepped(changed_recipe(recipe, ["image.size_px=32"]), "image.size_px", -1).image


def test_a_small_lesion_is_said_in_a_plain_sentence():
    lesion = {"boxes": 79, "median_px_at_input": [15.3, 14.9], "share_smaller_than_cell": 0.99}
    report = {"lesions": {"Nodule": lesion}, "input_size_px": 224}
    assert lesion_sentence(report, "Nodule") == (
        "A Nodule box is 15×15 px at 224; one cell of the map covers 32 px, and 99 % of the "
        "boxes are smaller. 512 px gives 35×34, for 5.2 times the work."
    )
    assert "There is no box of Hernia" in lesion_sentence(report, "Hernia")


def test_notes_say_what_the_search_for_images_has_come_to():
    part = {"images": 9, "patients": 9, "findings": {}}
    report = {
        "shared_patients": 3,
        "patients": 27,
        "label_policy": {"source": "", "by_finding": {}},
        "notes": [],
        "expected_intervals": {"findings": {}},
        "split": {"note": None},
        "missing_images": None,
        "parts": {"train": part, "val": part, "test": part},
        "shift": {},
        "lesions": {},
        "warnings": ["another"],
        "counts": [],
        "note": "n",
    }
    recipe = load_recipe("nih-14", [])
    looking = notes_of(report, ImageSearch(so_far=5_000, in_table=9_000), recipe)
    assert [note.kind for note in looking] == ["bad", "plain", "warning", "plain"]
    assert looking[1].text == "looking for the images: 5,000 of 9,000 so far"
    search = ImageSearch("found", in_table=9, extra=2, quarantined={"a.png": "truncated"})
    texts = [note.text for note in notes_of(report, search, recipe)]
    assert "1 can't be decoded and are quarantined: a.png: truncated" in texts
    assert "2 images that are not in the table are ignored" in texts


def test_bars_grow_with_the_share_and_never_vanish():
    assert bar(0.5, 1.0, 8) == "████"
    assert bar(0.001, 1.0, 8) == "▏"
    assert bar(0.0, 1.0, 8) == ""
    assert bar(0.5, 1.0, 8, ascii_only=True) == "####"


def test_the_matrix_counts_shares_of_the_row():
    counts = {"Mass": {"Mass": 10, "Nodule": 4}, "Nodule": {"Mass": 4, "Nodule": 40}}
    lines = matrix_text(counts, 80).plain.splitlines()
    assert lines[2].split() == ["Mass", "10", "·", "40"]
    assert lines[3].split() == ["Nodule", "40", "10", "·"]


LONG = ["Enlarged Cardiomediastinum", "Lung Opacity", "Lung Lesion", "Pleural_Thickening"]


def test_names_in_the_matrix_are_whole_where_there_is_room_and_end_in_an_ellipsis_elsewhere():
    counts = {name: dict.fromkeys(LONG, 1) for name in LONG}
    head, *rows = matrix_text(counts, 80).plain.splitlines()[1:]
    assert [row[:27].strip() for row in rows] == LONG
    assert head.split() == ["images", "ECa", "LOp", "LLe", "Plt"]
    _, *rows = matrix_text(counts, 40).plain.splitlines()[1:]
    assert [row[:17].strip() for row in rows] == [
        "Enlarged Cardio…", "Lung Opacity", "Lung Lesion", "Pleural_Thicken…",
    ]  # fmt: skip
    assert all(len(row) <= 40 for row in rows)


def test_no_two_findings_share_their_three_letters():
    names = ["Lung", "Lungs", "Lunge", *LONG, "Mass", "Nodule", "_", "日本"]
    assert len(set(short_names(names).values())) == len(names)


@pytest.mark.parametrize("width", [80, 120])
async def test_a_long_name_takes_room_from_the_bars_and_not_from_itself(tmp_path, width):
    folder = nih_folder(tmp_path / "nih")
    recipe = load_recipe("nih-14", [f"dataset.images={folder}", "dataset.partial=true"])
    report = json.loads(
        json.dumps(audit_study(recipe, tmp_path, labels_only=True)).replace("Mass", LONG[0])
    )

    class Alone(App[None]):
        def compose(self):
            yield BalanceChart()

    async with Alone().run_test(size=(width, 24)) as pilot:
        pilot.app.query_one(BalanceChart).show(report)
        await shows(pilot, f" {LONG[0]} ")
        await shows(pilot, "box at 224")


def test_the_screen_needs_neither_torch_nor_scikit_learn():
    code = "import cxr_tui.data.screen, sys; print(*{'torch', 'sklearn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


async def test_what_is_refused_here_is_not_started_without_a_question(app, tmp_path):
    folder = nih_folder(tmp_path / "nih")
    (folder / "test_list.txt").unlink()
    on(app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await until(pilot, lambda: app.screen._known.refusal != "", "the refusal")
        await press(pilot, "S")
        await shows(pilot, "This run would be refused")
        await press(pilot, "escape")
        assert app.workspace.running is None
        assert not app.workspace.sessions.exists()


async def test_a_path_that_is_typed_in_the_picker_is_taken_and_not_the_synthetic_set(app, tmp_path):
    folder = nih_folder(tmp_path / "mine")
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await until(pilot, lambda: app.current_mode == "data", "the data")
        await press(pilot, "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(folder), "enter")
        await until(pilot, lambda: not isinstance(app.screen, DataSetPicker), "its end")
        assert app.workspace.draft.dataset.images == folder


async def test_nihs_folder_under_the_demos_recipe_is_offered_the_recipe_for_nih(app, tmp_path):
    folder = nih_folder(tmp_path / "mine")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(folder), "enter")
        await shows(pilot, "This is NIH ChestX-ray14")
        await press(pilot, "enter")
        await until(pilot, lambda: app.workspace.preset == "nih-14", "its recipe")
        draft = app.workspace.draft
        assert (draft.name, draft.dataset.images) == ("nih-14", folder)
        assert draft.dataset.findings == FINDINGS


CHEXPERT = Path(__file__).parents[2] / "collections" / "chexpert" / "CheXpert-v1.0-small"


async def test_chexperts_folder_is_offered_its_own_recipe_and_its_choices_are_fields(app):
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(CHEXPERT), "enter")
        await shows(pilot, "This is CheXpert")
        await press(pilot, "enter")
        await until(pilot, lambda: app.workspace.draft.name == "chexpert", "its recipe")
        assert app.workspace.draft.dataset.images == CHEXPERT
        await shows(pilot, "uncertain ones")
        await shows(pilot, "views frontal")
        await choose(pilot, "uncertain")
        await press(pilot, "right")
        await until(pilot, lambda: app.workspace.draft.labels.uncertain == "zeros", "the policy")
        await shows(pilot, "uncertain labels count as absent in train")


async def test_a_table_of_ones_own_offers_its_findings_and_asks_where_patients_are(app, tmp_path):
    table = write_lines(
        tmp_path / "own.csv",
        ["file,rib notching"]
        + [f"p{number // 2}_{number % 2}.png,{number % 3 // 2}" for number in range(40)],
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(table), "enter")
        await shows(pilot, "A table of your own")
        await press(pilot, "enter")
        await until(
            pilot, lambda: app.workspace.draft.dataset.findings == ("rib notching",), "its finding"
        )
        await shows(pilot, "unknown patients")
        await shows(pilot, "patient from table")


async def test_what_a_refusal_proposes_is_set_by_a_key(app, tmp_path, phantom_dir):
    ward = tmp_path / "ward"
    as_hospital(phantom_dir, ward)
    table = ward / "reports.csv"
    table.write_text(table.read_text().replace(",1", ",J").replace(",0", ",N"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(ward), "enter")
        await says(pilot, "! set dataset.columns.present=J dataset.columns.absent=N")
        await press(pilot, "!")
        await says(pilot, "the 3 findings it has, split by patient")
        await press(pilot, "enter")
        await says(pilot, "! sets dataset.image_from=dicom")
        await shows(pilot, "! set it")
        await press(pilot, "!")
        await says(pilot, "✓ no image is missing")
        await says(pilot, "image from dicom")
        assert "! set it" not in plain(app)
        assert app.workspace.draft.dataset.image_from == "dicom"


async def test_a_synthetic_set_in_nihs_layout_is_not_taken_for_nihs(app, tmp_path):
    folder = nih_folder(tmp_path / "mine")
    (folder / "truth.csv").write_text("image\n")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press(pilot, *str(folder), "enter")
        await until(pilot, lambda: app.workspace.draft.dataset.images == folder, "the folder")
        await settled(pilot)
        assert app.workspace.preset == "demo"
        assert not isinstance(app.screen, Question)


async def test_where_there_is_room_images_of_the_finding_are_shown_with_their_boxes(
    app, phantom_dir
):
    app.workspace.draft = load_recipe(
        "demo", ["dataset.phantom=none", f"dataset.images={phantom_dir}"]
    )
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        samples = app.screen.query_one(SampleImages)

        def shown():
            return [view._shown for view in samples.query(XrayView) if view._shown is not None]

        await until(pilot, lambda: len(shown()) == COUNT, "eight images")
        first = app.screen.query_one(BalanceChart).finding
        names = samples_of(app.screen._known.found, first)
        assert [str(label.render()) for label in samples.query(".caption")] == names
        assert shown()[0].boxes
        await press(pilot, "down")
        second = app.screen.query_one(BalanceChart).finding
        assert second != first
        others = samples_of(app.screen._known.found, second)
        await until(
            pilot,
            lambda: [str(label.render()) for label in samples.query(".caption")] == others,
            "images of the next finding",
        )


async def test_a_sample_that_can_not_be_decoded_says_why_in_its_place(app, tmp_path):
    folder = nih_folder(tmp_path / "nih")
    for path in (folder / "images").iterdir():
        path.write_bytes(b"not an image")
    on(app, folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        views = app.screen.query_one(SampleImages).query(XrayView)
        await until(pilot, lambda: any(view._instead for view in views), "the reason")


async def test_a_path_that_comes_in_a_burst_is_taken_whole(app, tmp_path):
    folder = nih_folder(tmp_path / "mine")
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await until(pilot, lambda: app.current_mode == "data", "the data")
        await press(pilot, "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        await press_at_once(pilot, *str(folder))
        field = app.screen.query_one("#path")
        await until(pilot, lambda: field.value == str(folder), "the path")


async def test_findings_are_counted_over_the_images_that_are_there(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih", images=60), "dataset.partial=true")
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        report = await settled(pilot)
        parts = report["parts"].values()
        there = sum(part["findings"]["Mass"]["positives"] for part in parts)
        await press(pilot, "f")
        await shows(pilot, "Findings to learn")
        line = next(line for line in plain(app).splitlines() if "] Mass" in line)
        assert line.split("Mass")[1].split()[0] == str(there)


async def test_a_prevalence_out_of_bounds_is_said_in_percent(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await press(pilot, "b", *"120")
        await shows(pilot, "✗ must be from 0 to below 100 %, got '120'.")


async def test_after_the_notes_the_foot_names_the_fields_keys_again(app, tmp_path):
    on(app, nih_folder(tmp_path / "nih"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await press(pilot, "v", "v")
        await shows(pilot, "← → change")


async def test_a_path_that_is_pasted_in_the_picker_is_taken(app, tmp_path):
    folder = nih_folder(tmp_path / "mine")
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await until(pilot, lambda: app.current_mode == "data", "the data")
        await press(pilot, "o")
        await until(pilot, lambda: isinstance(app.screen, DataSetPicker), "the picker")
        app.post_message(Paste(f"{folder}\n"))
        await until(pilot, lambda: app.screen.query_one(Input).value == str(folder), "the path")
        await press(pilot, "enter")
        await until(pilot, lambda: not isinstance(app.screen, DataSetPicker), "its end")
        assert app.workspace.draft.dataset.images == folder


async def test_ticked_findings_are_told_apart_without_colours(app, tmp_path):
    on(app, nih_folder(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_mode("data")
        await settled(pilot)
        await press(pilot, "f")
        await shows(pilot, "Findings to learn")
        shown = plain(app)
        assert re.search(r"\[x\] Mass", shown)
        assert re.search(r"\[ \] Edema", shown)
        await press(pilot, "U", "space")
        assert re.search(r"\[ \] Mass", plain(app))
        assert plain(app).count("[x]") == 1


async def test_tab_completes_a_path_as_far_as_all_that_fit_go(app, tmp_path):
    for name in ("images-large", "images-small"):
        (tmp_path / "at" / name).mkdir(parents=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "o")
        await shows(pilot, "Open a data set")
        field = app.screen.query_one("#path")
        await press(pilot, *f"{tmp_path}/at/i", "tab")
        await until(pilot, lambda: field.value == f"{tmp_path}/at/images-", "what both share")
        await press(pilot, "s", "tab")
        await until(pilot, lambda: field.value == f"{tmp_path}/at/images-small/", "the folder")
        assert app.focused is field


async def test_tab_stays_in_the_path_where_several_fit_and_a_second_goes_on(app, tmp_path):
    for name in ("large", "small"):
        (tmp_path / "at" / name).mkdir(parents=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "o")
        await shows(pilot, "Open a data set")
        await shows(pilot, "→ take what is shown")
        field = app.screen.query_one("#path")
        await press(pilot, *f"{tmp_path}/at/", "tab")
        await until(pilot, lambda: field._before == field.value, "that several fit")
        assert app.focused is field
        await press(pilot, "tab")
        await until(pilot, lambda: app.focused is not field, "the tree")
        await shows(pilot, "^l path")


async def test_another_theme_is_behind_the_images_too(app, phantom_dir):
    app.workspace.draft = load_recipe(
        "demo", ["dataset.phantom=none", f"dataset.images={phantom_dir}"]
    )
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        views = app.screen.query_one(SampleImages).query(XrayView)
        await until(pilot, lambda: all(view._shown for view in views), "the images")

        def margins():
            strips = [view.render_line(0) for view in views]
            return {segment.style.bgcolor for strip in strips for segment in list(strip)[:1]}

        before = margins()
        app.theme = "light-box"
        await until(pilot, lambda: not before & margins(), "the light theme", 20)
