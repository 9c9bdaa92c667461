"""6 CAMs, by its keys, over maps of a session that was really trained."""

import csv
import json
import shutil
import threading

import numpy as np
import pytest
from console import plain, press, shows, until
from PIL import Image
from rich.color import Color
from told_sessions import a_session, begun, dataset, model

from core import events
from core.evaluation.maps import found_maps
from core.evaluation.maps.overlay import BOX_COLOUR
from core.findings import FINDINGS
from core.frames import open_run
from core.recipe_toml import load_recipe, recipe_toml
from core.requests import Request
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.cams import session_maps
from cxr_tui.console.workspace import Workspace
from cxr_tui.results.report_table import ReportTable
from cxr_tui.terminal.graphics import KITTY, SIXEL, graphics
from cxr_tui.widgets.xray_256 import RAMP
from cxr_tui.widgets.xray_picture import Look, Shown, fitted, picture, zoomed_to
from cxr_tui.widgets.xray_view import XrayView


@pytest.fixture
def workspace(trained_dir, tmp_path, cache_dir):
    shutil.copytree(trained_dir, tmp_path / "sessions" / "trained")
    return Workspace(tmp_path / "sessions", cache_dir, device="cpu")


async def opened(pilot, finding="Cardiomegaly"):
    """The viewer, with every map of the first finding made."""
    pilot.app.open_session("trained", "cams")
    await until(pilot, lambda: pilot.app.current_mode == "cams", "the viewer")
    await shows(pilot, finding)
    await shows(pilot, "where most boxes are")
    await shows(pilot, "probability 0.")
    await until(pilot, lambda: "reading the image" not in plain(pilot.app), "the image")


async def at_a_map(pilot):
    """On an image of Pneumothorax, the best learned of them, that has a box and evidence."""
    await opened(pilot)
    screen = pilot.app.screen
    await press(pilot, ",", ",")
    await shows(pilot, "· Pneumothorax ·")
    await until(
        pilot, lambda: ("grad-cam", "Pneumothorax") in screen._maker.kept.standing, "its maps"
    )
    for _ in screen._rows:
        row = screen.chosen_row()
        if row.found.has_evidence and len(row.found.boxes_K4):
            break
        await press(pilot, "down")
    await until(pilot, lambda: "IoBB" in plain(pilot.app), "the map's words")
    await until(pilot, lambda: "reading the image" not in plain(pilot.app), "the image")


def screen_of(pilot):
    return pilot.app.screen


def colours(pilot):
    """The colours that the picture is drawn with."""
    view = pilot.app.screen.query_one(XrayView)
    found = set()
    for y in range(view.size.height):
        for segment in view.render_line(y):
            if not segment.text.startswith("▀"):
                continue
            for colour in (segment.style.color, segment.style.bgcolor):
                if colour is not None and colour.triplet is not None:
                    found.add(tuple(colour.triplet))
    return found


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_list_the_picture_and_the_standing_are_there_at_every_size(workspace, size):
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        screen = plain(app)
        assert "with a box · Grad-CAM" in screen
        assert "where most boxes are" in screen
        assert "▀" in screen
        assert BOX_COLOUR in colours(pilot)


async def test_single_keys_change_what_is_drawn(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)

        async def changes(*keys):
            before = colours(pilot)
            await press(pilot, *keys)
            await until(pilot, lambda: colours(pilot) != before, f"another picture by {keys}")

        await changes("x")
        assert BOX_COLOUR not in colours(pilot)
        await changes("x")
        await changes("+")
        await changes(*">>>>")
        await shows(pilot, "from 40 % of the peak")
        await changes("v")
        greys = {colour for colour in colours(pilot) if colour != BOX_COLOUR}
        assert all(red == green == blue for red, green, blue in greys)
        await changes("v")
        await changes("v")


