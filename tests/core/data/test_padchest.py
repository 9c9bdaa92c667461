"""PadChest's table: whole items, 37-digit patients, cells with line feeds."""

import ast

import pytest
from collection_tables import (
    COLLECTIONS,
    EVERY_VIEW,
    audited,
    counted,
    known,
    positives,
    records_of,
    rewritten,
)

from core.data.collections.reading import read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "padchest"
TABLE = FOLDER / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
FRONTAL = ("PA", "AP", "AP_horizontal")


def items_of(row):
    if row["Labels"] == "nan":
        return set()
    return {item.strip() for item in ast.literal_eval(row["Labels"])} - {""}


def test_the_tables_counts_are_those_of_its_rows(tmp_path):
    rows = records_of(TABLE)
    frontal = [row for row in rows if row["Projection"] in FRONTAL]
    usable = [row for row in frontal if items_of(row) and "exclude" not in items_of(row)]

    report = audited("padchest", tmp_path, f"dataset.labels={TABLE}")

    assert report["images"] == len(frontal)
    assert report["patients"] == len({row["PatientID"] for row in frontal})
    assert counted(report, "lateral view") == sum(row["Projection"] == "L" for row in rows)
    for finding, items in (
        ("Pneumonia", {"pneumonia", "atypical pneumonia"}),
        ("Effusion", {"pleural effusion", "loculated pleural effusion", "hydropneumothorax"}),
        ("Mass", {"mass", "pulmonary mass"}),
        ("Nodule", {"nodule", "multiple nodules"}),
        ("Emphysema", {"emphysema"}),
        ("Fracture", {"rib fracture", "vertebral fracture"}),
        ("No Finding", {"normal"}),
    ):
        assert positives(report, finding) == sum(bool(items_of(row) & items) for row in usable)
        assert known(report, finding) == len(usable)


def test_words_inside_other_words_are_no_findings():
    rows, read = records_of(TABLE), read_labels(TABLE, reading=EVERY_VIEW)
    label_of = {
        (row["ImageID"], finding): read.labels_of(finding)[place]
        for place, row in enumerate(rows)
        for finding in ("Mass", "Nodule", "Emphysema", "Effusion", "Fracture")
    }
    for item, finding in (
        ("mediastinal mass", "Mass"),
        ("subcutaneous emphysema", "Emphysema"),
        ("pericardial effusion", "Effusion"),
        ("callus rib fracture", "Fracture"),
    ):
        (image,) = [row["ImageID"] for row in rows if item in items_of(row)]
        assert label_of[image, finding] == 0


def test_patients_of_37_digits_stay_apart_and_ages_are_years_since_birth():
    rows, read = records_of(TABLE), read_labels(TABLE, reading=EVERY_VIEW)
    assert len(set(read.patients_N.tolist())) == len({row["PatientID"] for row in rows})
    assert read.patient_text(read.patients_N[0]) == rows[0]["PatientID"]
    for age, row in zip(read.age_years_N, rows, strict=True):
        born = row["PatientBirth"]
        assert age == int(row["StudyDate_DICOM"][:4]) - float(born) if born else age != age


def test_a_faulty_list_is_named_with_its_own_line_below_cells_with_line_feeds(tmp_path):
    lines = TABLE.read_bytes().decode().split("\n")
    at = max(line for line, text in enumerate(lines, 1) if "['hiatal hernia']" in text)
    assert len(lines) > len(records_of(TABLE)) + 2, "a record above has two lines"
    lines[at - 1] = lines[at - 1].replace("['hiatal hernia']", "hiatal hernia")
    copy = tmp_path / "padchest.csv"
    copy.write_text("\n".join(lines))
    with pytest.raises(DataError) as refused:
        read_labels(copy)
    assert f"line {at}" in str(refused.value)
    assert "not a list" in str(refused.value)


def test_images_are_found_in_numbered_folders_and_as_resized_copies(tmp_path):
    image = "92571693571030544322451293074573319396_8197kc"
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / f"{image}.jpg").write_bytes(b"any")
    for folder, ending in ((FOLDER, "0/" + image + ".png"), (tmp_path, f"small/{image}.jpg")):
        settings = [f"dataset.labels={TABLE}", f"dataset.images={folder}", "dataset.partial=true"]
        recipe = load_recipe("padchest", settings)
        index = build_index(recipe, locate_sources(recipe, cache=tmp_path))
        assert str(index.files[f"{image}.png"].path).endswith(ending)


def test_one_patient_for_all_rows_is_told_and_no_patient_at_all(tmp_path):
    patients = {row["PatientID"] for row in records_of(TABLE)}

    def anonymous(text):
        for patient in patients:
            text = text.replace(f",{patient},", ",ANONYMOUS,")
        return text

    copy = rewritten(TABLE, tmp_path, anonymous)
    report = audited("padchest", tmp_path, f"dataset.labels={copy}")
    assert report["patients"] is None
    assert counted(report, "every row names the patient 'ANONYMOUS'") == len(records_of(TABLE))


def test_an_age_of_148_is_missing_and_counted(tmp_path):
    copy = rewritten(TABLE, tmp_path, lambda text: text.replace(",1976.0,", ",1867.0,"))
    report = audited("padchest", tmp_path, f"dataset.labels={copy}")
    assert counted(report, "age below 0 or above 120") == 3


def test_an_own_item_of_the_table_can_be_learnt(tmp_path):
    report = audited("padchest", tmp_path, f"dataset.labels={TABLE}", "dataset.findings=scoliosis")
    frontal = [row for row in records_of(TABLE) if row["Projection"] in FRONTAL]
    assert positives(report, "scoliosis") == sum("scoliosis" in items_of(row) for row in frontal)
