"""Each file of the DICOM fixture: the picture that it must give, or a refusal."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images.decode import UndecodableImage, decode_grey
from core.data.images.refusal import is_no_picture
from core.data.images.repair import Repair

FILES = Path(__file__).parent / "dicom_files"
with (FILES / "expected.csv").open(newline="") as table:
    ROWS = {row["file"]: row for row in csv.DictReader(table)}

# What is decided where the table leaves a choice: (picture or refusal, repair or reason).
DECIDED: dict[str, str | Repair] = {
    "odd/values_above_bits_stored.dcm": Repair.BITS_ABOVE_STORED,
    "odd/padding_value.dcm": Repair(0),
    "odd/two_frames.dcm": "2 frames: no plain radiograph",
    "broken/no_preamble.dcm": Repair.SYNTAX_GUESSED,
    "broken/no_transfer_syntax.dcm": Repair.SYNTAX_GUESSED,
}
REPAIRED = {
    "grey/mono1_12bit_wrong_shape.dcm": Repair.SHAPE_CONTRADICTS,
    "voi/window_of_width_one.dcm": Repair.WINDOW_UNUSABLE,
    "odd/overlay_in_unused_bits.dcm": Repair.BITS_ABOVE_STORED,
    "odd/burned_in.dcm": Repair.BURNED_IN,
}
REASONS = {
    "odd/constant.dcm": "constant image",
    "broken/cut_off.dcm": "truncated",
    "broken/no_pixels.dcm": "a DICOM file without pixel data",
    "broken/not_dicom.dcm": "an HTML page, not an image",
    "broken/structured_report.dcm": "no picture: a structured report",
    "broken/rows_too_many.dcm": "its header is wrong",
    "broken/huge_by_header.dcm": "65,535×65,535 pixels: refused by its header",
    "export/DICOMDIR": "no picture: a DICOMDIR",
}


def picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(FILES / "expected" / f"{name}.png")).astype(int)


def test_the_table_has_all_64_files() -> None:
    assert len(ROWS) == 64


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row["outcome"] == "image"])
def test_a_file_gives_the_picture_that_was_drawn(name: str) -> None:
    image = decode_grey(FILES / name, name)
    assert image.repairs == REPAIRED.get(name, Repair(0))
    if ROWS[name]["expect"]:
        difference_HW = np.abs(image.pixels_HW - picture(ROWS[name]["expect"]))
        assert difference_HW.max() <= int(ROWS[name]["tolerance"])
    assert image.mode in ("DICOM", "RGB")


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row["outcome"] == "refuse"])
def test_a_file_without_a_picture_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UndecodableImage, match=name) as caught:
        decode_grey(FILES / name, name)
    assert REASONS[name] in caught.value.reason


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row["outcome"] == "decide"])
def test_where_there_is_a_choice_the_outcome_is_counted(name: str) -> None:
    decided = DECIDED[name]
    if isinstance(decided, str):
        with pytest.raises(UndecodableImage) as caught:
            decode_grey(FILES / name, name)
        assert caught.value.reason == decided
        return
    image = decode_grey(FILES / name, name)
    assert image.repairs == decided
    if decided == Repair.BITS_ABOVE_STORED:
        return  # its hard edges look smoother masked; see test_dicom.py for a chest's gradients
    # What is no tissue takes no part in the range, so that the rest agrees with the drawing.
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(image.pixels_HW[inner] - picture("front")[inner]).max() <= 1


def test_reports_and_tables_of_contents_are_passed_by_and_not_damaged() -> None:
    passed_by = {name for name, reason in REASONS.items() if is_no_picture(reason)}
    assert passed_by == {"broken/structured_report.dcm", "export/DICOMDIR"}
