"""Names that others chose reach a terminal as text, whichever way they take."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cxr_tui
from core.data.tables.label_table import read_label_table
from core.events import Warned
from core.recipe import Recipe
from core.store.sessions import create_session
from cxr_tui.batch.headless import Output, Place, _emit
from cxr_tui.batch.narration import Narrator
from cxr_tui.cli import main
from cxr_tui.runs.on_end import RunWatch
from cxr_tui.terminal.safe_text import visible_json
from cxr_tui.terminal.stdout import print_pairs, print_table

STEERING = "\x1b[2J\x07\x7f\u009b2J\u202etxt\u2066\u200f\u2028\u2029\ufeff\U000e0041"
"""Escapes, C1 controls, marks that reorder what is read, line separators, invisible tags."""


UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def steers(text: str) -> list[str]:
    return [one for one in text if one != "\n" and unicodedata.category(one) in UNSEEN]


@given(st.recursive(st.text(st.characters(exclude_categories=["Cs"])), st.lists))
@settings(max_examples=200, deadline=None)
def test_json_means_the_same_and_steers_nothing(value: object) -> None:
    for indent in (None, 1):
        told = visible_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(told) == value
        assert not steers(told)


def test_every_character_that_steers_is_an_escape_in_json() -> None:
    told = visible_json(json.dumps(STEERING, ensure_ascii=False))
    assert told.isascii()
    assert told.isprintable()
    assert json.loads(told) == STEERING
    assert json.loads(visible_json('"\ud800 é"')) == "? é"  # half a character is none


def test_a_sessions_name_steers_nothing_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = create_session(tmp_path, Recipe(), "s")
    name = STEERING.replace("\x1b", "").replace("\x07", "")
    session.path.rename(tmp_path / name)
    assert main(["sessions", "--sessions", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr().out
    assert not steers(told)
    assert json.loads(told)["sessions"][0]["name"] == name


def test_an_event_steers_nothing_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = create_session(tmp_path, Recipe(), "s")
    tell = _emit(Narrator(), RunWatch(), Place("cpu", tmp_path, Output.EVENTS), session)
    tell(Warned(message=STEERING, time=1.0))
    told = capsys.readouterr()
    assert not steers(told.out)
    assert json.loads(told.out)["message"] == STEERING
    assert not steers(told.err)


def test_a_column_of_a_predictions_file_steers_nothing(
    phantom_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = phantom_dir / "Data_Entry_2017_v2020.csv"
    images = read_label_table(labels).images_N
    with (tmp_path / "theirs.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Image Index", "prob_Mass", f"note{STEERING}"])
        writer.writerows([name, number / 1000, ""] for number, name in enumerate(images))
    theirs = ["--predictions", str(tmp_path / "theirs.csv"), "--labels", str(labels)]
    assert main(["evaluate", *theirs, "--bootstrap", "10"]) == 0
    told = capsys.readouterr()
    assert "columns ignored: note" in told.err
    assert not steers(told.out + told.err)


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--{STEERING}"],
        ["sessions", f"--{STEERING}"],
        ["cam", "s", "--count", STEERING],
        ["evaluate", "--split", STEERING],
        ["resolution", STEERING, "--sizes", STEERING],
    ],
)
def test_what_was_typed_steers_nothing_where_it_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert not steers(capsys.readouterr().err)


def test_heads_of_tables_and_of_pairs_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(STEERING, [STEERING], [[STEERING]], notes=[STEERING])
    print_pairs([(STEERING, STEERING)])
    assert not steers(capsys.readouterr().out)


def test_streams_are_written_to_in_few_places_and_those_make_text_harmless() -> None:
    folder = Path(cxr_tui.__file__).parent
    writes = ("sys.std", "Outliving(sys.std", "print(", ", file=sys.std")
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(writes) and ("write(" in line or "print(" in line)
    }
    # The last two say sentences of their own.
    places = {"terminal/stdout.py", "cli.py", "terminal/streams.py", "batch/stop_signals.py"}
    assert found == places


def test_a_name_that_is_no_text_is_json_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = create_session(tmp_path, Recipe(), "s")
    os.rename(session.path, os.fsencode(tmp_path) + b"/\xff")  # noqa: PTH104
    assert main(["sessions", "--sessions", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"][0]["name"] == "?"
