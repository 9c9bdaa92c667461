"""What is done to sessions of the list: several marked and deleted, one renamed."""

from console import plain, press, shows, until
from told_sessions import a_session, begun

from cxr_tui.app.app import ConsoleApp


def folders(workspace):
    return sorted(path.name for path in workspace.sessions.iterdir())


async def typed(pilot, text):
    await press(pilot, "ctrl+u", *text)


async def test_those_marked_are_deleted_after_one_question_that_lists_them(workspace):
    for name in ("a-1", "b-2", "c-3"):
        a_session(workspace, begun(), name=name)
        (workspace.sessions / name / "log.txt").write_bytes(b"x" * 2_000_000)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        await press(pilot, "O")
        await shows(pilot, "name▾")
        await press(pilot, "home", "space", "space")
        await shows(pilot, "2 marked")
        assert "• a-1" in plain(app)
        await press(pilot, "d")
        await shows(pilot, "Delete 2 sessions, 4 MB?")
        assert "a-1  interrupted, 2 MB" in plain(app)
        assert "b-2  interrupted, 2 MB" in plain(app)
        await press(pilot, "escape")
        assert folders(workspace) == ["a-1", "b-2", "c-3"]
        await press(pilot, "d")
        await shows(pilot, "Delete 2 sessions")
        await press(pilot, "y")
        await shows(pilot, "1 session,")
        assert folders(workspace) == ["c-3"]
        assert "marked" not in plain(app)


async def test_of_those_marked_one_that_a_process_writes_stays_and_is_named(workspace):
    for name in ("a-1", "b-2", "busy"):
        session = a_session(workspace, begun(), name=name)
    app = ConsoleApp(workspace)
    with session.writing():
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await shows(pilot, "● running")
            await press(pilot, "space", "space", "space")
            await shows(pilot, "3 marked")
            await press(pilot, "d")
            await shows(pilot, "so these stay: busy")
            await press(pilot, "y")
            await shows(pilot, "1 session,")
    assert folders(workspace) == ["busy"]


async def test_marks_are_taken_away_by_space_and_all_of_them_by_escape(workspace):
    for name in ("a-1", "b-2"):
        a_session(workspace, begun(), name=name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "2 sessions")
        await press(pilot, "space")
        await shows(pilot, "1 marked")
        await press(pilot, "up", "space")
        await until(pilot, lambda: "marked" not in plain(app), "no mark")
        await press(pilot, "space", "up", "space")
        await shows(pilot, "2 marked")
        await press(pilot, "escape")
        await until(pilot, lambda: "•" not in plain(app), "no mark")


async def test_a_session_gets_another_name_and_is_still_the_one_shown(workspace):
    a_session(workspace, begun(), name="old-1")
    a_session(workspace, begun(), name="taken")
    app = ConsoleApp(workspace, attach="old-1")
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "old-1")
        await press(pilot, "1")
        await shows(pilot, "taken")
        await press(pilot, "O")
        await shows(pilot, "name▾")
        await press(pilot, "home", "R")
        await shows(pilot, "Rename old-1")
        for text, fault in (
            ("taken", "there is a session taken already"),
            ("a/b", "letters, digits, dot"),
            ("", "letters, digits, dot"),
        ):
            await typed(pilot, text)
            await shows(pilot, fault)
            await press(pilot, "enter")
        assert folders(workspace) == ["old-1", "taken"]
        await typed(pilot, "zebra-2")
        await press(pilot, "enter")
        await until(pilot, lambda: "old-1" not in plain(app), "the other name")
        await shows(pilot, "zebra-2")
        assert folders(workspace) == ["taken", "zebra-2"]
        assert app.screen._table.chosen == "zebra-2"
        assert workspace.shown.name == "zebra-2"


async def test_a_session_that_a_process_writes_keeps_its_name(workspace):
    session = a_session(workspace, begun(), name="busy")
    app = ConsoleApp(workspace)
    with session.writing():
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await shows(pilot, "● running")
            await press(pilot, "R")
            await shows(pilot, "busy is locked by a process")
    assert folders(workspace) == ["busy"]
