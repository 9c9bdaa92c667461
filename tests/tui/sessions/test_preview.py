"""What stands beside the list in a wide terminal."""

import os
from dataclasses import replace

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun, epoch_done, model, step

from core.recipe_toml import load_recipe
from core.store.notes import write_notes
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.sessions.screen import SessionsScreen

WIDE = (200, 60)


def trained(workspace, name, preset, *changes, epochs=3):
    session = create_session(workspace.sessions, load_recipe(preset, changes), name)
    with session.writing() as writer:
        for event in (begun(), model(), step(1, 1010.0)):
            writer.append(event)
        for number in range(1, epochs + 1):
            writer.append(epoch_done(number, 1010.0 + number, mass=0.5 + 0.1 * number))
    return session


async def test_beside_a_wide_list_stand_curves_the_recipes_changes_and_the_notes(workspace):
    changes = ("train.epochs=9", "image.size_px=320", "train.early_stopping=3")
    session = trained(workspace, "mass-320", "nih-mass", *changes)
    write_notes(session, tags=("keep",), note="the first without a bug")
    app = ConsoleApp(workspace)
    async with app.run_test(size=WIDE) as pilot:
        await shows(pilot, "mean val AUROC over epochs")
        for words in (
            "○ interrupted",
            "nih-mass · Mass · 320 px",
            "a processor · 8 images/s",
            "chance 0.5",
            "base rate 0.602",
            "The recipe differs from preset nih-mass in",
            "train.epochs          5 → 9",
            "image.size_px         224 → 320",
            "tags  keep",
            "note  the first without a bug",
        ):
            await shows(pilot, words)
    for size in ((120, 40), (80, 24)):
        async with ConsoleApp(workspace).run_test(size=size) as pilot:
            await shows(pilot, "note  the first without a bug")
            assert "val AUROC over" not in plain(pilot.app)


async def test_the_preview_follows_the_cursor_and_says_where_there_is_nothing_yet(workspace):
    trained(workspace, "old-1", "demo")
    os.utime(workspace.sessions / "old-1/recipe.toml", (0, 0))
    own = replace_name(load_recipe("demo"), "mine")
    create_session(workspace.sessions, own, "new-2")
    app = ConsoleApp(workspace)
    async with app.run_test(size=WIDE) as pilot:
        await shows(pilot, "no epoch yet")
        await shows(pilot, "The recipe differs from the defaults in")
        await press(pilot, "down")
        await shows(pilot, "The recipe is preset demo, unchanged.")
        assert "no epoch yet" not in plain(app)
        await press(pilot, "up", "d", "y")
        await shows(pilot, "1 session,")
        await shows(pilot, "preset demo")
        await press(pilot, "d", "y")
        await shows(pilot, "No sessions yet.")
        assert "preset demo" not in plain(app)


def replace_name(recipe, name):
    return recipe.model_copy(update={"name": name})


async def test_a_session_whose_recipe_cannot_be_read_is_previewed_all_the_same(workspace):
    session = a_session(workspace, begun(), replace(epoch_done(1, 1011.0), mean_auroc=None))
    (session.path / "recipe.toml").write_text("name = [")
    app = ConsoleApp(workspace)
    async with app.run_test(size=WIDE) as pilot:
        await shows(pilot, "undefined in every epoch")
        await shows(pilot, "not valid TOML")


@pytest.mark.parametrize("size", [(164, 30), (164, 24), (199, 39), (240, 70)])
async def test_list_and_preview_are_whole_at_every_size(workspace, size):
    trained(workspace, "20261123-120000-nih-mass", "nih-mass", "train.epochs=9")
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "5 → 9")
        await shows(pilot, "chance 0.5")
        table = app.screen.query_one("#list")
        await until(pilot, lambda: table.virtual_size.width <= table.size.width, "whole columns")
        assert isinstance(app.screen, SessionsScreen)
