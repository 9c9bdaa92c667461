"""What an audit says before training, on tiny tables and on NIH's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import REPOSITORY
from tables import (
    image_name,
    index_of,
    row_v2020,
    write_boxes,
    write_images,
    write_lines,
    write_v2020,
)

from core.data.study.audit import audit
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.split import make_split
from core.data.study.subset import draw_subset
from core.data.tables.boxes import read_boxes
from core.health.before import before_download
from core.recipe import Recipe
from cxr_tui.commands.audit import main

NIH = os.environ.get("CXR_NIH_DIR")
needs_nih = pytest.mark.skipif(not NIH, reason="CXR_NIH_DIR names no copy of NIH's files")


def audited(folder: Path, *, labels_only: bool = True, **settings: object) -> dict:
    recipe = Recipe.model_validate({"dataset": {"images": folder}} | settings)
    sources = locate_sources(recipe, cache=Path("unused"), labels_only=labels_only)
    index = build_index(recipe, sources, labels_only=labels_only)
    split = make_split(index, recipe.split, sources)
    split = draw_subset(index, split, recipe.subset)
    boxes = None
    if sources.boxes:
        boxes = read_boxes(sources.boxes, {*index.images} | index.absent)
    report = audit(recipe, sources, index, split, boxes)
    report["health"] = [answer.as_json() for answer in before_download(recipe, report)]
    return json.loads(json.dumps(report, allow_nan=False))


def answer_of(report: dict, check: str) -> dict:
    return next(answer for answer in report["health"] if answer["check"] == check)


def write_tiny_nih(folder: Path) -> Path:
    """Six patients: 1 to 4 train_val, 5 and 6 test; one Mass in three in test, none in train."""
    rows = [row_v2020(i, view="AP" if i > 4 else "PA", age=str(40 + i)) for i in range(1, 5)]
    rows += [row_v2020(5, 0, "Mass|Nodule", view="AP"), row_v2020(5, 1), row_v2020(6)]
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    write_lines(folder / "train_val_list.txt", [image_name(i) for i in range(1, 5)])
    write_lines(folder / "test_list.txt", [image_name(5), image_name(5, 1), image_name(6)])
    write_boxes(folder / "BBox_List_2017.csv", [f"{image_name(5)},Nodule,100,100,64,56"])
    return folder


VAL = {"by": "official", "val": 0.3}


def test_counts_and_prevalences_are_given_by_part_and_finding(tmp_path):
    report = audited(write_tiny_nih(tmp_path), split=VAL)

    assert (report["images"], report["patients"]) == (7, 6)
    assert report["table_version"] == "NIH v2020"
    assert {part: report["parts"][part]["images"] for part in report["parts"]} == {
        "train": 3,
        "val": 1,
        "test": 3,
    }
    test = report["parts"]["test"]
    assert test["patients"] == 2
    assert test["findings"]["Mass"] == {
        "positives": 1,
        "known": 3,
        "prevalence": 1 / 3,
        "positive_patients": 1,
    }
    assert test["views"] == {"PA": 2, "AP": 1, "unknown": 0}
    assert test["no_finding"] == {"images": 2, "share": 2 / 3}
    assert report["co_occurrence"]["Mass"] == report["co_occurrence"]["Nodule"]
    assert report["co_occurrence"]["Mass"]["Nodule"] == 1
    assert report["co_occurrence"]["Mass"]["Hernia"] == 0
    assert report["shift"]["Mass"] is None
    assert report["shared_patients"] == 0


def test_labels_only_needs_no_image_and_says_nothing_of_missing_ones(tmp_path):
    report = audited(write_tiny_nih(tmp_path), split=VAL)

    assert report["missing_images"] is None
    assert report["extra_images"] is None
    assert "fingerprint" not in report


def test_missing_and_extra_images_are_counted_where_a_part_is_enough(tmp_path):
    write_tiny_nih(tmp_path)
    there = [image_name(i) for i in (1, 2, 3, 6)]
    write_images(tmp_path / "images", [*there, "stranger.png"])

    report = audited(
        tmp_path,
        labels_only=False,
        dataset={"images": tmp_path, "partial": True},
        split=VAL,
    )

    assert (report["images"], report["missing_images"], report["extra_images"]) == (4, 3, 1)
    assert report["partial"] is True
    assert len(report["fingerprint"]) == 64
    assert "Only 4 of the table's 7 images" in report["warnings"][0]


def test_lesions_are_measured_at_the_chosen_input_size(tmp_path):
    write_tiny_nih(tmp_path)

    small = audited(tmp_path, split=VAL, image={"size_px": 224})
    large = audited(tmp_path, split=VAL, image={"size_px": 1024})

    assert small["lesions"] == {
        "Nodule": {
            "boxes": 1,
            "median_px_at_input": [14.0, 12.25],
            "share_smaller_than_cell": 1.0,
            "share_under_8_px": 0.0,
            "tenth_longer_px": 14.0,
            "median_longer_px": 14.0,
        }
    }
    assert large["lesions"]["Nodule"]["share_smaller_than_cell"] == 0.0
    few_pixels = answer_of(small, "lesions-few-pixels")
    assert "Nodule (14×12 px)" in few_pixels["text"]
    assert few_pixels["changes"] == ["image.size_px=256"]
    assert answer_of(small, "lesions-under-a-cell")["changes"] == ["image.size_px=512"]
    assert not [answer for answer in large["health"] if "lesions" in answer["check"]]


def test_findings_without_a_positive_and_with_few_patients_are_told(tmp_path):
    report = audited(write_tiny_nih(tmp_path), split=VAL)

    never = answer_of(report, "never-positive")
    assert never["severity"] == "warning"
    assert never["text"].startswith("train has no positive image of")
    undefined = answer_of(report, "auroc-undefined")
    assert undefined["evidence"]["findings_in_val"] == 14
    few = answer_of(report, "patients-few")
    assert few["severity"] == "note"
    assert "Mass (1) and Nodule (1) in test" in few["text"]
    assert few["evidence"] == {"fewest_in_test": 1}


def test_shared_patients_are_counted_and_come_first(tmp_path):
    write_tiny_nih(tmp_path)
    write_lines(tmp_path / "test_list.txt", [image_name(5), image_name(6), image_name(1)])
    write_lines(tmp_path / "train_val_list.txt", [image_name(i) for i in (1, 2, 3, 4)])

    report = audited(tmp_path, split=VAL)

    assert report["shared_patients"] == 1
    assert report["health"][0]["severity"] == "stop"
    assert "1 patient is in more than one part" in report["health"][0]["text"]


def test_a_table_without_ages_and_views_says_null(tmp_path):
    path = write_lines(
        tmp_path / "t.csv",
        ["image,patient,Mass", *(f"{i}.png,{i},{'' if i == 9 else i % 2}" for i in range(1, 10))],
    )

    report = audited(
        tmp_path,
        dataset={"labels": path, "findings": ["Mass"]},
        split={"by": "patient", "train": 0.4, "val": 0.3, "test": 0.3},
    )

    part = report["parts"]["train"]
    assert (part["views"], part["sexes"], part["median_age_years"]) == (None, None, None)
    assert part["no_finding"] is None
    assert sum(each["findings"]["Mass"]["known"] for each in report["parts"].values()) == 8
    assert report["lesions"] == {}


def test_the_draws_of_a_rows_order_make_no_difference(tmp_path):
    rows = [row_v2020(i, 0, "Mass" if i % 3 else "No Finding") for i in range(1, 40)]
    parts = []
    for folder, ordered in (("a", rows), ("b", rows[::-1])):
        (tmp_path / folder).mkdir()
        index_of(tmp_path / folder, ordered)
        parts.append(audited(tmp_path / folder, split={"by": "patient"})["parts"])

    assert parts[0] == parts[1]


@needs_nih
def test_nihs_audit_equals_its_published_numbers():
    report = audited(Path(str(NIH)))

    assert (report["images"], report["patients"]) == (112_120, 30_805)
    parts = report["parts"]
    both = [parts["train"], parts["val"]]
    assert sum(part["images"] for part in both) == 86_524
    assert sum(part["patients"] for part in both) == 28_008
    assert (parts["test"]["images"], parts["test"]["patients"]) == (25_596, 2_797)

    def percent(finding: str) -> tuple[float, float]:
        positives = sum(part["findings"][finding]["positives"] for part in both)
        return (
            round(100 * positives / 86_524, 2),
            round(100 * parts["test"]["findings"][finding]["prevalence"], 2),
        )

    assert percent("Pneumothorax") == (3.05, 10.41)
    assert percent("Effusion") == (10.01, 18.20)
    none = sum(part["no_finding"]["images"] for part in both)
    assert round(100 * none / 86_524, 1) == 58.4
    assert round(100 * parts["test"]["no_finding"]["share"], 1) == 38.5
    assert report["shared_patients"] == 0
    assert report["lesions"]["Cardiomegaly"]["boxes"] == 146
    assert sum(lesions["boxes"] for lesions in report["lesions"].values()) == 984
    assert "Pneumothorax (3.05 % to 10.41 %)" in answer_of(report, "prevalence-shift")["text"]
    assert any("57 % of test is AP and 35 % of train" in each for each in report["warnings"])


@needs_nih
def test_a_draw_by_patient_says_by_which_version_of_nihs_table():
    tables = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
    reports = [
        audited(Path(str(NIH)), dataset={"labels": f"{NIH}/{table}"}, split={"by": "patient"})
        for table in tables
    ]

    assert "by the labels of NIH v2020" in reports[0]["split"]["note"]
    assert "by the labels of NIH 2017" in reports[1]["split"]["note"]
    assert reports[0]["parts"]["val"]["patients"] == reports[1]["parts"]["val"]["patients"]
    assert reports[0]["parts"]["val"]["images"] != reports[1]["parts"]["val"]["images"]
    assert audited(Path(str(NIH)))["split"]["note"] is None  # the lists are the same for both


def test_a_table_with_one_version_alone_has_no_such_note(tmp_path):
    index_of(tmp_path, [row_v2020(i) for i in range(1, 40)])

    assert audited(tmp_path, split={"by": "patient"})["split"]["note"] is None


def test_what_was_repaired_or_dropped_stands_in_the_text_as_in_the_json(tmp_path, capsys):
    rows = [row_v2020(i, age="414" if i == 7 else "57") for i in range(1, 40)]
    write_v2020(tmp_path / "Data_Entry_2017_v2020.csv", rows)
    boxes = [f"{image_name(i)},Infiltrate,900,{10 * i},200,50" for i in range(1, 12)]
    write_boxes(tmp_path / "BBox_List_2017.csv", [*boxes, "other.png,Mass,1,2,30,40"])
    arguments = ["nih-14", "--labels-only", "--set", f"dataset.images={tmp_path}"]

    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())

    assert [count["images"] for count in found["counts"] if count["images"]] == [1, 11, 11, 1]
    for count in found["counts"]:
        said = f"{count['reason']}, such as {count['examples'][0]}" if count["examples"] else ""
        assert (f"· {count['images']} × {said}" if said else f"· {count['reason']}") in text
    assert "11 of 12 boxes reach past the image's edge" in text


@needs_nih
def test_all_boxed_nih_images_are_in_the_official_test_part():
    recipe = Recipe.model_validate({"dataset": {"images": NIH}})
    sources = locate_sources(recipe, cache=Path("unused"), labels_only=True)
    index = build_index(recipe, sources, labels_only=True)
    split = make_split(index, recipe.split, sources)

    boxed = set(read_boxes(sources.boxes).image)

    assert len(boxed) == 880
    assert boxed <= set(index.images[split.rows["test"]])


def test_an_audits_modules_load_neither_torch_nor_pandas_nor_scikit_learn():
    code = (
        "import sys, core.data.study.audit, core.data.study.subset, core.data.tables.boxes;"
        "print(sorted({'torch', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