async def test_zooming_goes_to_the_box_and_arrows_pan_until_escape(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        screen = screen_of(pilot)
        await press(pilot, "z")
        await until(pilot, lambda: screen._picture.look.is_zoomed, "the zoom")
        region, row = screen._picture.look.region, screen.chosen_row()
        await press(pilot, "left", "up")
        await until(pilot, lambda: screen._picture.look.region != region, "another part")
        assert screen.chosen_row() is row
        await press(pilot, "escape")
        await until(pilot, lambda: not screen._picture.look.is_zoomed, "the whole image")
        await press(pilot, "down")
        await until(pilot, lambda: screen.chosen_row() is not row, "the next image")
        await press(pilot, "enter")
        await until(pilot, lambda: "in the box" not in plain(app), "the large picture")
        row = screen.chosen_row()
        await press(pilot, "down")
        await until(pilot, lambda: screen.chosen_row() is not row, "the next image, large")
        await press(pilot, "enter")
        await shows(pilot, "in the box")
        await press(pilot, "enter")
        await until(pilot, lambda: "in the box" not in plain(app), "the large picture")
        await press(pilot, "escape")
        await shows(pilot, "in the box")
        assert app.current_mode == "cams"


async def test_method_finding_filter_and_order_have_keys(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        screen = screen_of(pilot)
        for title in ("Grad-CAM++", "LayerCAM", "CAM", "Grad-CAM"):
            await press(pilot, "K")
            await shows(pilot, f"with a box · {title}")
        await press(pilot, "f")
        await shows(pilot, "Mass: ")
        await press(pilot, "escape")
        await press(pilot, ".", ".")
        await shows(pilot, "· Mass ·")
        await until(pilot, lambda: ("grad-cam", "Mass") in screen._maker.kept.standing, "its maps")
        await press(pilot, "F")
        await shows(pilot, "only hit")
        assert all(row.found.hit for row in screen._rows)
        await press(pilot, "F")
        await shows(pilot, "only miss")
        assert all(row.found.hit is False for row in screen._rows)
        await press(pilot, *"FFFF")
        await until(pilot, lambda: "only" not in plain(app).split("\n")[1], "all images")
        await press(pilot, "O")
        chances = [row.probability for row in screen._rows]
        await until(
            pilot,
            lambda: [row.probability for row in screen._rows] == sorted(chances, reverse=True),
            "the surest first",
        )


async def test_s_saves_the_overlay_and_shows_its_path_and_a_saves_the_list(workspace):
    app = ConsoleApp(workspace)
    folder = workspace.sessions / "trained" / "cams"
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        await press(pilot, "s")
        await until(pilot, lambda: len(list(folder.glob("*.png"))) == 1, "the overlay")
        await until(pilot, lambda: any("saved: " in n.message for n in app._notifications), "it")
        (path,) = folder.glob("*.png")
        assert json.loads(Image.open(path).text["cxr-tui"])["opacity"] == 0.6
        count = len(screen_of(pilot)._rows)
        await press(pilot, "A")
        await until(pilot, lambda: len(list(folder.glob("*.png"))) == count, "all of them")
        await until(pilot, lambda: (folder / "cams.csv").exists(), "the table")
        await until(
            pilot,
            lambda: len(list(csv.DictReader((folder / "cams.csv").open()))) == count,
            "a row each",
        )


async def test_covering_the_lesion_and_measuring_all_boxes_are_on_keys(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        await press(pilot, "L")
        await shows(pilot, "box covered: logit")
        await press(pilot, "m")
        await shows(pilot, "Maps against boxes")
        kept = json.loads((workspace.sessions / "trained/evaluation/localization.json").read_text())
        assert kept["findings"]
        await press(pilot, "escape")
        await until(pilot, lambda: "Maps against boxes" not in plain(app), "the viewer")
        app.action_mode("results")
        await press(pilot, "v")
        await shows(pilot, "the peak is ")


async def test_what_an_older_version_measured_is_told_with_the_control_it_had(workspace):
    old = {"pointing": 0.5, "pointing_ci": [0.2, 0.8]}
    finding = {"maps": 14, "map": old, "controls": {"random": old, "mean_box": old}}
    report = {
        "findings": dict.fromkeys(FINDINGS, finding),
        "summary": [f"{name}: It does not beat the mean box." for name in FINDINGS],
    }
    folder = workspace.sessions / "trained" / "evaluation"
    (folder / "localization.json").write_text(json.dumps(report))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_session("trained", "results")
        await shows(pilot, "95 %")
        await press(pilot, "v")
        await shows(pilot, "It does not beat the mean box.")


async def test_with_nothing_shown_or_nothing_trained_the_next_step_is_named(workspace):
    create_session(workspace.sessions, load_recipe("demo"), "fresh")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(200, 24)) as pilot:
        await press(pilot, "2", "6")
        await shows(pilot, "No session is shown.")
        app.open_session("fresh", "cams")
        await shows(pilot, "nothing has been trained here")


ONE_BEGUN = [begun(), dataset(), model(), events.EpochStarted(time=1003.0, epoch=1, steps=10)]


async def test_a_run_in_its_first_epoch_says_when_its_maps_come(workspace):
    a_session(workspace, *ONE_BEGUN, name="young")
    app = ConsoleApp(workspace)
    with workspace.open("young").writing() as writer:
        writer.append(ONE_BEGUN[-1])
        async with app.run_test(size=(80, 24)) as pilot:
            app.open_session("young", "cams")
            await shows(pilot, "The first is saved after epoch 1, and its maps appear here then.")
            await shows(pilot, "C           saves a checkpoint now")
            assert "--resume" not in plain(app)


async def test_maps_come_by_themselves_with_the_runs_first_checkpoint(workspace):
    folder = workspace.sessions / "trained"
    (folder / "events.jsonl").unlink()
    (folder / "checkpoints").rename(folder / "kept")
    (folder / "checkpoints").mkdir()
    app = ConsoleApp(workspace)
    with workspace.open("trained").writing() as writer:
        for event in ONE_BEGUN:
            writer.append(event)
        async with app.run_test(size=(80, 24)) as pilot:
            app.open_session("trained", "cams")
            await shows(pilot, "The first is saved after epoch 1")
            for file in (folder / "kept").iterdir():
                file.rename(folder / "checkpoints" / file.name)
            writer.append(events.CheckpointWritten(name="last", step=10, epoch=1, reason="epoch"))
            await shows(pilot, "in the box")


async def test_a_run_that_failed_before_its_first_checkpoint_says_why_and_what_to_do(workspace):
    failed = events.Failed(time=1004.0, message="loss not finite at step 3. " * 5, exit_code=4)
    a_session(workspace, *ONE_BEGUN, failed, name="broken")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("broken", "cams")
        await shows(pilot, "the run failed before it saved a checkpoint.")
        await shows(pilot, "4, r        starts it again, or: cxr-tui --resume broken")
        await until(pilot, lambda: "enter large" not in plain(app), "no key of an empty list", 20)
        lines = [line for line in plain(app).splitlines() if "step 3." in line]
        assert len(lines) > 1
        assert all(line.startswith("   ") and line[3] != " " for line in lines), lines


async def test_a_session_whose_checkpoints_are_gone_speaks_of_them_and_of_no_recipe(workspace):
    shutil.rmtree(workspace.sessions / "trained" / "checkpoints")
    (workspace.sessions / "trained" / "checkpoints").mkdir()
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_session("trained", "cams")
        await shows(pilot, "none of the run's checkpoints is intact")
        assert "model.weights" not in plain(app)


async def test_a_finding_without_images_says_so_whole_and_is_not_the_first(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        screen = screen_of(pilot)
        screen._maker.kept.candidates["Cardiomegaly"] = []
        screen.refresh_view()
        await shows(pilot, "No image of Cardiomegaly to show:")
        words = " ".join(" ".join(line[39:] for line in plain(app).splitlines()).split())
        assert "none called. f or . chooses another finding." in words


async def test_maps_begin_with_a_finding_that_has_images_in_the_session_shown(
    workspace, monkeypatch
):
    app = ConsoleApp(workspace)
    shutil.copytree(workspace.sessions / "trained", workspace.sessions / "other")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        listed = session_maps._listed

        def none_of_it(source, finding):
            return [] if finding == "Cardiomegaly" else listed(source, finding)

        monkeypatch.setattr(session_maps, "_listed", none_of_it)
        app.open_session("other", "cams")
        await shows(pilot, " other · ")
        await shows(pilot, "with a box")
        assert "Cardiomegaly" not in plain(app)
        assert "to show" not in plain(app)


@pytest.mark.parametrize("size", [(80, 24), (60, 16)])
async def test_the_method_is_always_seen_and_the_epoch_is_named_as_in_results(workspace, size):
    name = "a-session-with-a-name-that-is-rather-long"
    (workspace.sessions / "trained").rename(workspace.sessions / name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        app.open_session(name, "cams")
        await shows(pilot, "in the box")
        best = workspace.shown.view.best.epoch
        await shows(pilot, "a-session" if size[0] == 60 else f"· epoch {best}")
        assert "best-0" not in plain(app)
        for _ in range(6):
            for title in ("Grad-CAM++", "LayerCAM", "CAM", "Grad-CAM"):
                await press(pilot, "K")
                await shows(pilot, f"· {title}")
            head = plain(app).splitlines()[1]
            assert head.startswith(" a-sess"), head
            await press(pilot, "F")


async def test_lines_under_the_picture_stand_under_each_other(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_a_map(pilot)
        await press(pilot, "L")
        await shows(pilot, "box covered: logit")
        words = [line for line in plain(app).splitlines() if line[38:39] == "│"]
        below = words[next(i for i, line in enumerate(words) if "probability" in line) :]
        assert len(below) > 2
        assert all(line[39] == " " and line[40] != " " for line in below if line[39:]), below


async def test_enter_on_a_wrong_image_shows_its_map_and_escape_comes_back_to_its_row(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_session("trained", "results")
        await shows(pilot, "sensitivity 0.")
        await until(pilot, lambda: "reading the pred" not in plain(app), "the scores")
        finding = app.screen.query_one(ReportTable).chosen
        await press(pilot, "enter")
        await shows(pilot, "labelled absent, scored highest")
        wrong = app.screen
        await press(pilot, "tab")
        table = wrong.query_one("#highest")
        await press(pilot, *["down"] * 30)  # far down it is no error any more, and CAMs lists none
        image, row = wrong._highest[table.cursor_row].image, table.cursor_row
        assert row > 0
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "cams", "the viewer")
        await shows(pilot, f"· {finding} ·")
        viewer = app.screen
        await until(pilot, lambda: viewer.chosen_row().found is not None, "its map")
        assert viewer.chosen_row().candidate.image == image
        await press(pilot, "enter")
        await until(pilot, lambda: "in the box" not in plain(app), "the large picture")
        await press(pilot, "escape")
        await until(pilot, lambda: "prob lab" in plain(app), "the list")
        await press(pilot, "escape")
        await until(pilot, lambda: app.screen is wrong, "the wrong images")
        assert (app.focused, table.cursor_row) == (table, row)
        await press(pilot, "6")
        await until(pilot, lambda: app.current_mode == "cams", "the viewer")
        await press(pilot, "escape")
        await until(pilot, lambda: app.current_mode == "sessions", "home")


async def test_maps_of_one_session_do_not_stay_over_another(workspace):
    create_session(workspace.sessions, load_recipe("demo"), "fresh")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        app.open_session("fresh", "cams")
        await shows(pilot, "nothing has been trained here")
        assert "in the box" not in plain(app)
        app.open_session("trained", "cams")
        await shows(pilot, "in the box")


async def test_an_image_that_went_meanwhile_is_named_and_the_console_lives(
    workspace, phantom_dir, tmp_path
):
    folder = tmp_path / "set"
    shutil.copytree(phantom_dir, folder)
    recipe = workspace.sessions / "trained" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(phantom_dir), str(folder)))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        shutil.rmtree(folder / "images_001")
        for part in folder.glob("images_*"):
            shutil.rmtree(part)
        await press(pilot, "down")
        await shows(pilot, "can't be read")
        await press(pilot, "s")
        await until(pilot, lambda: app._notifications, "why it can't be saved")


@pytest.mark.parametrize("ascii_only", [True])
async def test_letters_give_a_readable_image_too(workspace, ascii_only):
    app = ConsoleApp(workspace, ascii_only=ascii_only)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        view = plain(app)
        assert view.isascii()
        assert "O" in view
        assert sum(view.count(sign) for sign in ".:-=+*#%@") > 500


def drawn_segments(app):
    """What the picture is made of, line by line."""
    view = app.screen.query_one(XrayView)
    return [list(view.render_line(y)) for y in range(view.size.height)]


def lightness(rgb):
    """CIELAB L* of sRGB."""
    shares = np.array(rgb) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126729, 0.7151522, 0.0721750]) - 16


def test_the_ramp_of_256_colours_rises_in_even_steps_of_lightness():
    steps = np.diff([lightness(Color.from_ansi(number).get_truecolor()) for number in RAMP])
    assert steps.min() > 8
    assert steps.max() < 1.5 * steps.min()


async def test_256_colours_keep_the_image_grey_and_the_map_in_its_ramp_and_say_how_to_get_more(
    workspace, monkeypatch
):
    monkeypatch.setenv("TERM", "tmux-256color")
    monkeypatch.delenv("COLORTERM")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        cells = [segment for line in drawn_segments(app) for segment in line if "▀" in segment.text]
        numbers = {
            colour.number for one in cells for colour in (one.style.color, one.style.bgcolor)
        }
        greys, marks = {16, 231, *range(232, 256)}, {45, 51}
        assert numbers <= greys | {*RAMP} | marks
        assert RAMP[-1] in numbers, "the peak"
        assert len(numbers & greys) > 10
        assert numbers & marks, "the box"
        told = [note.message for note in app._notifications]
        assert ["COLORTERM=truecolor" in message for message in told].count(True) == 1
        await press(pilot, "down", "up", "1", "6")
        assert len(app._notifications) == len(told)


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"TERM": "vt100", "COLORTERM": ""}, {"TERM": "dumb"}]
)
async def test_without_colours_digits_tell_the_strength_and_letters_box_and_peak(
    workspace, monkeypatch, environment
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        lines = drawn_segments(app)
        drawn = "".join(segment.text for line in lines for segment in line)
        assert drawn.isascii()
        assert drawn.count("X") == 1
        assert drawn.count("O") > 8
        assert {*"789"} & {*drawn}
        await press(pilot, "v")
        image = "".join(segment.text for line in drawn_segments(app) for segment in line)
        assert not {*"0123456789X"} & {*image}


async def test_maps_wait_for_the_step_of_a_run_and_the_run_goes_on(
    workspace, phantom_dir, monkeypatch
):
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": 400,
        "train.batch_size": 8,
        "train.precision": "fp32",
    }
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    threads, looked = set(), found_maps._looked

    def watched(*arguments):
        threads.add(threading.current_thread())
        return looked(*arguments)

    monkeypatch.setattr(found_maps, "_looked", watched)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        app.start_run(recipe)
        running = workspace.running
        try:
            await until(pilot, lambda: workspace.shown.view.step > 0, "the first step", 120)
            await opened(pilot)
            assert threads == {running.source._thread}
            step = running.view.step
            await until(pilot, lambda: running.view.step > step, "more steps", 60)
        finally:
            running.source.ask(Request.STOP)
        await until(pilot, lambda: workspace.running is None, "the end", 60)


