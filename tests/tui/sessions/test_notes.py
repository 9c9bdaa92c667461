"""Tags and notes on the screen: edited, shown, found; and those that can't be read."""

from console import plain, press, shows, until
from told_sessions import a_session, begun

from core.store.notes import read_notes, write_notes
from cxr_tui.app.app import ConsoleApp


async def taken(pilot, key, title, text):
    await press(pilot, key)
    await shows(pilot, title)
    await press(pilot, "ctrl+u", *text, "enter")


async def test_tags_and_a_note_are_typed_and_stand_below_the_list(workspace):
    session = a_session(workspace, begun(), name="one-1")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "one-1")
        await taken(pilot, "i", "Tags of one-1", "keep paper")
        await shows(pilot, "tags  keep paper")
        await taken(pilot, "w", "Note on one-1", "the first without a bug")
        await shows(pilot, "note  the first without a bug")
        notes = read_notes(session)
        assert (notes.tags, notes.note) == (("keep", "paper"), "the first without a bug")
        await taken(pilot, "i", "Tags of one-1", "x" * 41)
        await shows(pilot, "✗ a tag must have 1 to 40")
        await press(pilot, "escape")
        await taken(pilot, "i", "Tags of one-1", "")
        await until(pilot, lambda: "tags  " not in plain(app), "no tags")
        assert read_notes(session).tags == ()


async def test_what_marked_sessions_have_in_common_is_edited_and_the_rest_stays(workspace):
    one = a_session(workspace, begun(), name="one-1")
    two = a_session(workspace, begun(), name="two-2")
    write_notes(one, tags=("old", "mine"))
    write_notes(two, tags=("old",))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "2 sessions")
        await press(pilot, "space", "space")
        await shows(pilot, "2 marked")
        await taken(pilot, "i", "Tags that all 2 marked sessions have", "new")
        await until(pilot, lambda: "new" in read_notes(two).tags, "the new tag")
        await until(pilot, lambda: "new" in read_notes(one).tags, "the new tag")
        assert (read_notes(one).tags, read_notes(two).tags) == (("mine", "new"), ("new",))


def found(app):
    return {name for name in ("mass-1", "mass-2", "hernia-3") if name in plain(app)}


async def test_the_filter_finds_states_and_tags_word_by_word(workspace):
    a_session(workspace, begun(), name="mass-1")
    write_notes(a_session(workspace, begun(), name="mass-2"), tags=("keep",))
    write_notes(a_session(workspace, begun(), name="hernia-3"), tags=("keep",))
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "3 sessions")
        for typed, shown in (
            ("interr", {"mass-1", "mass-2", "hernia-3"}),
            ("keep", {"mass-2", "hernia-3"}),
            ("keep mass", {"mass-2"}),
            ("finished", set()),
        ):
            await press(pilot, "/", "ctrl+u", *typed)
            await until(pilot, lambda shown=shown: found(app) == shown, f"{shown} for {typed}")
            await press(pilot, "enter")


async def test_wide_lists_have_a_column_of_tags_where_there_are_any(workspace):
    session = a_session(workspace, begun(), name="one-1")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(150, 40)) as pilot:
        await shows(pilot, "device")
        assert "tags" not in plain(app).splitlines()[1]
        write_notes(session, tags=("keep", "[/b]"))
        app.screen.refresh_view()
        await until(pilot, lambda: plain(app).splitlines()[1].endswith("tags"), "the column")
        assert "keep [/b]" in plain(app)


async def test_notes_that_cannot_be_read_are_named_and_never_written_over(workspace):
    session = a_session(workspace, begun(), name="one-1")
    (session.path / "notes.json").write_text("{ not JSON")
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await shows(pilot, "notes.json: is not JSON")
        await press(pilot, "w")
        await shows(pilot, "Repair it or move it away")
        assert len(app.screen_stack) == 1
        await taken(pilot, "i", "Tags of one-1", "mine")
        await until(pilot, lambda: len(app.screen_stack) == 1, "the dialog to go")
    assert (session.path / "notes.json").read_text() == "{ not JSON"
