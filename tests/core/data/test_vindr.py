"""VinDr-CXR's tables: three readers an image, boxes or labels of whole images, no patients."""

import shutil
from collections import defaultdict

import numpy as np
import pytest
from collection_tables import COLLECTIONS, audited, counted, positives, records_of, rewritten

from core.data.collections.reading import TableReading, read_labels
from core.data.study.study import prepare_study
from core.errors import DataError
from core.recipe import LabelSettings
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "vindr_cxr"
BOXES = FOLDER / "kaggle/train.csv"
WHOLE = FOLDER / "physionet/annotations/image_labels_train.csv"
CLASSES = {
    "Consolidation": "Consolidation",
    "Pleural effusion": "Effusion",
    "Pleural thickening": "Pleural_Thickening",
    "Nodule/Mass": "Nodule or Mass",
    "Atelectasis": "Atelectasis",
    "No finding": "No Finding",
}


def readers_of(table):
    """Image -> finding -> its readers who say present; and all readers of the image."""
    present, every = defaultdict(lambda: defaultdict(set)), defaultdict(set)
    for row in records_of(table):
        every[row["image_id"]].add(row["rad_id"])
        for name, finding in CLASSES.items():
            if row.get("class_name", name) == name and row.get(name, "1") == "1":
                present[row["image_id"]][finding].add(row["rad_id"])
    return present, every


@pytest.mark.parametrize("table", [BOXES, WHOLE])
@pytest.mark.parametrize("rule", ["any", "majority", "all", "share"])
def test_readers_are_joined_as_the_recipe_says(table, rule):
    present, every = readers_of(table)
    read = read_labels(table, reading=TableReading(labels=LabelSettings(readers=rule)))
    assert sorted(read.images_N) == sorted(every)
    for finding in CLASSES.values():
        shares = {image: len(present[image][finding]) / len(every[image]) for image in every}
        least = {"any": 0.01, "all": 1}.get(rule, 0.51)
        trained = read.training_labels_NA[:, read.findings.index(finding)]
        for row, image in enumerate(read.images_N):
            assert read.labels_of(finding)[row] == (shares[image] >= least)
            learnt = shares[image] if rule == "share" else shares[image] >= least
            assert trained[row] == pytest.approx(float(learnt))


@pytest.mark.parametrize("table", [BOXES, WHOLE])
def test_a_table_alone_counts_images_and_knows_no_patients(tmp_path, table):
    alone = shutil.copy(table, tmp_path / "train.csv")
    present, every = readers_of(table)
    report = audited("vindr", tmp_path, f"dataset.labels={alone}")
    assert (report["images"], report["patients"]) == (len(every), None)
    for finding in CLASSES.values():
        by_majority = sum(2 * len(present[image][finding]) > len(every[image]) for image in every)
        assert positives(report, finding) == by_majority
    assert any("most of its readers" in note for note in report["notes"])
    assert counted(report, "images on which readers differ") > 0


def test_physionets_folder_has_its_official_parts(tmp_path):
    folder = FOLDER / "physionet"
    settings = [f"dataset.images={folder}", "dataset.partial=true", "dataset.findings=Fibrosis"]
    study = prepare_study(load_recipe("vindr", settings), tmp_path)
    tests = {row["image_id"] for row in records_of(WHOLE.with_name("image_labels_test.csv"))}
    assert set(study.index.images[study.rows("test")]) <= tests
    assert tests.isdisjoint(study.index.images[study.rows("train")])
    files = [file.path.name for file in study.index.files.values()]
    assert len(files) == len(list(folder.rglob("*.dicom")))


def test_a_run_on_kaggles_folder_is_told_that_there_is_no_test_part(tmp_path):
    settings = [f"dataset.labels={BOXES}"]
    with pytest.raises(DataError, match=r"split\.by=patient"):
        prepare_study(load_recipe("vindr", settings), tmp_path, labels_only=True)
    study = prepare_study(
        load_recipe("vindr", [*settings, "split.by=patient"]), tmp_path, labels_only=True
    )
    assert len(np.concatenate([study.rows(part) for part in ("train", "val", "test")])) == 10


def test_boxes_of_the_consensus_are_read_as_the_test_part():
    read = read_labels(FOLDER / "physionet/annotations/annotations_test.csv")
    whole = read_labels(FOLDER / "physionet/annotations/image_labels_test.csv")
    assert set(read.official_N) == {"test"}
    row_of = {image: row for row, image in enumerate(whole.images_N)}
    rows = [row_of[image] for image in read.images_N]
    for finding in read.findings:
        assert np.array_equal(read.labels_of(finding), whole.labels_of(finding)[rows])


@pytest.mark.parametrize(
    ("table", "before", "after", "said"),
    [
        (BOXES, "Atelectasis,1,", "Atelectasis,2,", "class_id is '2' beside 'Atelectasis'"),
        (BOXES, "Atelectasis,1,", "Athelectasis,1,", "class_name is 'Athelectasis'"),
        (WHOLE, ",0,0,0,0\n", ",0,0,0,2\n", "is '2'"),
        (WHOLE, ",0,0,0,0\n", ",0,0,0,0.5\n", "is '0.5'"),
        (WHOLE, ",0,0,0,0\n", ',0,0,0,"1,0"\n', "is '1,0'"),
        (WHOLE, ",0,0,0,0\n", ",0,0,0,1,0\n", "fields but the header names"),
    ],
)
def test_a_faulty_cell_is_named_with_its_line(tmp_path, table, before, after, said):
    line = 1 + table.read_text().split(before)[0].count("\n")
    copy = rewritten(table, tmp_path, lambda text: text.replace(before, after, 1))
    with pytest.raises(DataError) as refused:
        read_labels(copy)
    assert said in str(refused.value)
    assert f"line {line}" in str(refused.value)


def test_vindrs_and_chexperts_train_csv_are_told_apart(tmp_path):
    with pytest.raises(DataError, match=r"the table's header is VinDr-CXR's"):
        audited("chexpert", tmp_path, f"dataset.labels={BOXES}")
    chexpert = COLLECTIONS / "chexpert/CheXpert-v1.0-small/train.csv"
    with pytest.raises(DataError, match=r"the table's header is CheXpert's"):
        audited("vindr", tmp_path, f"dataset.labels={chexpert}")
