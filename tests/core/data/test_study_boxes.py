"""Boxes and masks of VinDr, RSNA and SIIM, as maps are compared with them."""

import csv

import numpy as np
import pytest
from dicoms import write_dicom
from PIL import Image

from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.data.study.study import audit_study
from core.data.study.study_boxes import study_boxes
from core.errors import DataError
from core.recipe_toml import load_recipe

SIDE = 1024
VINDR = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")


def boxes_of(recipe, *settings, cache, labels_only=False):
    made = load_recipe(recipe, settings)
    sources = locate_sources(made, cache=cache, labels_only=labels_only)
    return study_boxes(build_index(made, sources, labels_only=labels_only), sources)


def written(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def vindr(folder, height_px=400, width_px=200):
    """One image of three readers: two saw an effusion, one a nodule."""
    rows = [
        ("a", "Pleural effusion", 10, "R1", "20.0", "100.0", "60.0", "300.0"),
        ("a", "Pleural effusion", 10, "R2", "30.0", "100.0", "60.0", "300.0"),
        ("a", "Nodule/Mass", 8, "R3", "1.0", "1.0", "9.0", "9.0"),
        *(("b", "No finding", 14, reader, "", "", "", "") for reader in ("R1", "R2", "R3")),
    ]
    for name in "ab":
        pixels = np.zeros((height_px, width_px), np.uint16)
        write_dicom(folder / "train" / f"{name}.dicom", pixels)
    return written(folder / "train.csv", VINDR, *rows)


def test_vindrs_boxes_are_in_pixels_of_the_dicom_and_count_by_the_readers_rule(tmp_path):
    vindr(tmp_path)
    named = f"dataset.images={tmp_path}"
    boxes = boxes_of("vindr", named, cache=tmp_path)
    assert set(boxes.finding) == {"Effusion"}, "one reader of three is no majority"
    first, second = boxes.of("a", "Effusion")
    assert first == pytest.approx([20 / 200 * SIDE, 100 / 400 * SIDE, 0.2 * SIDE, 0.5 * SIDE])
    assert second[0] == pytest.approx(30 / 200 * SIDE)
    by_any = boxes_of("vindr", named, "labels.readers=any", cache=tmp_path)
    assert set(by_any.finding) == {"Effusion", "Nodule or Mass"}


def test_resized_copies_of_vindr_need_the_table_of_original_sizes(tmp_path):
    vindr(tmp_path)
    for name in "ab":
        (tmp_path / "train" / f"{name}.dicom").unlink()
        Image.new("L", (64, 64)).save(tmp_path / "train" / f"{name}.png")
    named = f"dataset.images={tmp_path}"
    assert boxes_of("vindr", named, cache=tmp_path) is None
    written(tmp_path / "train_meta.csv", ("image_id", "dim0", "dim1"), ("a", 400, 200))
    boxes = boxes_of("vindr", named, cache=tmp_path)
    assert boxes.of("a", "Effusion")[0][0] == pytest.approx(20 / 200 * SIDE)


def test_vindrs_boxes_outside_their_images_are_told(tmp_path):
    vindr(tmp_path, height_px=200, width_px=25)
    boxes = boxes_of("vindr", f"dataset.images={tmp_path}", cache=tmp_path)
    assert len(boxes) == 1
    told = {count.reason.partition(",")[0]: count.images for count in boxes.counts}
    assert told == {"box outside its image": 1, "box cut off at the image's edge": 1}


def test_rsnas_boxes_are_those_of_its_label_table(tmp_path):
    table = written(
        tmp_path / "t.csv",
        ("patientId", "x", "y", "width", "height", "Target"),
        ("a", "10.0", "20.0", "30.0", "40.0", 1),
        ("a", "500", "20", "30", "40", 1),
        ("b", "", "", "", "", 0),
        *((f"c{number}", "", "", "", "", 0) for number in range(4)),
    )
    named = f"dataset.labels={table}"
    boxes = boxes_of("rsna", named, cache=tmp_path, labels_only=True)
    for finding in ("Pneumonia", "Lung Opacity"):
        assert boxes.of("a", finding).tolist() == [[10, 20, 30, 40], [500, 20, 30, 40]]
    report = audit_study(load_recipe("rsna", [named]), tmp_path, labels_only=True)
    assert report["lesions"]["Pneumonia"]["boxes"] == 2
    table.write_text(table.read_text().replace("500", "wide"))
    spoilt = boxes_of("rsna", named, cache=tmp_path, labels_only=True)
    assert len(spoilt) == 0
    assert "the box's x is 'wide'" in spoilt.warnings[0]
    with pytest.raises(DataError, match="line 3: the box's x is 'wide'"):
        boxes_of("rsna", named, f"dataset.boxes={table}", cache=tmp_path, labels_only=True)


def runs_of(mask_HW):
    """SIIM's run lengths of a mask, down the columns, each start from the end of the run before."""
    flat = np.concatenate([[0], mask_HW.T.ravel().astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    before = np.concatenate([[0], ends[:-1]])
    return " ".join(f"{s - b} {e - s}" for s, e, b in zip(starts, ends, before, strict=True))


@pytest.mark.parametrize("bottom", [700, SIDE])
def test_a_box_stands_around_each_of_siims_masks(tmp_path, bottom):
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    ellipse = ((x - 300) / 40) ** 2 + ((y - 600) / 90) ** 2 < 1
    bar = (x >= 800) & (x < 803) & (y >= 20) & (y < bottom)
    table = written(
        tmp_path / "t.csv",
        ("ImageId", " EncodedPixels"),
        ("a", f" {runs_of(ellipse)}"),
        ("a", f" {runs_of(bar)}"),
        ("b", " -1"),
        ("c", " 1048570 99"),
    )
    settings = [
        *("dataset.kind=siim", "dataset.findings=Pneumothorax", "dataset.patient_from=image"),
        f"dataset.labels={table}",
    ]
    outside = boxes_of("nih-14", *settings, cache=tmp_path, labels_only=True)
    assert "lies outside an image" in outside.warnings[0]
    table.write_text(table.read_text().replace("1048570 99", "-1"))
    boxes = boxes_of("nih-14", *settings, cache=tmp_path, labels_only=True)
    rows, columns = np.nonzero(ellipse)
    around = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert boxes.of("a", "Pneumothorax").tolist() == [around, [800, 20, 3, bottom - 20]]


def test_boxes_of_data_sets_trained_together_keep_their_source(tmp_path, phantom_dir):
    vindr(tmp_path)
    several = [
        f"datasets.0.images={phantom_dir}",
        *(f"datasets.1.images={tmp_path}", "datasets.1.patient_from=image"),
        "datasets.1.findings=Effusion",
    ]
    boxes = boxes_of("nih-14", *several, cache=tmp_path)
    assert len(boxes.of("vindr/a", "Effusion")) == 0, "named after its place: no kind is given"
    assert len(boxes.of("set-2/a", "Effusion")) == 2
    assert sum(name.startswith("set-1/") for name in boxes.image) > 10
