"""`?` begins with the term under the cursor, or under the mouse."""

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, opened, scored_session, trained

from core.glossary import TERMS, terms_in
from cxr_tui.app.app import ConsoleApp


@pytest.fixture
def app(workspace):
    return ConsoleApp(workspace)


async def first_of_help(pilot):
    await press(pilot, "?")
    await shows(pilot, "Keys of")
    said = [line.split("│")[1].strip() for line in plain(pilot.app).splitlines() if "│" in line]
    await press(pilot, "escape")
    await until(pilot, lambda: len(pilot.app.screen_stack) == 1, "the end of the help")
    return next(line for line in said if line)


def test_terms_are_found_as_words_by_every_name_that_they_have():
    def names(text):
        return [found.term.name for found in terms_in(text)]

    assert names("IoU 0.31, within half a cell") == ["IoU", "within half a cell"]
    assert names("Youden's index; the logits") == ["Youden", "logit"]
    assert names("nearly logitech-iou, aurochs") == []
    for term in TERMS:
        assert names(term.name)[0] == term.name


async def test_on_results_it_is_what_the_rows_are_ordered_by(app, workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert await first_of_help(pilot) == "under the cursor: AUROC"
        await press(pilot, "?")
        await shows(pilot, "The chance that a random positive image scores higher")
        assert "docs/results.md" in plain(app)
        assert "also here, and in the glossary below: " in plain(app)
        await press(pilot, "escape", "O", "O")  # by the recipe's order, by positives
        assert await first_of_help(pilot) == "under the cursor: prevalence"


async def test_the_word_or_figure_under_the_mouse_comes_first(app, workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await shows(pilot, "mean score")  # from a thread: until then lines move
        assert await help_at(pilot, "Cardiomegaly", " – ") == "under the cursor: interval"
        assert await help_at(pilot, "table alone", "alone") == "under the cursor: table alone"


async def help_at(pilot, of_line, word):
    """What help begins with, the mouse on a word of the first such line."""
    lines = plain(pilot.app).splitlines()
    row = next(y for y, line in enumerate(lines) if of_line in line)
    await pilot.hover(offset=(lines[row].index(word), row))
    return await first_of_help(pilot)


async def test_fields_of_the_recipe_and_the_curve_of_a_run_have_theirs(app, workspace):
    a_session(workspace, *trained(2))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "4")
        await shows(pilot, "No session is shown")
        assert await first_of_help(pilot) == "the run"  # no term: its keys
        await press(pilot, "3")
        await shows(pilot, "preset demo")
        assert await first_of_help(pilot) == "this screen"  # the recipe's name is no term
        app.screen.query_one("RecipeForm").go_to("train.resident_share")
        assert await first_of_help(pilot) == "under the cursor: resident share"
        app.open_session("one", "training")
        await shows(pilot, "0.700")
        assert await first_of_help(pilot) == "under the cursor: AUROC"
        await press(pilot, "?")
        await shows(pilot, "base rate")
