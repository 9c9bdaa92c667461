"""Radiologists' labels of NIH images: read as theirs although NIH's own stand beside them."""

from collections import Counter, defaultdict

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

from core.data.collections.reading import TableReading, read_labels
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe import DatasetSettings, LabelSettings
from core.recipe_toml import load_recipe

FOLDER = COLLECTIONS / "nih_google"
FOUR = FOLDER / "four_findings_expert_labels"
ALL = FOLDER / "all_findings_expert_labels"
NAMES = {
    "Fracture": "Fracture",
    "Pneumothorax": "Pneumothorax",
    "Airspace opacity": "Lung Opacity",
    "Nodule or mass": "Nodule or Mass",
}
VALUES = {"YES": 1, "NO": 0, "": np.nan}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_experts_columns_are_read_and_not_nihs_words(tmp_path, part):
    table = FOUR / f"{part}_labels.csv"
    rows, read = records_of(table), read_labels(table)
    assert read.kind == "nih-experts"
    assert set(read.findings) == set(NAMES.values())
    for name, finding in NAMES.items():
        expected = [VALUES[row[name]] for row in rows]
        assert np.array_equal(read.labels_of(finding), expected, equal_nan=True)
    assert read.patients_N.tolist() == [int(row["Patient ID"]) for row in rows]
    assert read.patients_of == "nih"
    assert Counter(read.official_N) == Counter(row["Set Id"] for row in rows)
    settings = [f"dataset.labels={table}", "split.by=patient", "dataset.kind=nih-experts"]
    report = audited("nih-14", tmp_path, *settings, f"dataset.findings={','.join(NAMES.values())}")
    assert report["images"] == len(rows)
    assert positives(report, "Lung Opacity") == sum(
        row["Airspace opacity"] == "YES" for row in rows
    )
    assert known(report, "Lung Opacity") == sum(row["Airspace opacity"] != "" for row in rows)
    assert "Radiologists" in report["note"]


def test_named_as_nihs_the_table_is_refused_with_the_reason():
    with pytest.raises(DataError, match="header is Expert labels of NIH images"):
        read_labels(
            FOUR / "test_labels.csv", reading=TableReading(dataset=DatasetSettings(kind="nih"))
        )


def test_all_findings_are_read_and_abnormal_is_the_contrary_of_no_finding():
    rows, read = records_of(ALL / "test_labels.csv"), read_labels(ALL / "test_labels.csv")
    assert set(read.official_N) == {"test"}
    assert read.labels_of("No Finding").tolist() == [1 - int(row["Abnormal"]) for row in rows]
    expected = [VALUES[row["Pleural Thickening"]] for row in rows]
    assert read.labels_of("Pleural_Thickening").tolist() == expected


@pytest.mark.parametrize("rule", ["any", "majority", "all", "share"])
def test_single_readers_are_joined_and_a_hedge_is_neither_yes_nor_no(rule):
    table = FOUR / "individual_readers.csv"
    said = defaultdict(Counter)
    for row in records_of(table):
        said[row["Image ID"]][row["Pneumothorax"]] += 1
    assert any(words["HEDGE"] for words in said.values())
    read = read_labels(table, reading=TableReading(EVERY_VIEW.dataset, LabelSettings(readers=rule)))
    for image, label in zip(read.images_N, read.labels_of("Pneumothorax"), strict=True):
        yes, no, hedged = (said[image][word] for word in ("YES", "NO", "HEDGE"))
        total = yes + no + hedged
        is_yes = {"any": yes > 0, "all": yes == total}.get(rule, 2 * yes > total)
        is_no = {"any": no == total, "all": no > 0}.get(rule, 2 * no > total)
        assert label == 1 if is_yes else label == 0 if is_no else np.isnan(label)


def test_both_parts_are_found_in_their_folder_and_nihs_images_beside_them(tmp_path):
    settings = [f"dataset.images={FOLDER}", "dataset.kind=nih-experts", "split.by=patient"]
    recipe = load_recipe("nih-14", [*settings, "dataset.findings=Fracture"])
    index = build_index(recipe, locate_sources(recipe, cache=tmp_path), labels_only=True)
    rows = [
        row for part in ("validation", "test") for row in records_of(FOUR / f"{part}_labels.csv")
    ]
    assert len(index.images) == len(rows)
    assert set(index.table.official_N) == {"val", "test"}


def test_a_marked_no_is_counted_and_another_word_refused_with_its_line(tmp_path):
    table = ALL / "test_labels.csv"
    marked = rewritten(table, tmp_path, lambda text: text.replace(",NO,", ",NO^,", 1))
    report = audited(
        "nih-14", tmp_path, f"dataset.labels={marked}", "split.by=patient", "dataset.findings=Mass"
    )
    assert counted(report, "a mark ^") == 1
    for word in ("MAYBE", "2", "0.5"):
        copy = rewritten(
            table, tmp_path, lambda text, word=word: text.replace(",NO,", f",{word},", 1)
        )
        with pytest.raises(DataError, match="line 2"):
            read_labels(copy)
