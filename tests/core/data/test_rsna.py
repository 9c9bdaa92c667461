"""RSNA's table of boxes: images named patientId, patients from the mapping beside it."""

import json
import shutil

import pytest
from collection_tables import COLLECTIONS, audited, counted, known, positives, records_of, rewritten

from core.data.collections.reading import read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.study import prepare_study
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "rsna_pneumonia"
NAME = "stage_2_train_labels.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"


def test_a_table_alone_counts_images_and_knows_no_patients(tmp_path):
    table = shutil.copy(FOLDER / NAME, tmp_path / "any.csv")
    rows = records_of(FOLDER / NAME)
    images = {row["patientId"]: row["Target"] for row in rows}

    report = audited("rsna", tmp_path, f"dataset.labels={table}")

    assert (report["images"], report["patients"]) == (len(images), None)
    assert positives(report, "Pneumonia") == list(images.values()).count("1")
    assert known(report, "Pneumonia") == len(images)
    boxes = [sum(row["patientId"] == image for row in rows) for image in images]
    assert counted(report, "images with several rows") == sum(num > 1 for num in boxes)
    assert any("each image counts as its own patient" in note for note in report["notes"])
    assert "Radiologists" in report["note"]


def test_with_the_mapping_beside_it_patients_are_nihs(tmp_path):
    entries = json.loads((FOLDER / MAPPING).read_text())
    patient_of = {entry["subset_img_id"]: int(entry["img_id"][:8]) for entry in entries}
    images = list(dict.fromkeys(row["patientId"] for row in records_of(FOLDER / NAME)))

    report = audited("rsna", tmp_path, f"dataset.labels={FOLDER / NAME}")
    read = read_labels(FOLDER / NAME)

    assert report["patients"] == len({patient_of[image] for image in images}) < len(images)
    assert report["shared_patients"] == 0
    assert read.patients_of == "nih"
    assert read.patients_N.tolist() == [patient_of[image] for image in read.images_N]


@pytest.mark.parametrize("broken", ["not json", "[]", '{"a": 1}', '[{"img_id": 3}]'])
def test_a_mapping_that_does_not_fit_is_told_and_leaves_patients_unknown(tmp_path, broken):
    shutil.copy(FOLDER / NAME, tmp_path)
    (tmp_path / MAPPING).write_text(broken)
    (tmp_path / "stage_2_detailed_class_info.csv").write_text('patientId,class\n"unclosed')
    report = audited("rsna", tmp_path, f"dataset.labels={tmp_path / NAME}")
    assert report["patients"] is None
    assert any("patients stay unknown" in count["reason"] for count in report["counts"])


def test_classes_that_contradict_the_target_are_counted(tmp_path):
    for name in (NAME, "stage_2_detailed_class_info.csv"):
        shutil.copy(FOLDER / name, tmp_path)
    classes = tmp_path / "stage_2_detailed_class_info.csv"
    classes.write_text(classes.read_text().replace("Normal\n", "Lung Opacity\n", 1))
    report = audited("rsna", tmp_path, f"dataset.labels={tmp_path / NAME}")
    assert counted(report, "Target contradicts the class") == 1


@pytest.mark.parametrize("cell", ["2", "0.5", '"1,0"', ""])
def test_another_target_than_one_and_zero_is_named_with_its_line(tmp_path, cell):
    copy = rewritten(FOLDER / NAME, tmp_path, lambda text: text.replace(",,0\n", f",,{cell}\n", 1))
    with pytest.raises(DataError) as refused:
        read_labels(copy)
    assert "Target is" in str(refused.value)
    assert "line 3" in str(refused.value)


def test_targets_of_one_image_that_differ_are_refused_with_both_lines(tmp_path):
    image = "e413a075-2706-4c73-a3b4-94b8f4f4c861,399.0,412.0,198.0,234.0,"
    copy = rewritten(FOLDER / NAME, tmp_path, lambda text: text.replace(image + "1", image + "0"))
    with pytest.raises(DataError) as refused:
        read_labels(copy)
    assert "line 6" in str(refused.value)
    assert "line 7" in str(refused.value)


def test_dicoms_are_found_by_the_images_names(tmp_path):
    settings = [f"dataset.images={FOLDER}", "dataset.partial=true"]
    recipe = load_recipe("rsna", settings)
    index = build_index(recipe, locate_sources(recipe, cache=tmp_path))
    found = {name: file.path.name for name, file in index.files.items()}
    assert found
    assert all(file == f"{name}.dcm" for name, file in found.items())


def test_a_run_without_patients_is_refused_unless_the_recipe_says_each_image_is_its_own(tmp_path):
    table = tmp_path / "labels.csv"
    shutil.copy(FOLDER / NAME, table)
    recipe = load_recipe("rsna", [f"dataset.labels={table}", "dataset.patient_from=table"])
    with pytest.raises(DataError, match="patient"):
        prepare_study(recipe, tmp_path, labels_only=True)
    study = prepare_study(
        load_recipe("rsna", [f"dataset.labels={table}"]), tmp_path, labels_only=True
    )
    assert not study.index.table.patients_are_known
