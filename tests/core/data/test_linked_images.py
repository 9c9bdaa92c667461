"""DICOM files that a table names by what their headers hold: an accession number, or a UID."""

import json
from pathlib import Path

import pytest
from dicoms import chest, write_dicom
from other_forms import CHEXPERT_COLUMNS

from core.data.study.study import Study, audit_study, prepare_study
from core.errors import DataError
from core.recipe_toml import load_recipe

TABLE = """Accession Number;Patient;Effusion;Nodule
000{first};P1;1;0
0002;P2;0;1
0003;P3;0;0
"""


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Three studies: two images, of which one is lateral; two frontal ones; one. And a report."""
    folder = tmp_path / "pacs"
    for place, (study, view) in enumerate(
        [("0001", "PA"), ("0001", "LL"), ("0002", "PA"), ("0002", "AP"), ("0003", "PA")]
    ):
        write_dicom(
            folder / f"CD{place % 2}" / f"IM{place:04}",
            chest(),
            AccessionNumber=study,
            StudyInstanceUID=f"1.2.{study.lstrip('0')}",
            SOPInstanceUID=f"1.2.{study.lstrip('0')}.{place}",
            ViewPosition=view,
        )
    write_dicom(folder / "REPORT", chest(), AccessionNumber="0001", Modality="SR")
    (folder / "DICOMDIR").write_bytes(b"no header at all")
    (tmp_path / "reports.csv").write_text(TABLE.format(first=1))
    return tmp_path


def study_of(ward: Path, *changes: str) -> Study:
    return prepare_study(load_recipe("nih-14", settings_of(ward, *changes)), ward / "cache")


def settings_of(ward: Path, *changes: str) -> list[str]:
    return [
        f"dataset.labels={ward / 'reports.csv'}",
        f"dataset.images={ward / 'pacs'}",
        "dataset.findings=Effusion,Nodule",
        "dataset.image_from=dicom",
        "split.by=patient",
        *changes,
    ]


def test_a_study_named_by_its_accession_number_stands_for_each_of_its_frontal_images(ward):
    index = study_of(ward).index
    assert list(index.images) == ["CD0/IM0000", "CD0/IM0002", "CD1/IM0003", "CD0/IM0004"]
    assert index.labels_NF.tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
    assert [index.table.patient_text(patient) for patient in index.patients] == [
        *("P1", "P2", "P2", "P3")
    ]
    assert index.table.studies_N[1] == index.table.studies_N[2] != index.table.studies_N[0]
    assert (index.missing_images, index.extra_images) == (0, 0)
    assert index.files["CD1/IM0003"].path == ward / "pacs" / "CD1" / "IM0003"
    told = " ".join(index.table.notes)
    assert "by AccessionNumber in DICOM headers: 3 rows have 5 images." in told
    assert any("lateral view left out" in count.reason for count in index.counts)


@pytest.mark.parametrize(
    ("name", "keys", "keyword", "images"),
    [
        ("SOPInstanceUID", ("1.2.1.0", "1.2.2.3", "1.2.3.4"), "SOPInstanceUID", 3),
        ("StudyInstanceUID", ("1.2.1", "1.2.2", "1.2.3"), "StudyInstanceUID", 4),
        ("Accession Number", ("1", "2", "3"), "AccessionNumber", 4),
    ],
)
def test_rows_are_linked_by_whichever_identifier_they_name(ward, name, keys, keyword, images):
    rows = [f"{key};P{number};{number % 2};0" for number, key in enumerate(keys)]
    (ward / "reports.csv").write_text("\n".join([f"{name};Patient;Effusion;Nodule", *rows]))
    index = study_of(ward).index
    assert len(index.images) == images
    note = next(note for note in index.table.notes if "linked" in note)
    assert f"by {keyword}" in note
    assert ("Zeros before a number don't count." in note) == (keys[0] == "1")


def test_the_second_time_only_new_files_are_read(ward):
    before = study_of(ward).index.images.tolist()
    kept = next((ward / "cache" / "listings").glob("links-*.json"))
    known = json.loads(kept.read_text())
    known["files"]["CD1/IM0003"][1][-1] = "0003"
    kept.write_text(json.dumps(known))
    assert study_of(ward).index.images.tolist() == [
        *("CD0/IM0000", "CD0/IM0002", "CD0/IM0004", "CD1/IM0003")
    ]
    for damage in ("{", "[]", '{"version": 1, "files": {"CD0/IM0000": 3}}', '{"version": 0}'):
        kept.write_text(damage)
        assert study_of(ward).index.images.tolist() == before
    write_dicom(ward / "pacs" / "new.dcm", chest(), AccessionNumber="0003", ViewPosition="PA")
    assert study_of(ward).index.images.tolist() == [*before, "new.dcm"]


def test_a_study_without_a_file_is_missing_and_a_file_without_a_row_is_counted(ward):
    table = ward / "reports.csv"
    table.write_text(TABLE.format(first=1) + "0004;P4;0;0\n")
    write_dicom(ward / "pacs" / "other.dcm", chest(), AccessionNumber="0005", ViewPosition="PA")
    with pytest.raises(DataError, match="1 of the table's 6 images are missing, such as 0004"):
        study_of(ward)
    index = study_of(ward, "dataset.partial=true").index
    assert (index.missing_images, index.extra_images) == (1, 1)
    assert not {"0004", "other.dcm"} & set(index.images)


def test_a_copy_of_an_image_in_another_folder_is_not_a_second_image(ward):
    copied = (ward / "pacs" / "CD0" / "IM0004").read_bytes()
    (ward / "pacs" / "CD1" / "AGAIN").write_bytes(copied)
    index = study_of(ward).index
    assert list(index.images)[-1:] == ["CD0/IM0004"]
    assert len(index.images) == 4
    assert any(count.reason.startswith("image found more than once") for count in index.counts)


def test_what_headers_hold_is_told_where_they_hold_nothing_of_the_table(ward):
    table = ward / "reports.csv"
    table.write_text(TABLE.format(first=1).replace("\n000", "\nX-00"))
    with pytest.raises(DataError) as refused:
        study_of(ward)
    assert "no DICOM header holds what the table names, such as 'X-001'" in str(refused.value)
    assert "AccessionNumber '0001'" in str(refused.value)


def test_a_folder_without_dicom_files_is_refused(ward):
    with pytest.raises(DataError, match="1 files without a suffix"):
        study_of(ward, f"dataset.images={put(ward / 'one' / 'README', b'text')}")
    with pytest.raises(DataError, match="the folder has no file that may be DICOM"):
        study_of(ward, f"dataset.images={put(ward / 'two' / 'a.png', b'')}")


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(content)
    return path.parent


def test_a_table_that_names_no_file_leads_to_the_key_that_links_it(ward):
    with pytest.raises(DataError) as refused:
        study_of(ward, "dataset.image_from=table")
    assert "'Accession Number'" in str(refused.value)
    assert refused.value.changes == ("dataset.image_from=dicom",)
    table = ward / "reports.csv"
    table.write_text(table.read_text().replace("\n000", "\nRX").replace("Accession Number", "Exam"))
    with pytest.raises(DataError) as refused:  # the column is guessed
        study_of(ward, "dataset.image_from=table")
    assert "the folder has none of the table's images" in str(refused.value)
    assert refused.value.changes == ("dataset.image_from=dicom",)


def test_two_reports_of_one_study_that_disagree_are_refused(ward):
    table = ward / "reports.csv"
    table.write_text(table.read_text() + "0003;P3;1;0\n")
    with pytest.raises(DataError, match="'0003' is listed twice, with different labels"):
        study_of(ward)


def test_an_audit_without_images_counts_studies(ward):
    recipe = load_recipe("nih-14", settings_of(ward))
    assert audit_study(recipe, ward / "cache", labels_only=True)["images"] == 3
    assert audit_study(recipe, ward / "cache")["images"] == 4


def test_a_known_collections_table_is_not_linked(ward):
    head = ",".join(["Path,Sex,Age,Frontal/Lateral,AP/PA", *CHEXPERT_COLUMNS])
    image = "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg"
    row = f"{image},Male,60,Frontal,PA{',0.0' * len(CHEXPERT_COLUMNS)}"
    (ward / "reports.csv").write_text(f"{head}\n{row}\n")
    with pytest.raises(DataError, match="CheXpert's table names files"):
        study_of(ward)


def test_of_several_data_sets_each_has_its_own_links(ward):
    twice = [
        f"datasets.{number}.{key}={value}"
        for number in (0, 1)
        for key, value in {
            "name": f"ward{number}",
            "labels": ward / "reports.csv",
            "images": ward / "pacs",
            "image_from": "dicom",
            "findings": "Effusion,Nodule",
        }.items()
    ]
    recipe = load_recipe("nih-14", [*twice, "split.by=patient"])
    study = prepare_study(recipe, ward / "cache")
    assert study.index.images[:2].tolist() == ["ward0/CD0/IM0000", "ward0/CD0/IM0002"]
    assert len(study.index.images) == 8
