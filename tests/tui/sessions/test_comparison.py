"""The marked sessions compared: the table, the curves over each other, a refusal."""

import json
import shutil

import pytest
from console import plain, press, shows, until
from told_sessions import a_session, begun

from core.store.session import Session
from cxr_tui.app.app import ConsoleApp


def copied(trained_dir, workspace, *names):
    for name in names:
        shutil.copytree(trained_dir, workspace.sessions / name)


def with_other_scores(workspace, name):
    """The same session, whose network took the first finding's images for one another's."""
    path = Session(workspace.sessions / name).predictions / "test.csv"
    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    column = next(place for place, cell in enumerate(head) if cell.startswith("prob_"))
    scores = [row[column] for row in rows]
    for row, score in zip(rows, [scores[-1], *scores[:-1]], strict=True):
        row[column] = score
    path.write_text("".join(",".join(row) + "\n" for row in (head, *rows)))
    return head[column].removeprefix("prob_")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_marked_sessions_are_compared_and_their_curves_lie_over_each_other(
    workspace, trained_dir, size
):
    copied(trained_dir, workspace, "a-1", "b-2")
    finding = with_other_scores(workspace, "b-2")
    app = ConsoleApp(workspace)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "2 sessions")
        await press(pilot, "space", "space")
        await shows(pilot, "2 marked")
        await press(pilot, "Y")
        await shows(pilot, "verdict")
        await shows(pilot, "can't tell")
        lines = plain(app).splitlines()
        assert any(line.split()[:1] == [finding] for line in lines)
        assert any(line.split()[:1] == ["mean"] for line in lines)
        assert "A  " in plain(app)
        assert "B  " in plain(app)
        assert "looked at" in " ".join(plain(app).split()) or size == (80, 24)
        looked = [json.loads(line) for line in (workspace.sessions / "looks.jsonl").open()]
        assert {line["session"] for line in looked} == {"a-1", "b-2"}
        if size == (80, 24):
            await press(pilot, "z")
        await shows(pilot, "mean val AUROC over epochs")
        assert "1 a-1" in plain(app) or size == (120, 40)
        await press(pilot, "c")
        await shows(pilot, "val loss over epochs")
        await press(pilot, "right")
        await shows(pilot, "val loss over steps")
        await press(pilot, "escape")
        await shows(pilot, "2 marked")


async def test_sessions_that_cant_be_compared_say_why_and_still_show_their_curves(workspace):
    for name in ("a-1", "b-2"):
        a_session(workspace, begun(), name=name)
    app = ConsoleApp(workspace)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "2 sessions")
        assert "compare" not in plain(app), "nothing is marked"
        await press(pilot, "space")
        await shows(pilot, "Y compare")
        await press(pilot, "up", "Y")
        await shows(pilot, "mark the sessions to compare first (space), two or more")
        await press(pilot, "down", "space", "Y")
        await shows(pilot, "not compared")
        await until(pilot, lambda: "a-1" in plain(app) or "b-2" in plain(app), "the session's name")
        await shows(pilot, "none of them has ended an epoch")
