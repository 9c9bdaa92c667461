"""Dialogs that are left in the moment in which they open."""

from pathlib import Path

import pytest
from console import until
from told_sessions import a_session, begun

from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.dialogs import ChoiceList, KeysHelp, Notes, Question, ValueDialog
from cxr_tui.data.dialogs import FindingsDialog
from cxr_tui.data.folder_picker import DataSetPicker
from cxr_tui.data.recent_data_sets import DataSet
from cxr_tui.recipe.file_dialog import FileName
from cxr_tui.results.threshold import ThresholdDialog
from cxr_tui.runs.open_session import followed
from cxr_tui.training.health_dialog import HealthDialog

DIALOGS = {
    "choices": lambda _: ChoiceList("which?", [("a", "a line"), ("b", "another")], "b"),
    "keys": lambda _: KeysHelp("Keys", {"this screen": [("a", "does it")]}),
    "notes": lambda _: Notes("Notes", ["a sentence"]),
    "question": lambda _: Question("Really?", "", [("y", "yes")]),
    "findings": lambda _: FindingsDialog({"Mass": 3}, ["Mass"]),
    "value": lambda _: ValueDialog("val", "percent", "10", lambda _: ""),
    "picker": lambda _: DataSetPicker([], DataSet(), Path.cwd()),
    "file": lambda _: FileName("Save as", "a.toml", lambda _: ""),
    "threshold": lambda _: ThresholdDialog("Mass", "youden", "youden"),
    "health": lambda workspace: HealthDialog(followed(a_session(workspace, begun()))),
}


@pytest.mark.parametrize("name", DIALOGS)
async def test_a_dialog_that_is_left_as_it_opens_ends_nothing_else(workspace, name):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = DIALOGS[name](workspace)
        app.push_screen(dialog)
        dialog.dismiss(None)
        await until(pilot, lambda: len(app.screen_stack) == 1, "the screen below")
        await pilot.pause(0.01)
    assert app.defect is None


async def test_a_list_opens_on_the_choice_at_hand(workspace):
    app = ConsoleApp(workspace)
    async with app.run_test(size=(80, 24)) as pilot:
        taken = []
        app.push_screen(DIALOGS["choices"](workspace), taken.append)
        await until(pilot, lambda: app.focused is not None, "the list")
        assert app.focused.highlighted == 1
        await pilot.press("enter")
        assert taken == ["b"]