def test_a_picture_keeps_its_proportions_and_its_box_in_place():
    grey = np.full((200, 100), 80, dtype=np.uint8)
    shown = Shown(grey, np.zeros((200, 100)), boxes=[(50.0, 100.0, 50.0, 100.0)])
    assert fitted(shown, Look(), 80, 20) == (20, 40)
    drawn = picture(shown, Look(), 20, 40)
    rows, columns = np.nonzero((drawn == BOX_COLOUR).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 10, 19)
    close = zoomed_to(Look(), shown, (50.0, 100.0, 10.0, 10.0))
    assert close.is_zoomed
    assert 0 <= close.region[0] <= 1 - close.region[2]


def test_kitty_and_sixel_carry_the_picture():
    image = np.zeros((12, 8, 3), dtype=np.uint8)
    image[:6] = (255, 0, 0)
    kitty = graphics(image, KITTY, {})
    assert kitty.startswith("\x1b_Ga=T,f=100")
    assert graphics(image, KITTY, {"TMUX": "x"}).startswith("\x1bPtmux;\x1b\x1b_G")
    sixel = graphics(image, SIXEL, {})
    assert sixel.startswith("\x1bP")
    assert sixel.endswith("\x1b\\")
    assert "!8~" in sixel  # a whole band of one colour, eight columns wide


