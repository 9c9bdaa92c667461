"""Tables as spreadsheets outside England and America save them, in their users' words."""

import shlex

import numpy as np
import pytest
from dicoms import chest, write_dicom
from tables import row_v2020, write_v2020

from core.data.collections.reading import read_labels
from core.data.study.study import audit_study
from core.data.tables.label_table import read_label_table
from core.errors import DataError
from core.recipe import ColumnSettings, DatasetSettings
from core.recipe_toml import load_recipe

GERMAN = (
    "Bilddatei;Pat.-Nr.;Untersuchung;Geschlecht;Alter;Projektion;Größe (m,kg);Erguss;Kardiomegalie",
    "IM1;0401;03.05.2021;w;57,5 Jahre;p.a.;0,12;1,0;0,0",
    "IM2;0401;04.05.2021;w;57,5 Jahre;a.p.;0,09;0,0;",
    "IM3;0402;05.05.2021;männlich;11 Monate;seitlich;0,31;0,0;1,0",
)


def said(table):
    return {count.reason for count in table.counts}


def test_a_german_spreadsheet_is_read_as_it_was_saved(tmp_path):
    path = tmp_path / "befunde.csv"
    path.write_bytes("\r\n".join(GERMAN).encode("cp1252"))
    table = read_label_table(path)
    assert table.findings == ("Cardiomegaly", "Effusion")
    assert table.labels_NA.tolist()[0] == [0, 1]
    assert np.isnan(table.labels_NA[1, 0])
    assert [table.patient_text(number) for number in table.patients_N] == ["401", "401", "402"]
    assert table.sex_N.tolist() == ["F", "F", "M"]
    assert table.view_N.tolist() == ["PA", "AP", "lateral"]
    assert table.age_years_N.tolist() == [57.5, 57.5, pytest.approx(11 / 12)]
    assert {"text in Windows-1252 read as such", "columns separated by semicolons"} <= said(table)
    assert table.notes == (
        "Findings by the table's columns: Effusion is 'Erguss', Cardiomegaly is 'Kardiomegalie'.",
    )


def test_a_spanish_spreadsheet_with_words_for_labels_says_what_to_set(tmp_path):
    path = tmp_path / "informes.csv"
    rows = ["Archivo;NHC;Sexo;Neumonía;Nota", 'a.png;1;H;sí;"uno; dos"', 'b.png;2;M;no;"x"']
    path.write_text("\n".join(rows), encoding="utf-8-sig")
    with pytest.raises(DataError) as refused:
        read_label_table(path)
    assert "--set 'dataset.columns.present=sí' --set dataset.columns.absent=no" in str(
        refused.value
    )
    columns = ColumnSettings(present="sí", absent="no")
    table = read_label_table(path, dataset=DatasetSettings(columns=columns))
    assert table.labels_NA.tolist() == [[1], [0]]
    assert table.findings == ("Pneumonia",)
    assert table.sex_N.tolist() == ["M", "F"], "hombre and mujer"


@pytest.mark.parametrize(
    ("born", "studied"),
    [
        (("1980-03-11", "2023-01-01"), ("2024-03-10", "2024-01-01 10:22:00")),
        (("19800311", "20230101"), ("20240310", "20240101")),
        (("11.03.1980", "01.01.2023"), ("10.03.2024", "01.01.2024")),
        (("3/11/1980", "1/1/2023"), ("3/10/2024", "1/1/2024")),
    ],
)
def test_ages_come_from_dates_of_birth_and_study_where_there_is_no_column_of_ages(
    tmp_path, born, studied
):
    path = tmp_path / "own.csv"
    dates = [*zip(born, studied, strict=True), ("", studied[0]), ("30/30/1980", studied[0])]
    dates.append((born[0].replace("11", "13"), studied[0]))  # a day above 12 says its place
    rows = [f"{row}.png;{row};{one};{other};1" for row, (one, other) in enumerate(dates)]
    path.write_text("\n".join(["Datei;PatNr;Geburtsdatum;Study date;Erguss", *rows]))
    table = read_label_table(path)
    assert table.findings == ("Effusion",)
    assert table.age_years_N[:2].tolist() == [43, 1]
    assert np.isnan(table.age_years_N[2:4]).all()
    (count,) = (count for count in table.counts if "give no age" in count.reason)
    assert (count.images, count.examples) == (1, ("3.png",))


