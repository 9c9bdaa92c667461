"""The box table, boxes at other sizes, and how large lesions are."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import image_name, write_boxes, write_lines

from core.data.tables.boxes import Boxes, boxes_at, lesion_sizes, read_boxes
from core.errors import DataError

NIH = os.environ.get("CXR_NIH_DIR")


def box_row(patient: int, finding: str = "Mass", box: str = "10,20,30,40", tail: str = "") -> str:
    return f"{image_name(patient)},{finding},{box}{tail}"


def test_nihs_ragged_header_and_infiltrate_are_read(tmp_path):
    path = write_boxes(
        tmp_path / "b.csv", [box_row(1), box_row(2, "Infiltrate", "1.5,2.5,100,50", ",,")]
    )

    boxes = read_boxes(path)

    assert list(boxes.finding) == ["Mass", "Infiltration"]
    assert boxes.of(image_name(2), "Infiltration").tolist() == [[1.5, 2.5, 100, 50]]
    assert boxes.of(image_name(2), "Mass").shape == (0, 4)
    reasons = {count.reason: count.images for count in boxes.counts}
    assert reasons["finding of a box spelled otherwise than by NIH"] == 1


def test_boxes_on_images_the_table_does_not_name_are_dropped_and_counted(tmp_path):
    path = write_boxes(tmp_path / "b.csv", [box_row(1), box_row(2), box_row(3)])

    boxes = read_boxes(path, known_images={image_name(2)})

    assert list(boxes.image) == [image_name(2)]
    count = boxes.counts[-1]
    assert (count.images, count.examples) == (2, (image_name(1), image_name(3)))


def test_boxes_as_shares_of_the_image_are_refused_as_what_they_are(tmp_path):
    rows = [box_row(n, box=f"0.{n},0.2,0.3,0.{9 - n}") for n in range(1, 5)]
    with pytest.raises(DataError) as caught:
        read_boxes(write_boxes(tmp_path / "b.csv", rows))
    assert "all 4 boxes lie within 0 … 1: they are shares of the image" in str(caught.value)
    assert "Multiply them by 1024" in str(caught.value)


def test_boxes_that_all_lie_in_one_corner_are_told(tmp_path):
    rows = [box_row(n, box=f"{20 * n},100,30,110") for n in range(9)]
    (told,) = read_boxes(write_boxes(tmp_path / "b.csv", rows)).warnings
    assert "All 9 boxes lie in the upper left corner, within 210 of 1024 pixels" in told
    with_one_elsewhere = [*rows, box_row(9, box="700,700,40,40")]
    assert read_boxes(write_boxes(tmp_path / "b.csv", with_one_elsewhere)).warnings == ()


def test_corners_in_place_of_width_and_height_are_told(tmp_path):
    rows = [box_row(n, box=f"{90 * n},400,{90 * n + 80},500") for n in range(9)]
    (told,) = read_boxes(write_boxes(tmp_path / "b.csv", rows)).warnings
    assert "3 of 9 boxes reach past the image's edge" in told
    assert "lower right corner, not width and height" in told


def test_boxes_past_the_edge_are_cut_off_and_counted(tmp_path):
    path = write_boxes(
        tmp_path / "b.csv", [box_row(1, box="1000,-10,100,50"), box_row(2, box="0,0,1024,1024")]
    )

    boxes = read_boxes(path)

    assert boxes.of(image_name(1), "Mass").tolist() == [[1000, 0, 24, 40]]
    assert boxes.of(image_name(2), "Mass").tolist() == [[0, 0, 1024, 1024]]
    assert boxes.counts[-1].images == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (box_row(2, box="1,2,0,5"), "empty or outside"),
        (box_row(2, box="1,2,-3,5"), "empty or outside"),
        (box_row(2, box="2000,2,3,5"), "empty or outside"),
        (box_row(2, box="1,,3,5"), "the box's y is '', not a number"),
        (box_row(2, box="1,2,nan,5"), "the box's w is 'nan', not a number"),
        (box_row(2, box="1,2,3,inf"), "the box's h is 'inf', not a number"),
        (box_row(2, "Massive"), "unknown finding 'Massive'. Did you mean 'Mass'?"),
        (box_row(2).replace("0", "../", 1), "'..'"),
    ],
)
def test_a_bad_box_is_refused_with_its_line(tmp_path, row, says):
    path = write_boxes(tmp_path / "b.csv", [box_row(1), row])

    with pytest.raises(DataError) as error:
        read_boxes(path)

    assert says in str(error.value)
    assert "line 3" in str(error.value)


def test_a_box_table_without_heights_is_refused(tmp_path):
    path = write_lines(tmp_path / "b.csv", ["Image Index,Finding Label,x,y,w", "a.png,Mass,1,2,3"])

    with pytest.raises(DataError, match="no column 'h'"):
        read_boxes(path)


sizes_px = st.integers(32, 1024)
spans = st.tuples(st.floats(0, 1000), st.floats(0.1, 24))


@given(st.lists(st.tuples(spans, spans), min_size=1, max_size=8), sizes_px, sizes_px)
def test_scaled_boxes_keep_their_share_of_the_image(spans_of_boxes, first_px, second_px):
    x, w, y, h = np.array([[*across, *down] for across, down in spans_of_boxes]).T
    names = np.array([f"{i}.png" for i in range(len(x))], dtype=object)
    boxes = Boxes(names, np.full(len(x), "Mass", dtype=object), x=x, y=y, w=w, h=h)

    once = boxes_at(boxes, second_px)
    by_steps = boxes_at(boxes_at(boxes, first_px), second_px)

    for axis in ("x", "y", "w", "h"):
        share = getattr(boxes, axis) / 1024
        assert getattr(once, axis) == pytest.approx(share * second_px)
        assert getattr(by_steps, axis) == pytest.approx(getattr(once, axis))
    assert (once.x + once.w <= second_px + 1e-6).all()


def test_a_lesion_is_smaller_than_a_cell_when_both_its_sides_are(tmp_path):
    # At an input of 256 pixels a cell covers 128 of the table's 1024.
    path = write_boxes(
        tmp_path / "b.csv",
        [
            box_row(1, box="0,0,127,127"),
            box_row(2, box="0,0,127,129"),
            box_row(3, box="0,0,128,128"),
            box_row(4, box="0,0,40,8"),
        ],
    )

    sizes = lesion_sizes(read_boxes(path), size_px=256)

    assert set(sizes) == {"Mass"}
    assert sizes["Mass"].boxes == 4
    assert sizes["Mass"].share_smaller_than_cell == 0.5
    assert sizes["Mass"].median_w_px == 127 / 4
    assert sizes["Mass"].median_h_px == 127.5 / 4


@pytest.mark.skipif(not NIH, reason="CXR_NIH_DIR names no copy of NIH's files")
def test_nihs_boxes_have_their_published_numbers():
    boxes = read_boxes(Path(str(NIH)) / "BBox_List_2017.csv")

    assert (len(boxes), len(set(boxes.image))) == (984, 880)
    medians = {
        finding: (round(sizes.median_w_px), round(sizes.median_h_px))
        for finding, sizes in lesion_sizes(boxes, 1024).items()
    }
    assert medians == {
        "Nodule": (70, 68),
        "Mass": (120, 141),
        "Atelectasis": (171, 118),
        "Pneumothorax": (201, 206),
        "Effusion": (208, 277),
        "Infiltration": (228, 265),
        "Pneumonia": (229, 275),
        "Cardiomegaly": (478, 382),
    }
    assert not [count for count in boxes.counts if "edge" in count.reason]
