"""MIMIC-CXR-JPG's tables: labels of studies joined with images, parts, ages and sexes."""

import gzip
import shutil
from collections import Counter

import numpy as np
import pytest
from collection_tables import (
    COLLECTIONS,
    EVERY_VIEW,
    audited,
    counted,
    known,
    positives,
    records_of,
)

from core.data.collections.reading import read_labels
from core.data.study.study import prepare_study
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "mimic_cxr_jpg"
START = "mimic-cxr-2.0.0-"
CHEXPERT = FOLDER / f"{START}chexpert.csv.gz"
TEST = "mimic-cxr-2.1.0-test-set-labeled.csv"
VALUES = {"1.0": 1, "0.0": 0, "-1.0": np.nan, "": 0}


def rows(name):
    return records_of(FOLDER / f"{START}{name}.csv.gz")


def copied(folder, *names):
    for name in names:
        shutil.copy(FOLDER / f"{START}{name}.csv.gz", folder)
    return folder / f"{START}{names[0]}.csv.gz"


def changed(folder, name, before, after):
    """A table of the folder with one text in place of another."""
    table = folder / f"{START}{name}.csv.gz"
    text = gzip.decompress(table.read_bytes()).decode()
    assert before in text
    table.write_bytes(gzip.compress(text.replace(before, after, 1).encode()))


def test_a_label_table_is_joined_with_the_tables_beside_it(tmp_path):
    metadata, part_of = rows("metadata"), {row["dicom_id"]: row["split"] for row in rows("split")}
    label_of = {row["study_id"]: row for row in rows("chexpert")}
    frontal = [row for row in metadata if row["ViewPosition"] in ("PA", "AP")]

    report = audited("mimic-cxr", tmp_path, f"dataset.labels={CHEXPERT}")

    assert report["images"] == len(frontal)
    assert report["patients"] == len({row["subject_id"] for row in frontal})
    for part, name in (("train", "train"), ("val", "validate"), ("test", "test")):
        in_part = sum(part_of[row["dicom_id"]] == name for row in frontal)
        assert report["parts"][part]["images"] == in_part
    labelled = [label_of[row["study_id"]] for row in frontal if row["study_id"] in label_of]
    for name, finding in (("Lung Opacity",) * 2, ("Pleural Effusion", "Effusion")):
        assert positives(report, finding) == sum(row[name] == "1.0" for row in labelled)
    without = [row for row in metadata if row["study_id"] not in label_of]
    assert counted(report, "image of a study without a row of labels") == len(without) > 0
    assert known(report, "Support Devices") == len(labelled)
    people = {row["subject_id"] for row in records_of(FOLDER / "mimic-iv/hosp/patients.csv.gz")}
    strangers = sum(row["subject_id"] not in people for row in metadata)
    assert counted(report, "image whose subject has no row") == strangers > 0


def test_ages_are_the_anchors_plus_the_years_since_and_91_is_above_89():
    person_of = {
        row["subject_id"]: row for row in records_of(FOLDER / "mimic-iv/hosp/patients.csv.gz")
    }
    read = read_labels(CHEXPERT, reading=EVERY_VIEW)
    for age, sex, row in zip(read.age_years_N, read.sex_N, rows("metadata"), strict=True):
        person = person_of.get(row["subject_id"])
        if person is None:
            assert np.isnan(age)
            assert sex == ""
            continue
        years = int(row["StudyDate"][:4]) - int(person["anchor_year"])
        assert age == (91 if person["anchor_age"] == "91" else int(person["anchor_age"]) + years)
        assert sex == person["gender"]