def test_the_viewers_screen_loads_without_torch():
    import subprocess
    import sys

    code = "import cxr_tui.cams.screen, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


async def test_more_images_than_are_kept_can_be_gone_through_and_back(workspace, monkeypatch):
    monkeypatch.setattr("cxr_tui.cams.session_maps._IMAGES_KEPT", 2)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        screen = screen_of(pilot)
        for key in ("down", "down", "down", "up", "up", "up"):
            await press(pilot, key)
            image = screen.chosen_row().candidate.image
            await until(pilot, lambda image=image: image in screen._maker.kept.images, f"{image}")
            await until(pilot, lambda: "▀" in plain(app), "the picture")


async def test_maps_and_covering_at_the_same_time_do_not_meet(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        screen = screen_of(pilot)
        for _ in range(4):
            await press(pilot, "K", "L", "m")
        await shows(pilot, "Maps against boxes", 120)
        assert app.defect is None
        assert screen._maker.kept.maps


async def test_where_maps_cannot_be_saved_the_reason_is_told(workspace):
    app = ConsoleApp(workspace)
    folder = workspace.sessions / "trained" / "cams"
    async with app.run_test(size=(120, 40)) as pilot:
        await at_a_map(pilot)
        shutil.rmtree(folder)
        folder.write_text("a file in its place")
        await press(pilot, "s")
        await until(
            pilot,
            lambda: any("can't be written" in n.message for n in app._notifications),
            "the reason",
        )


async def test_any_image_is_opened_by_its_path_with_its_figures_flags_and_map(
    workspace, phantom_dir, tmp_path
):
    files = sorted(phantom_dir.rglob("*.png"))
    grey = np.asarray(Image.open(files[0]).convert("L"))
    Image.fromarray(255 - grey).save(tmp_path / "inverted.png")
    (tmp_path / "damaged.png").write_bytes(files[0].read_bytes()[:200])
    row = open_run(tmp_path / "sessions/trained", cache=workspace.cache).predict(
        tmp_path / "inverted.png", device="cpu"
    )
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot)
        finding = screen_of(pilot)._finding
        await press(pilot, "o", *"/nowhere.png", "enter")
        await shows(pilot, "there is no such file")
        await press(pilot, "ctrl+u", *str(tmp_path / "damaged.png"), "enter")
        await shows(pilot, "truncated")
        await press(pilot, "o", *str(tmp_path / "inverted.png"), "enter")
        await shows(pilot, "flags: inverted")
        chosen = screen_of(pilot).chosen_row()
        assert chosen.candidate.image == str(tmp_path / "inverted.png")
        await until(pilot, lambda: screen_of(pilot).chosen_row().found is not None, "its map")
        chosen = screen_of(pilot).chosen_row()
        assert chosen.found.probability == pytest.approx(row[f"prob_{finding}"].iloc[0], abs=1e-4)
        called = "called at" if row[f"call_{finding}"].iloc[0] else "not called at"
        await shows(pilot, called)
        await press(pilot, "s")
        await shows(pilot, "saved:")
    with (tmp_path / "sessions/trained/cams/cams.csv").open() as stream:
        (saved,) = csv.DictReader(stream)
    assert (saved["Image Index"], saved["Patient ID"]) == (str(tmp_path / "inverted.png"), "")


