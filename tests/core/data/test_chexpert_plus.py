"""CheXpert Plus: reports in cells, labels in lines beside the table, PNG under names of JPEG."""

import json
import shutil

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
    rewritten,
)

from core.data.collections.reading import read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "chexpert_plus"
NAME = "df_chexpert_plus_240401.csv"
LINES = FOLDER / "chexbert_labels/impression_fixed.json"


def labels():
    entries = map(json.loads, LINES.read_text().splitlines())
    return {entry["path_to_image"]: entry for entry in entries}


def test_rows_and_label_lines_are_joined_by_their_paths(tmp_path):
    rows, label_of = records_of(FOLDER / NAME), labels()
    frontal = [row for row in rows if row["frontal_lateral"] == "Frontal"]
    report = audited("chexpert", tmp_path, f"dataset.labels={FOLDER / NAME}")
    assert report["images"] == len(frontal)
    assert report["patients"] == len({row["deid_patient_id"] for row in frontal})
    said = [label_of[row["path_to_image"]]["Pleural Effusion"] for row in frontal]
    policy = report["label_policy"]["by_finding"]["Effusion"]
    assert policy["uncertain_labels"] == said.count(-1)
    assert policy["blank_labels"] == said.count(None)
    in_test = [row for row in frontal if row["split"] == "valid"]
    assert report["parts"]["test"]["images"] == len(in_test)
    read = read_labels(FOLDER / NAME, reading=EVERY_VIEW)
    present = [label_of[row["path_to_image"]]["Edema"] == 1 for row in rows]
    assert np.array_equal(read.labels_of("Edema") == 1, present)
    assert read.age_years_N.tolist() == [float(row["age"]) for row in rows]
    assert positives(report, "Effusion") >= said.count(1)


def test_the_table_alone_has_images_without_labels(tmp_path):
    table = shutil.copy(FOLDER / NAME, tmp_path)
    report = audited("chexpert", tmp_path, f"dataset.labels={table}")
    assert report["images"] > 0
    assert known(report, "Edema") == 0
    assert any("each finding is unknown" in note for note in report["notes"])


def test_label_lines_with_a_fault_are_told_with_their_line_or_refused_in_a_folder(tmp_path):
    table = shutil.copy(FOLDER / NAME, tmp_path)
    lines = LINES.read_text().splitlines()
    lines[6] = lines[6].replace("null", "0.5", 1)
    (tmp_path / "impression_fixed.json").write_text("\n".join(lines))
    report = audited("chexpert", tmp_path, f"dataset.labels={table}")
    (told,) = [count["reason"] for count in report["counts"] if "not joined" in count["reason"]]
    assert "(line 7)" in told
    with pytest.raises(DataError, match="line 7"):
        audited("chexpert", tmp_path, f"dataset.images={tmp_path}", "dataset.partial=true")


def test_the_png_is_found_though_the_table_says_jpg(tmp_path):
    recipe = load_recipe("chexpert", [f"dataset.images={FOLDER}", "dataset.partial=true"])
    index = build_index(recipe, locate_sources(recipe, cache=tmp_path))
    file = index.files["train/patient91001/study1/view1_frontal.jpg"]
    assert file.path == FOLDER / "PNG/train/patient91001/study1/view1_frontal.png"


def test_lines_below_reports_stay_right(tmp_path):
    line = (FOLDER / NAME).read_text().split("\nvalid/patient91014")[0].count("\n") + 2
    copy = rewritten(
        FOLDER / NAME,
        tmp_path,
        lambda text: text.replace("\nvalid/patient91014/", "\nvalid/nobody/", 1),
    )
    with pytest.raises(DataError, match=f"line {line}"):
        read_labels(copy)


def test_two_editions_in_one_table_of_chexperts_are_told(tmp_path):
    table = COLLECTIONS / "chexpert/CheXpert-v1.0-small/train.csv"
    copy = rewritten(
        table, tmp_path, lambda text: text.replace("CheXpert-v1.0-small", "CheXpert-v1.0", 3)
    )
    report = audited("chexpert", tmp_path, f"dataset.labels={copy}")
    assert counted(report, "row of CheXpert-v1.0/ in a table of CheXpert-v1.0-small/") == 3
