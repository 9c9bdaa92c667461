"""What each screen looks like at three sizes: its text, and the style of every cell.

``pytest --snapshot-update`` writes them anew, after looking at them (tests/pictures.py). They are
of Textual's pinned version: another one may draw scrollbars and borders in its own way.
"""

import re
import shutil
import string
import time
from dataclasses import replace

import numpy as np
import pytest
from console import press, shows, until
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from told_sessions import ANSWERS, scored_session, trained

from core.events import CheckpointWritten, Failed, Finished, RunStarted, Stopped
from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.cams.session_maps import standing_of

SIZES = [(80, 24), (120, 40), (200, 60)]
DAY = 86_400
_LETTERS = string.ascii_letters + string.digits

# What differs from machine to machine and from day to day, each with as many cells.
VARIES = [
    (re.compile(r"\d\d:\d\d:\d\d"), "00:00:00"),
    (re.compile(r"[\d,]+\.\d GiB free"), "##.# GiB free"),
    (re.compile(r"cpu, \d+ cores"), "cpu, # cores"),
]


class Screens(SingleFileSnapshotExtension):
    """One readable file a picture."""

    file_extension = "txt"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def snapshot(snapshot):
    return snapshot.use_extension(Screens)


def drawn(app):
    """The lines of the screen; below them, a letter a style for each of their cells."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    letters, lines, styles = {}, [], []
    for strip in update.strips:
        segments = [segment for part in strip for segment in part]
        text = "".join(segment.text for segment in segments)
        for pattern, instead in VARIES:
            text = pattern.sub(instead, text)
        lines.append(text.rstrip())
        runs = []
        for segment in segments:
            name = str(segment.style)
            # A picture's half blocks have colours by the hundred: their letters start anew.
            letter = letters.setdefault(name, _LETTERS[len(letters) % len(_LETTERS)])
            runs.append(letter * segment.cell_length)
        styles.append("".join(runs).rstrip("a"))
    legend = [f"{letter} {name}" for name, letter in letters.items()]
    return "\n".join([*lines, "", *styles, "", *legend]) + "\n"


def a_session(workspace, name, *told):
    session = create_session(workspace.sessions, load_recipe("demo"), name)
    with session.writing() as writer:
        for event in told:
            writer.append(event)
    return session


async def sessions(pilot, workspace, _phantom_dir):
    then = time.time() - 2 * DAY - 600
    begun = RunStarted(time=then, name="x", host="far", pid=1)
    kept = CheckpointWritten(time=then, name="last", step=20, epoch=2, reason="stopped")
    a_session(
        workspace,
        "demo",
        *(e for e in trained(5) if not isinstance(e, RunStarted)),
        Finished(time=then, epochs=5, best_epoch=5, seconds=60.0),
    )
    a_session(
        workspace,
        "mass-29",
        begun,
        Failed(time=then, message="loss not finite at step 812", exit_code=4),
    )
    a_session(
        workspace, "nih-14-first-try", begun, kept, Stopped(time=then, step=20, reason="asked to")
    )
    pilot.app.screen.refresh_view()
    await shows(pilot, "3 sessions")
    await press(pilot, "home")  # the list may have been read before the last one was there


async def nothing_yet(pilot, _desk, _phantom_dir):
    await shows(pilot, "No sessions yet.")
    await until(pilot, lambda: "enter open" not in drawn(pilot.app), "the keys of an empty list")


async def data(pilot, workspace, phantom_dir):
    keys = ["dataset.phantom=none", f"dataset.images={phantom_dir}"]
    workspace.draft = load_recipe("demo", keys)
    await press(pilot, "2")
    await shows(pilot, "no patient is in two parts")
    if pilot.app.size.width >= 200:
        await shows(pilot, ".png")  # the sample images


async def recipe(pilot, _desk, _phantom_dir):
    await press(pilot, "3")
    await shows(pilot, "GiB free")


async def training(pilot, workspace, _phantom_dir):
    ended = Finished(time=1100.0, epochs=5, best_epoch=5, seconds=100.0)
    told = [replace(e, host="far", pid=1) if isinstance(e, RunStarted) else e for e in trained(5)]
    a_session(workspace, "one", *told, ended)
    pilot.app.open_session("one", "training")
    await shows(pilot, "✓ finished")
    await shows(pilot, "base rate")


async def ailing(pilot, workspace, _phantom_dir):
    ended = Stopped(time=1100.0, step=50, reason="asked to stop")
    told = [replace(e, host="far", pid=1) if isinstance(e, RunStarted) else e for e in trained(5)]
    found = [replace(answer, time=1090.0) for answer in ANSWERS]
    a_session(workspace, "ailing", *told, *found, ended)
    pilot.app.open_session("ailing", "training")
    await shows(pilot, "■ stopped")
    await shows(pilot, "■ The scores")
    await shows(pilot, "base rate")


async def results(pilot, workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    pilot.app.open_session("scored", "results")
    await shows(pilot, "sensitivity 0.")
    if pilot.app.size.width >= 200:
        await shows(pilot, ".png")  # the most wrong images


async def cams(pilot, workspace, _phantom_dir):
    """Maps set by hand on real images: those of a trained network differ by machine."""
    pilot.app.open_session("trained", "cams")
    await shows(pilot, "in the box", 120)
    screen = pilot.app.screen
    kept, finding = screen._maker.kept, screen._maker.kept.findings[0]
    boxed = [replace(one, probability=None) for one in kept.candidates[finding] if one.has_boxes]
    found = [kept.found("grad-cam", one) for one in boxed]
    for place, one in enumerate(found):
        map_MM = np.zeros_like(one.map_MM)
        map_MM[place % 2, 1] = 1.0
        found[place] = replace(one, map_MM=map_MM, logit=2.0 - place / 4, candidate=boxed[place])
    kept.candidates[finding] = boxed
    kept.take(found)
    kept.standing["grad-cam", finding] = standing_of(kept, finding, "grad-cam")
    screen.refresh_view()
    await shows(pilot, "probability 0.88")
    await until(pilot, lambda: "reading the image" not in drawn(pilot.app), "the image")


async def keys(pilot, _desk, _phantom_dir):
    await press(pilot, "4")
    await shows(pilot, "No session is shown.")
    await press(pilot, "?")
    await shows(pilot, "Keys of training")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "scene", [nothing_yet, sessions, data, recipe, training, ailing, results, cams, keys]
)
async def test_the_screen_is_as_it_was(workspace, phantom_dir, trained_dir, snapshot, scene, size):
    if scene is cams:
        shutil.copytree(trained_dir, workspace.sessions / "trained")
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "q  ?" in drawn(app), "the first screen")
        await scene(pilot, workspace, phantom_dir)
        await until(pilot, lambda: not app.workers._workers, "the threads")
        before = ""
        while before != (before := drawn(app)):
            await pilot.pause(0.3)
        if scene is cams:  # which epoch of the trained session was the best differs by machine
            before = re.sub(r"· epoch \d", "· epoch 0", before)
        assert before == snapshot
