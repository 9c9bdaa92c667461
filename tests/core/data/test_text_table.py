"""Tables are read alike by either way, and every row keeps its line."""

import csv
import io

import pytest

from core.data.tables.text_table import read_table
from core.errors import DataError


def written(folder, text):
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def rows_of(table):
    return [list(row) for row in zip(*table.columns, strict=True)]


PLAIN = "a,b,c\n" + "".join(f"{row},{row % 3},\n" for row in range(9_000))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN[:-1],
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("8191,", "é8191,"),
        PLAIN.replace("5000,2,", '"5000",2,'),
        PLAIN.replace("5000,2,", '"50\n00",2,'),
        "a,b,c,\n" + PLAIN[6:],
    ],
    ids=["plain", "no last feed", "crlf", "umlaut", "quotes", "feed in a cell", "header too long"],
)
def test_cells_and_lines_are_those_of_the_standard_reader(tmp_path, text):
    reader = csv.reader(io.StringIO(text, newline=""))
    (_, *expected), lines = zip(*((record[:3], reader.line_num) for record in reader), strict=True)
    table = read_table(written(tmp_path, text))
    assert rows_of(table) == expected
    assert table.header == ("a", "b", "c")
    for row in (0, 4_999, 5_000, 8_999):
        start = lines[row] + 1
        assert table.line(row) == start


def test_only_wanted_columns_are_kept(tmp_path):
    for text in (PLAIN, PLAIN.replace("5000,", '"5000",')):
        table = read_table(written(tmp_path, text), lambda name: name in "ca")
        assert table.header == ("a", "c")
        assert len(table.columns) == 2
        assert table.columns[0][5_000] == "5000"


@pytest.mark.parametrize("line", ["7,1", "7,1,,", "7,1,2,3", "7"])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_row_of_another_length_is_named_with_its_line(tmp_path, line, quoted):
    text = PLAIN.replace("\n7000,1,\n", f"\n{line}\n")
    path = written(tmp_path, text.replace("8000,", '"8000",') if quoted else text)
    if line == "7,1,,":
        assert [count.reason for count in read_table(path).counts] == [
            "empty fields after the last column ignored"
        ]
        return
    with pytest.raises(DataError) as refused:
        read_table(path)
    assert "line 7002" in str(refused.value)


def test_two_short_rows_do_not_make_up_for_a_long_one(tmp_path):
    text = "a,b\n1,2\n3\n4,5,6\n7,8\n"
    with pytest.raises(DataError, match="line 3"):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize("blank", ["\n", ",,\n"])
def test_blank_rows_are_counted_and_lines_below_them_stay_right(tmp_path, blank):
    table = read_table(written(tmp_path, PLAIN.replace("\n6000,", f"\n{blank}6000,")))
    assert len(table.columns[0]) == 9_000
    assert [(count.reason, count.images) for count in table.counts] == [("blank rows ignored", 1)]
    assert (table.line(5_999), table.line(6_000), table.line(8_999)) == (6_001, 6_003, 9_002)


def test_a_column_of_few_and_of_many_distinct_cells_is_like_a_tuple(tmp_path):
    for num in (3, 256, 257, 9_000):
        cells = tuple(f"x{row % num}" for row in range(9_000))
        table = read_table(written(tmp_path, "a,b\n" + "".join(f"{cell},1\n" for cell in cells)))
        column = table.columns[0]
        assert column == cells
        assert cells == column
        assert column != cells[:-1]
        assert (column[0], column[-1], tuple(column[7:9])) == (cells[0], cells[-1], cells[7:9])
        assert column.index("x2") == 2
        assert column.count("x1") == cells.count("x1")
        assert "x1" in column
        assert "y" not in column
        with pytest.raises(ValueError, match="not in tuple"):
            column.index("y")
        assert column.count("y") == 0