def test_a_label_table_alone_has_studies_for_rows(tmp_path):
    table = copied(tmp_path, "chexpert")
    (tmp_path / f"{START}metadata.csv").write_text("not,a,table\n1,2\n")
    (tmp_path / f"{START}split.csv.gz").write_bytes(b"\x1f\x8bdamaged")
    (tmp_path / "BBox_List_2017.csv").write_text("broken")
    (tmp_path / "test_list.txt").write_text("../../x\n")
    studies = rows("chexpert")

    report = audited("mimic-cxr", tmp_path, f"dataset.labels={table}")

    assert report["images"] == len(studies)
    assert report["patients"] == len({row["subject_id"] for row in studies})
    assert any(note.startswith("Rows are studies") for note in report["notes"])
    told = [count["reason"] for count in report["counts"]]
    assert any(f"{START}metadata.csv is not joined" in reason for reason in told)
    assert any(f"{START}split.csv.gz is not joined" in reason for reason in told)


def test_metadata_alone_gives_images_and_views_without_labels(tmp_path):
    table = copied(tmp_path, "metadata")
    report = audited("mimic-cxr", tmp_path, f"dataset.labels={table}")
    views = Counter(row["ViewPosition"] for row in rows("metadata"))
    assert report["images"] == views["AP"] + views["PA"]
    assert known(report, "Edema") == 0
    assert any("each finding is unknown" in note for note in report["notes"])


def test_tables_of_another_edition_are_told_and_not_joined(tmp_path):
    table = copied(tmp_path, "chexpert", "metadata")
    changed(tmp_path, "metadata", ",10000002,59999907,", ",10000009,59999907,")
    report = audited("mimic-cxr", tmp_path, f"dataset.labels={table}")
    assert report["images"] == len(rows("chexpert"))
    told = [count["reason"] for count in report["counts"]]
    assert any("study 59999907 is subject 10000009's" in reason for reason in told)
    with pytest.raises(DataError, match="two editions"):
        audited("mimic-cxr", tmp_path, f"dataset.images={tmp_path}")


def test_a_folder_is_read_with_all_its_tables_and_images_are_found(tmp_path):
    recipe = load_recipe(
        "mimic-cxr", [f"dataset.images={FOLDER}", "dataset.partial=true", "split.by=patient"]
    )
    study = prepare_study(recipe, tmp_path)
    assert {file.path.stem for file in study.index.files.values()} == set(study.index.files)
    assert "72326887-44e96e13-7db031ad-e5a19a7d-dc14f737" in study.index.files
    assert study.patients_known_as == "mimic-cxr"
    digests = {"mimic-cxr-2.0.0-metadata", "mimic-cxr-2.0.0-split", "patients"}
    assert digests <= set(study.index.digests())


def test_the_radiologists_test_table_is_read_only_if_it_is_named(tmp_path):
    read = read_labels(FOLDER / TEST, reading=EVERY_VIEW)
    by_study = {row["study_id"]: row for row in records_of(FOLDER / TEST)}
    images = [row for row in rows("metadata") if row["study_id"] in by_study]
    assert read.images_N.tolist() == [row["dicom_id"] for row in images]
    assert set(read.official_N) == {"test"}
    expected = [VALUES[by_study[row["study_id"]]["Airspace Opacity"]] for row in images]
    assert np.array_equal(read.labels_of("Lung Opacity"), expected, equal_nan=True)
    alone = shutil.copy(FOLDER / TEST, tmp_path / "labels.csv")
    report = audited("mimic-cxr", tmp_path, f"dataset.labels={alone}")
    assert (report["images"], report["patients"]) == (len(by_study), None)


@pytest.mark.parametrize("cell", ["2", "0.5", '"1,0"'])
def test_a_faulty_label_is_named_with_its_line(tmp_path, cell):
    table = copied(tmp_path, "chexpert")
    changed(tmp_path, "chexpert", "10000006,59999922,,,0.0", f"10000006,59999922,,,{cell}")
    with pytest.raises(DataError) as refused:
        read_labels(table)
    assert "Consolidation is" in str(refused.value)
    assert "line 9" in str(refused.value)


def test_a_study_labelled_twice_otherwise_is_refused_with_both_lines(tmp_path):
    table = copied(tmp_path, "chexpert", "metadata")
    changed(tmp_path, "chexpert", "10000001,59999904,", "10000001,59999901,")
    with pytest.raises(DataError) as refused:
        read_labels(table)
    assert "line 3" in str(refused.value)
    assert "line 2" in str(refused.value)
