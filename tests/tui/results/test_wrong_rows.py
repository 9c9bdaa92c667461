"""Where there is room, Results shows the most wrong images of the finding at the cursor."""

import pytest
from console import press, until
from told_sessions import opened, scored_session

from core.evaluation.part_scores import read_part_scores, wrong_images
from core.evaluation.wrong_sheet import read_small
from cxr_tui.app.app import ConsoleApp
from cxr_tui.results.report_table import ReportTable
from cxr_tui.results.wrong_rows import WrongRows
from cxr_tui.widgets.xray_view import XrayView


@pytest.fixture
def app(workspace, phantom_dir):
    scored_session(workspace, phantom_dir)
    return ConsoleApp(workspace)


def captions(app):
    said = [str(label.render()) for label in app.screen.query_one(WrongRows).query(".caption")]
    return [one for one in said if one]


def expected(session, finding):
    lists = wrong_images(read_part_scores(session, "test"), finding)
    return [f"{one.score:.3f} {one.image}" for images in lists for one in images[:4]]


async def test_they_follow_the_cursor_and_a_click_shows_the_map(app, workspace):
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        session, table = workspace.shown.session, app.screen.query_one(ReportTable)
        for _ in range(2):
            want = expected(session, table.chosen)
            await until(pilot, lambda want=want: captions(app) == want, "the images", 20)
            await press(pilot, "down")
        await until(pilot, lambda: captions(app) == expected(session, table.chosen), "the last")
        await pilot.pause()
        view = app.screen.query_one(WrongRows).query(XrayView).first()
        assert view._shown is not None
        await pilot.click(view)
        await until(pilot, lambda: app.current_mode == "cams", "the maps", 20)


async def test_a_smaller_terminal_reads_none_of_them(app):
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        assert not app.screen.query_one(WrongRows).display
        assert captions(app) == []


async def test_images_that_are_gone_say_so_in_their_place(app, workspace, tmp_path, phantom_dir):
    session = next(workspace.sessions.glob("*/"))
    recipe = session / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(phantom_dir), str(tmp_path / "gone")))
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        views = app.screen.query_one(WrongRows).query(XrayView)
        await until(pilot, lambda: all(view._instead for view in views), "the reason", 20)


def test_they_are_read_small(app, workspace):
    from core.store.session import Session

    session = Session(next(workspace.sessions.glob("*/")))
    (names, _) = wrong_images(read_part_scores(session, "test"), "Mass")
    read = read_small(session, workspace.cache, [names[0].image])
    assert max(read[names[0].image].shape) <= 512
