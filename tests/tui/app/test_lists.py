"""Every list: j k g G move in it, / searches it, n and N go from hit to hit."""

import re
from pathlib import Path

import pytest
from console import plain, press, press_at_once, shows, until
from rich.text import Text
from told_sessions import ANSWERS, a_session, trained

from core.glossary import TERMS
from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.app.bindings import console_nodes
from cxr_tui.console.dialogs import ChoiceList, KeysHelp, Notes
from cxr_tui.data.dialogs import FindingsDialog
from cxr_tui.data.folder_picker import DataSetPicker, Folders
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.recipe.form import RecipeForm
from cxr_tui.results.most_wrong import WrongList
from cxr_tui.widgets.lists import ListKeys, ListTable, TextScroll

WORDS = ("alpha", "beta", "gamma", "beta again", "delta")
LISTS = {
    "choices": lambda: ChoiceList("which?", [(word, word) for word in WORDS], "alpha"),
    "ticks": lambda: FindingsDialog(dict.fromkeys(WORDS, 1), ["alpha"]),
}


@pytest.fixture
def app(workspace):
    return ConsoleApp(workspace)


async def moves_and_finds(pilot, listed, rows):
    """``rows``: those that have what is looked for, ``beta``, of at least five."""
    last = len(listed.list_lines()) - 1
    for key, at in (("j", 1), ("k", 0), ("G", last), ("k", last - 1), ("g", 0), ("end", last)):
        await press(pilot, key)
        await until(pilot, lambda at=at: listed.list_at() == at, f"{key} to {at}")
    await press(pilot, "home")
    await press_at_once(pilot, "/", *"BETA", "enter")
    await until(pilot, lambda: listed.list_at() == rows[0], "the first hit")
    await shows(pilot, f"/BETA   1 of {len(rows)}")
    for key, row in (("n", rows[1]), ("n", rows[0]), ("N", rows[-1])):
        await press(pilot, key)
        await until(pilot, lambda row=row: listed.list_at() == row, f"{key} to {row}")
    await press(pilot, "k")
    await until(pilot, lambda: "/BETA" not in plain(pilot.app), "the foot as it was")


@pytest.mark.parametrize("name", LISTS)
async def test_a_dialogs_list_is_moved_in_and_searched(app, name):
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(LISTS[name]())
        await until(pilot, lambda: isinstance(app.focused, ListKeys), "the list")
        await moves_and_finds(pilot, app.focused, [1, 3])


async def test_escape_leaves_a_search_where_it_began_and_keeps_the_dialog(app):
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(LISTS["choices"]())
        await until(pilot, lambda: isinstance(app.focused, ListKeys), "the list")
        await press(pilot, "j", "/", *"delt")
        await until(pilot, lambda: app.focused.list_at() == 4, "the hit")
        await press(pilot, "backspace", "escape")
        await until(pilot, lambda: app.focused.list_at() == 1, "where it began")
        await press(pilot, "/", *"nowhere")
        await shows(pilot, "nothing has it")
        await press(pilot, "escape", "escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "the screen below")


async def test_text_is_searched_line_by_line_and_hits_are_marked(app):
    async with app.run_test(size=(80, 24)) as pilot:
        sentences = [f"sentence {number}" for number in range(60)]
        sentences[40] = sentences[50] = "a Beta"
        app.push_screen(Notes("Notes", sentences))
        await until(pilot, lambda: isinstance(app.focused, TextScroll), "the text")
        await press(pilot, "/", *"beta", "enter")
        await shows(pilot, "a Beta")
        marked = [
            segment.text
            for line in range(app.focused.virtual_size.height)
            for segment in app.focused.children[0].render_line(line)
            if segment.style and segment.style.reverse
        ]
        assert marked == ["Beta", "Beta"]
        await press(pilot, "n")
        await shows(pilot, "2 of 2")
        await press(pilot, "g")
        await shows(pilot, "· sentence 0")


async def test_the_help_is_grouped_and_a_glossary_that_is_searched(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "?")
        await shows(pilot, "Keys of sessions")
        text = app.screen.query_one(TextScroll).list_lines()
        heads = [line.strip() for line in text]
        at = [heads.index(head) for head in ("this screen", "the run", "everywhere", "glossary")]
        assert at == sorted(at)
        await press(pilot, "/", *"iobb", "enter")
        await shows(pilot, "area(region ∩ box) / area(region)")
        await shows(pilot, "docs/maps.md")


def test_every_term_has_two_sentences_and_a_page_that_is_there():
    root = Path(__file__).parents[3]
    names = [term.name.casefold() for term in TERMS]
    assert names == sorted(set(names))
    for term in TERMS:
        assert len(re.findall(r"[.:] ?(?=[A-Z0]|$)", term.text)) >= 2, term.name
        assert (root / term.page).is_file()


async def test_the_sessions_are_filtered_and_n_goes_through_what_is_left(app, workspace):
    for name in ("one-beta", "two", "three-beta"):
        create_session(workspace.sessions, load_recipe("demo"), name)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "three-beta")
        table = app.screen.query_one(ListTable)
        await press(pilot, "j", "j", "/", *"beta", "enter")
        await until(pilot, lambda: table.row_count == 2 and app.focused is table, "two rows")
        at = table.cursor_row
        await press(pilot, "n")
        await until(pilot, lambda: table.cursor_row == 1 - at, "the other one")
        await press(pilot, "n")
        await until(pilot, lambda: table.cursor_row == at, "back at the first")


