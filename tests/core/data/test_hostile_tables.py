"""Tables and lists that must be refused, each with its file, its line and what to do."""

import codecs

import pytest
from tables import HEADER_V2020, image_name, index_of, row_v2020, write_lines, write_v2020

from core.data.study.split import make_split
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_table import read_label_table
from core.data.tables.text_table import read_table
from core.errors import DataError

GOOD = [row_v2020(1, 0, "Mass"), row_v2020(2)]


def refused(path, findings=()) -> str:
    with pytest.raises(DataError) as error:
        read_label_table(path, findings)
    assert error.value.exit_code == 3
    message = str(error.value)
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    ("bad_row", "says"),
    [
        (row_v2020(3, 0, "Infiltraton"), "unknown finding 'Infiltraton'. Did you mean"),
        (row_v2020(3, 0, "No Finding|Mass"), "contains both 'No Finding' and a finding"),
        (row_v2020(3, 0, "Mass|No Finding"), "contains both 'No Finding' and a finding"),
        (row_v2020(3, 0, "Mass||Nodule"), "unknown finding ''"),
        (row_v2020(3, 0, ""), "no finding label"),
        (row_v2020(3, name="../../etc/passwd.png"), "'..'"),
        (row_v2020(3, name="/etc/shadow"), "a leading slash"),
        (row_v2020(3, name="C:\\x.png"), "a backslash"),
        (row_v2020(3, name="\x1b[2Jx.png"), "a control character"),
        (row_v2020(3, name=""), "contains nothing"),
        (row_v2020(3).replace(",3,57", ",three,57"), "patient 'three' is not a number"),
        (row_v2020(3).replace(",3,57", ",,57"), "names no patient"),
        (row_v2020(3).replace(",3,57", ",-3,57"), "patient '-3' is not a number"),
        (row_v2020(3).replace(",3,57", ",²,57"), "patient '²' is not a number"),
        ("00000003_000.png,No Fi", "the row has 2 fields but the header names 11"),
        (row_v2020(3) + ",surplus", "the row has 12 fields"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path, bad_row, says):
    path = write_v2020(tmp_path / "t.csv", [GOOD[0], "", bad_row, GOOD[1]])

    message = refused(path)

    assert says in message
    assert "line 4" in message


def test_lines_are_counted_as_the_file_has_them(tmp_path):
    # A quoted cell that holds line breaks takes three lines of the file.
    rows = [
        'a.png,1,"two\nline\nbreaks",1',
        "",
        "b.png,2,,0",
        "c.png,3,,maybe",
    ]
    path = write_lines(tmp_path / "t.csv", ["image,patient,remark,Mass", *rows])

    assert "line 7: Mass is 'maybe'" in refused(path)


def test_duplicate_rows_that_conflict_name_both_lines(tmp_path):
    path = write_v2020(tmp_path / "t.csv", [*GOOD, row_v2020(1, 0, "Mass|Nodule", age="58")])

    message = refused(path)

    assert "lines 2 and 4" in message
    assert repr(image_name(1)) in message
    assert "labels and ages" in message


def test_the_same_image_of_two_patients_is_a_conflict(tmp_path):
    path = write_v2020(tmp_path / "t.csv", [GOOD[0], row_v2020(9, 0, "Mass", name=image_name(1))])

    assert "lines 2 and 3" in refused(path)


def test_a_missing_column_is_named_beside_those_found(tmp_path):
    header = HEADER_V2020.replace("Finding Labels", "Something")
    message = refused(write_lines(tmp_path / "t.csv", [header, *GOOD]))
    assert "'Finding Labels'" in message
    assert "found 'Image Index'" in message

    message = refused(write_lines(tmp_path / "u.csv", ["note,Mass", "same text,1", "same text,0"]))
    assert "'Image Index'" in message
    assert "found 'note', 'Mass'" in message
    assert "dataset.columns.image" in message


def test_a_column_that_must_be_the_images_is_guessed_and_told(tmp_path):
    rows = ["exam no,scan,Mass", "17,IM01,1", "18,IM02,0"]
    table = read_label_table(write_lines(tmp_path / "t.csv", rows))
    assert table.images_N.tolist() == ["IM01", "IM02"]
    assert table.notes == (
        "The images' column is guessed: --set dataset.columns.image='scan' settles it.",
    )


def test_a_finding_without_a_column_is_named_beside_the_nearest(tmp_path):
    path = write_lines(tmp_path / "t.csv", ["image,patient,Mass,Nodul", "a.png,1,0,1"])

    message = refused(path, ["Mass", "Nodule"])

    assert "no column 'Nodule'" in message
    assert "Did you mean 'Nodul'?" in message


@pytest.mark.parametrize("value", ["2", "-1", "yes", "0.5", "nan", "True"])
def test_a_label_is_one_zero_or_empty(tmp_path, value):
    path = write_lines(tmp_path / "t.csv", ["image,patient,Mass", "a.png,1,0", f"b.png,2,{value}"])

    assert f"line 3: Mass is '{value}'" in refused(path)


def test_two_columns_for_one_finding_are_refused(tmp_path):
    header = "image,patient,Infiltrate,Infiltration"
    path = write_lines(tmp_path / "t.csv", [header, "a.png,1,0,1"])

    assert "two columns for Infiltration" in refused(path)


def test_no_finding_beside_a_finding_is_refused_in_a_plain_csv(tmp_path):
    path = write_lines(
        tmp_path / "t.csv", ["image,patient,No Finding,Mass", "a.png,1,1,0", "b.png,2,1,1"]
    )

    assert "line 3: 'No Finding|Mass'" in refused(path)


TABLE = "\n".join([HEADER_V2020, *GOOD]).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (TABLE.decode().encode("utf-16"), "UTF-16"),
        (TABLE.decode().encode("utf-16-le"), "UTF-16"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "HTML page"),
        (b"<HTML>", "HTML page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (TABLE + b"\n00000003_000\0.png,Mass,0,3,57,M,PA,1,1,1,1", "line 4: contains a NUL byte"),
        (TABLE + b"\n\xff\xfe\xfa", "line 4: not UTF-8 text (byte 0xff)"),
        (HEADER_V2020.encode(), "a header but no rows"),
        (HEADER_V2020.encode() + b"\n\n,,\n", "a header but no rows"),
        (b",,,\n,,\n", "names no column"),
        (TABLE.replace(b",", b":"), "no column 'Image Index'"),
        (TABLE + b'\n"00000003_000.png,Mass,0,3\n', "quote"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, content, says):
    path = tmp_path / "t.csv"
    path.write_bytes(content)

    assert says in refused(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    assert "folder" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "gone.csv")


def test_a_table_over_a_gigabyte_is_refused_without_being_read(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("wb") as sparse:
        sparse.truncate(1_000_000_001)

    assert "too large" in refused(path)


def test_old_line_ends_and_quotes_are_no_fault(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\r".join(['image,"patient",Mass', '"a.png","1","0"', "b.png,2,1"]).encode())

    assert list(read_label_table(path).images_N) == ["a.png", "b.png"]


def test_a_table_of_ten_thousand_fields_a_row_is_read_or_refused_not_crashed(tmp_path):
    path = write_lines(tmp_path / "t.csv", ["image,patient,Mass", "a.png,1,0" + "," * 10_000])

    assert len(read_table(path).columns) == 3


def official(tmp_path, train_val: bytes, test: bytes):
    (tmp_path / "train_val_list.txt").write_bytes(train_val)
    (tmp_path / "test_list.txt").write_bytes(test)
    rows = [row_v2020(i) for i in range(1, 7)]
    recipe, sources, index = index_of(tmp_path, rows, split={"by": "official", "val": 0.3})
    return make_split(index, recipe.split, sources)


def lines(*patients: int) -> bytes:
    return "\n".join(map(image_name, patients)).encode()


@pytest.mark.parametrize(
    ("train_val", "says"),
    [
        (lines(1, 2) + b"\n\n00000099_000.png", "line 4: '00000099_000.png' is not in the label"),
        (lines(1) + b"\n../00000002_000.png", "line 2"),
        (lines(1) + b"\n..\\x.png", "line 2"),
        (lines(1).decode().encode("utf-16"), "UTF-16"),
        (b"", "empty"),
        (b"<html>404</html>", "HTML"),
    ],
)
def test_lists_are_refused_with_file_and_line(tmp_path, train_val, says):
    with pytest.raises(DataError) as error:
        official(tmp_path, train_val, lines(5, 6))

    assert "train_val_list.txt" in str(error.value)
    assert says in str(error.value)


def test_line_ends_doubles_and_folders_in_lists_are_repaired(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(
        b"\xef\xbb\xbf" + b"\r\n".join([b"a.png", b"images_001/images/b.png", b"", b"a.png"])
    )

    names = read_image_list(path)

    assert names.line_of == {"a.png": 1, "b.png": 2}
    assert {count.reason: count.images for count in names.counts} == {
        "byte order mark ignored": 0,
        "folder before a name in list.txt ignored": 1,
        "name listed twice in list.txt": 1,
    }