async def test_a_wrong_image_of_another_data_set_is_opened_by_its_file_and_escape_comes_back(
    workspace, phantom_dir, tmp_path
):
    session = workspace.sessions / "trained"
    others = tmp_path / "others"
    shutil.copytree(phantom_dir, others)
    place = session / "external/others"
    place.mkdir(parents=True)
    keys = {"dataset.phantom": "none", "dataset.images": others, "image.size_px": 64}
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    (place / "recipe.toml").write_text(recipe_toml(recipe))
    report = json.loads((session / "evaluation/test.json").read_text())
    (place / "report.json").write_text(json.dumps(report | {"split": "all"}))
    shutil.copy(session / "predictions/test.csv", place / "predictions.csv")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.open_session("trained", "results")
        await shows(pilot, "sensitivity 0.")
        await press(pilot, "comma")
        await shows(pilot, "external/others")
        await until(pilot, lambda: "reading the pred" not in plain(app), "the scores")
        results = app.screen
        await until(
            pilot,
            lambda: not isinstance(results._known.scores("external/others"), str),
            "the predictions",
        )
        finding = app.screen.query_one(ReportTable).chosen
        for _ in range(20):  # a row that is being drawn anew takes no key
            await press(pilot, "enter")
            await pilot.pause(0.5)
            if app.screen is not results:
                break
        await shows(pilot, "· external/others · images by error")
        wrong = app.screen._lowest[0]
        await press(pilot, "enter")
        await until(pilot, lambda: app.current_mode == "cams", "the viewer")
        await shows(pilot, f"· {finding} ·")
        (path,) = others.rglob(wrong.image)
        await until(
            pilot,
            lambda: (row := screen_of(pilot).chosen_row()) and row.candidate.image == str(path),
            "the image by its file",
        )
        assert screen_of(pilot)._finding == finding
        await until(pilot, lambda: screen_of(pilot).chosen_row().found is not None, "its map")
        assert screen_of(pilot).chosen_row().found.probability == pytest.approx(
            wrong.score, abs=1e-4
        )
        await press(pilot, "escape")
        await shows(pilot, "· external/others · images by error")
        shutil.rmtree(others)
        await press(pilot, "down", "enter")
        await until(
            pilot,
            lambda: any(str(others) in note.message for note in app._notifications),
            "that it is gone",
        )