async def test_the_recipe_form_moves_by_letters(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "3")
        await shows(pilot, "image size")
        form = app.screen.query_one(RecipeForm)
        await press(pilot, "G")
        await until(pilot, lambda: form.list_at() == len(form.list_lines()) - 1, "the last")
        await press(pilot, "g", "j", "j", "k")
        await until(pilot, lambda: form.list_at() == 1, "the second")
        await press(pilot, "/", *"batch", "enter", "n", "N", "N")
        await until(pilot, lambda: form.list_at() == len(form.list_lines()) - 1, "the last hit")


async def test_the_log_and_the_health_answers_are_searched(app, workspace):
    a_session(workspace, *trained(3), *ANSWERS, name="one")
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_session("one", "training")
        await shows(pilot, "base rate")
        await press(pilot, "h")
        await shows(pilot, "Health of one")
        last = len(ANSWERS) - 1
        await press(pilot, "G")
        await until(pilot, lambda: app.screen.list_at() == last, "the last answer")
        await press(pilot, "g", "/", *app.screen.list_lines()[1][:20], "enter")
        await until(pilot, lambda: app.screen.list_at() == 1, "the answer looked for")
        await press(pilot, "escape", "v")
        await until(pilot, lambda: isinstance(app.focused, TextScroll), "the log")
        await press(pilot, "/", *"AUROC 0.650")
        await shows(pilot, "1 of")


async def test_the_folders_are_moved_in_by_letters_and_searched_and_ctrl_l_is_for_a_path(
    app, tmp_path
):
    for name in WORDS:
        (tmp_path / "at" / name).mkdir(parents=True)
    async with app.run_test(size=(80, 30)) as pilot:
        app.push_screen(DataSetPicker([], DataSet(), tmp_path / "at"))
        await shows(pilot, "▸ gamma")
        folders = app.screen.query_one(Folders)
        folders.focus()
        await press(pilot, "j", "G")
        await until(pilot, lambda: folders.list_at() == folders.last_line > 3, "the last folder")
        await press(pilot, "g", "j")
        await until(pilot, lambda: folders.list_at() == 1, "the first folder")
        await press(pilot, "/", *"del", "enter")
        await until(pilot, lambda: folders.cursor_node.label.plain == "delta", "the hit")
        await press(pilot, "~", "/")
        await until(pilot, lambda: app.screen.query_one("#path").value == "~/", "a home's path")
        folders.focus()
        await press(pilot, "ctrl+l", *"/t")
        await until(pilot, lambda: app.screen.query_one("#path").value == "/t", "the path")


def test_every_list_of_the_console_has_the_keys():
    from textual.widgets import DataTable, OptionList, Tree

    lists = [node for node in console_nodes() if issubclass(node, (DataTable, OptionList, Tree))]
    assert {WrongList, Folders} <= set(lists)
    assert [node for node in lists if not issubclass(node, ListKeys)] == []
    assert KeysHelp in console_nodes()


async def test_a_tables_height_follows_its_rows_before_textual_is_idle(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        table = ListTable()
        await pilot.app.screen.mount(table)
        table.add_column("finding")
        for name in ("Mass", "Nodule", "Edema"):
            table.add_row(Text(name))
        room = pilot.app.size
        assert table.get_content_height(room, room, room.width) == 4
        table.clear()
        assert table.get_content_height(room, room, room.width) == 1