def test_a_column_of_other_words_beside_a_date_of_birth_gives_no_age(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("image,patient,dob,date,Mass\na.png,1,1980-01-02,monday,1\n")
    assert read_label_table(path).age_years_N is None


@pytest.mark.parametrize("separator", [";", "\t"])
def test_nihs_table_saved_by_another_program_is_still_nihs(tmp_path, separator):
    rows = [
        row_v2020(1, labels="Mass"),
        row_v2020(2),
    ]
    path = write_v2020(tmp_path / "t.csv", rows)
    before = read_labels(path)
    path.write_text(path.read_text().replace(",", separator))
    after = read_labels(path)
    assert (after.version, after.kind) == (before.version, before.kind)
    assert np.array_equal(after.labels_NA, before.labels_NA)


def test_a_decimal_comma_among_commas_stays_a_fault_of_its_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('image,patient,Mass\na.png,1,1\nb.png,2,"1,0"\n')
    with pytest.raises(DataError, match="line 3: Mass is '1,0'"):
        read_label_table(path)


def test_bytes_of_no_western_text_and_two_encodings_in_one_file_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    for broken in (b"\xff", b"\x81", "ä".encode() + b"\xe4"):
        path.write_bytes(b"image,patient,Mass\na.png,1,1\nb" + broken + b".png,2,0\n")
        with pytest.raises(DataError, match="line 3: not UTF-8 text"):
            read_label_table(path)


def test_a_table_in_parquet_is_refused_with_the_command_that_makes_a_csv_of_it(tmp_path):
    path = tmp_path / "a table.parquet"
    path.write_bytes(b"PAR1\x15\x04\xff" + bytes(50) + b"PAR1")
    for settings in ([f"dataset.labels={path}"], [f"dataset.images={tmp_path}"]):
        with pytest.raises(DataError, match="in parquet") as refused:
            audit_study(load_recipe("nih-14", settings), tmp_path / "cache", labels_only=True)
        words = shlex.split(str(refused.value).partition("pyarrow, ")[2].partition(" makes")[0])
        assert words[:2] == ["python", "-c"]
        compile(words[2], "the command", "exec")
        assert words[3:] == [str(path), str(tmp_path / "a table.csv")]


def test_a_folder_with_a_spreadsheet_in_place_of_a_table_says_what_to_save(tmp_path):
    (tmp_path / "reports.xlsx").write_bytes(b"PK\x03\x04")
    recipe = load_recipe("nih-14", [f"dataset.images={tmp_path}"])
    with pytest.raises(DataError, match=r"reports.xlsx: a spreadsheet is no label table. Save"):
        audit_study(recipe, tmp_path / "cache")


def test_an_audit_names_the_findings_that_a_hospitals_table_has(tmp_path):
    rows = [f"IM{number};P{number};{number % 2},0;0,0" for number in range(8)]
    for number in range(8):
        write_dicom(tmp_path / "bilder" / f"IM{number}", chest(), ViewPosition="PA")
    table = tmp_path / "befunde.csv"
    table.write_text("\n".join(["Bilddatei;Pat.-Nr.;Erguss;Röntgenzeichen", *rows]))
    named = [f"dataset.images={tmp_path}"]
    with pytest.raises(DataError) as refused:
        audit_study(load_recipe("nih-14", named), tmp_path / "cache")
    remedy = "dataset.findings=Effusion"
    assert f"--set '{remedy}'" in str(refused.value)
    report = audit_study(load_recipe("nih-14", [*named, remedy]), tmp_path / "cache")
    assert (report["images"], report["patients"]) == (8, 8)
