"""No cell that we write is a formula, and names come back from our files as they were."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import index_of, row_v2020

from core.data.cache.quarantine import read_quarantine, write_quarantine
from core.data.study.split import make_split
from core.data.study.study import Study, read_split, write_split
from core.errors import DataError
from core.evaluation.joining import join_predictions
from core.evaluation.maps.cam_table import COLUMNS, add_to_table, read_maps
from core.evaluation.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from core.store.formula_cells import escape_formula, original
from cxr_tui.widgets.chart_picture import chart_csv
from cxr_tui.widgets.line_chart import Chart, Line

FORMULAS = ("=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", "\t=1.png", "\r=1.png", "'=1.png")
NAMES = ("=HYPERLINK(x).png", "+1.png", "-1.png", "@x.png", "'-2.png", "''=3.png", "plain.png")


def cells_of(content: bytes) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(content.decode(), newline="")) for cell in row]


def refuse_formulas(content: bytes) -> None:
    for cell in cells_of(content):
        is_number = cell.replace(".", "", 1).replace("-", "", 1).replace("e-", "", 1).isdigit()
        assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_marked_as_text_and_comes_back(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    assert original(escape_formula(text)) == text


@given(st.text(alphabet="'=+-@\t\r\nab", max_size=6) | st.text())
@settings(max_examples=300, deadline=None)
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    assert original(escape_formula(text)) == text
    assert not escape_formula(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("text", ["", "'", "plain.png", "'quoted'", "a=1", "1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert escape_formula(text) == text
    assert original(text) == text


def predictions() -> Predictions:
    return Predictions(
        images=np.array(NAMES, dtype=object),
        patients=np.arange(len(NAMES), dtype=np.int64),
        findings=("Mass",),
        labels_NF=np.zeros((len(NAMES), 1), np.float32),
        scores_NF=np.linspace(0.1, 0.9, len(NAMES))[:, None],
    )


def test_predictions_hold_no_formula_and_their_names_match(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    write_predictions(path, predictions())
    refuse_formulas(path.read_bytes())
    assert read_predictions(path).images.tolist() == list(NAMES)


def test_our_predictions_are_joined_to_a_label_table_by_the_tables_own_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / "test.csv"
    write_predictions(path, predictions())
    joined = join_predictions(
        path,
        images=np.array(NAMES, dtype=object),
        patients=np.arange(len(NAMES)),
        findings=("Mass",),
        labels_NF=np.zeros((len(NAMES), 1), np.float32),
    )
    assert joined.predictions.images.tolist() == list(NAMES)
    assert joined.warnings == ()


def test_a_split_holds_no_formula_and_comes_back_with_every_image(tmp_path: Path) -> None:
    rows = [row_v2020(n, name=name) for n, name in enumerate(NAMES, start=1)]
    recipe, sources, index = index_of(tmp_path, rows, split={"by": "patient"})
    split = make_split(index, recipe.split, sources)
    path = tmp_path / "split.csv"
    write_split(path, Study(recipe, sources, index, split, split))
    refuse_formulas(path.read_bytes())
    again = read_split(path, index, recipe)
    assert {part: found.tolist() for part, found in again.rows.items()} == {
        part: found.tolist() for part, found in split.rows.items()
    }


def test_a_quarantine_list_holds_no_formula_and_is_known_again(tmp_path: Path) -> None:
    reasons = dict.fromkeys(NAMES, "=damaged") | {"-\udcff.png": "-truncated"}
    path = tmp_path / "quarantine.csv"
    write_quarantine(path, reasons)
    assert b"\n=" not in path.read_bytes()
    assert b",=" not in path.read_bytes()
    assert b"\n-" not in path.read_bytes()
    assert read_quarantine(path) == reasons


def test_the_table_of_maps_holds_no_formula_and_stays_the_same_over_many_additions(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cams.csv"
    (tmp_path / "a.png").write_bytes(b"a map")
    names = {"Image Index": "=1.png", "Patient ID": "-P7", "finding": "Mass", "file": "a.png"}
    add_to_table(path, [dict.fromkeys(COLUMNS, "1") | names])
    for _ in range(3):
        add_to_table(path, [])
    refuse_formulas(path.read_bytes())
    assert read_maps(path)[[*names]].to_dict("records") == [names]


def test_a_charts_numbers_stay_numbers_and_its_names_are_text() -> None:
    content = chart_csv(Chart((Line("=loss", (1.0,), (-0.5,), "blue"),), level_label="@x", level=1))
    refuse_formulas(content)
    assert "-0.5" in cells_of(content)


def test_a_name_may_be_a_file_in_no_folder_that_the_table_of_maps_names(tmp_path: Path) -> None:
    path = tmp_path / "cams.csv"
    rows = [dict.fromkeys(COLUMNS, "x") | {"file": name} for name in ("x" * 5000, "a\0b", "..")]
    add_to_table(path, rows)
    add_to_table(path, [])
    assert read_maps(path).empty


def map_row(name: str) -> dict[str, object]:
    return dict.fromkeys(COLUMNS, "1") | {"file": name}


def test_a_column_that_somebody_added_to_the_table_of_maps_stays(tmp_path: Path) -> None:
    path = tmp_path / "cams.csv"
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"a map")
    add_to_table(path, [map_row("a.png"), map_row("b.png")])
    head, first, second = path.read_text().splitlines()
    # As a spreadsheet saves it: a mark before all, a column in front.
    lines = f"my note,{head}", f"=clear,{first}", f"doubtful,{second}", ""
    path.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    add_to_table(path, [map_row("b.png") | {"finding": "Mass"}, map_row("c.png")])
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    assert [row["my note"] for row in rows] == ["=clear", "doubtful", ""]
    assert [row["file"] for row in rows] == ["a.png", "b.png", "c.png"]
    assert rows[1]["finding"] == "Mass"
    assert len(read_maps(path)) == 3


def test_rows_that_somebody_added_to_the_table_of_maps_stay(tmp_path: Path) -> None:
    path = tmp_path / "cams.csv"
    for name in ("a.png", "b.png", "gone.png", "noted.png"):
        (tmp_path / name).write_bytes(b"a map")
    add_to_table(path, [map_row(name) for name in ("a.png", "gone.png", "noted.png")])
    head, a, gone, noted = path.read_text().splitlines()
    no_file = "," * head.count(",")
    lines = (f"{head},reader,doubt", f"{a},A,no", f"{a},B,yes", f"{gone},,", f"{noted},A,no")
    path.write_text("\n".join((*lines, f"{no_file},A,ask again", "see my letter", "")))
    for name in ("gone.png", "noted.png"):
        (tmp_path / name).unlink()
    for _ in range(2):
        add_to_table(path, [map_row(name) | {"finding": "Mass"} for name in ("a.png", "b.png")])
    _, *rows = csv.reader(path.open(encoding="utf-8", newline=""))
    place, file = COLUMNS.index("finding"), COLUMNS.index("file")
    told = [(row[place], row[file], *row[file + 1 :]) for row in rows if len(row) > 1]
    assert told == [
        ("Mass", "a.png", "A", "no"),
        ("Mass", "a.png", "B", "yes"),
        ("1", "noted.png", "A", "no"),
        ("", "", "A", "ask again"),
        ("Mass", "b.png", "", ""),
    ]
    assert ["see my letter"] in rows


@pytest.mark.parametrize(
    "content", [b"my own list\n1\n", b"file,\xff\xfe\n", b'"' + b"x" * 200_000]
)
def test_a_file_that_is_no_table_of_maps_is_not_replaced_by_one(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "cams.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cams\.csv: is not a table of maps"):
        add_to_table(path, [map_row("a.png")])
    assert path.read_bytes() == content


_ADD = """
import sys
from pathlib import Path
from core.evaluation.maps.cam_table import COLUMNS, add_to_table
folder, who = Path(sys.argv[1]), sys.argv[2]
print(flush=True)
sys.stdin.readline()
for number in range(12):
    name = f"{who}{number}.png"
    (folder / name).touch()
    add_to_table(folder / "cams.csv", [dict.fromkeys(COLUMNS, "") | {"file": name}])
"""


def test_two_processes_that_add_maps_at_once_lose_no_row(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _ADD, tmp_path, who],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for who in "ab"
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=120)
    assert [process.returncode for process in both] == [0, 0]
    names = set(read_maps(tmp_path / "cams.csv")["file"])
    assert names == {f"{who}{number}.png" for who in "ab" for number in range(12)}
