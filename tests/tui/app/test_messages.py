"""Messages cover nothing, can be sent away and read again; the mouse does what keys do."""

from console import plain, press, shows, until

from core.recipe_toml import load_recipe
from core.store.sessions import create_session
from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.foot_line import FootLine
from cxr_tui.console.top_line import TopLine
from cxr_tui.sessions.table import SessionsTable
from cxr_tui.terminal.safe_text import broken_at_slashes


async def test_a_message_covers_no_row_goes_by_escape_and_is_read_again(workspace):
    for number in range(30):
        create_session(workspace.sessions, load_recipe("demo"), f"one-{number:02}")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shows(pilot, "30 sessions")
        app.say("written: /a/folder/with/a/name")
        await shows(pilot, "/a/folder/with/a/name")
        lines = plain(app).splitlines()
        (at,) = [row for row, line in enumerate(lines) if "/a/folder" in line]
        assert "30 sessions" in plain(app)
        assert app.screen.query_one(SessionsTable).region.bottom <= at < 23
        await press(pilot, "escape")
        await until(pilot, lambda: "/a/folder" not in plain(app), "no message")
        await press(pilot, "H")
        await shows(pilot, "Messages")
        assert "/a/folder/with/a/name" in plain(app)


def test_a_path_is_broken_after_a_slash():
    said = f"written: {'/folder' * 5} and more"
    assert broken_at_slashes(said, 20).splitlines() == [
        "written: /folder/folder/",
        "folder/folder/folder and more",
    ]
    assert broken_at_slashes("no path in it", 4) == "no path in it"


async def test_y_copies_the_path_of_the_session_at_hand(workspace):
    session = create_session(workspace.sessions, load_recipe("demo"), "one")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "1 session")
        await press(pilot, "y")
        await until(pilot, lambda: app.clipboard == str(session.path), "the path")


async def test_a_click_on_a_tab_or_on_a_key_is_the_key(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "q  ?")
        top = plain(app).splitlines()[0]
        await pilot.click(TopLine, offset=(top.index("Recipe"), 0))
        await shows(pilot, "enter edit")
        foot = plain(app).splitlines()[-1]
        await pilot.click(FootLine, offset=(foot.index("p preset"), 0))
        await shows(pilot, "Start from the recipe of")
        await press(pilot, "escape")
        await shows(pilot, "q  ?")
        await pilot.click(FootLine, offset=(foot.index("?"), 0))
        await shows(pilot, "Keys of recipe")
