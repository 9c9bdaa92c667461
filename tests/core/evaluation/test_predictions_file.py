"""Predictions on disk: our own files come back exactly; anybody's CSV is judged or refused."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.errors import DataError, RunFailedError
from core.evaluation.joining import join_predictions
from core.evaluation.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from core.evaluation.score_file import file_columns, read_scores

FINDINGS = ("Mass", "Infiltration", "Pleural_Thickening")


def predictions_of(labels, scores, patients, findings=("Mass", "Hernia")):
    images = np.array([f"{row:08d}_000.png" for row in range(len(patients))], dtype=object)
    return Predictions(images, np.array(patients, dtype=np.int64), findings, labels, scores)


@settings(deadline=None)  # the first call imports pandas
@given(st.data(), st.integers(0, 12))
def test_what_is_written_comes_back_bit_for_bit(tmp_path_factory, data, images):
    shape = (images, 2)
    written = predictions_of(
        data.draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0, np.nan]))),
        data.draw(arrays(np.float64, shape, elements=st.floats(0, 1))),
        data.draw(st.lists(st.integers(-1, 40_000), min_size=images, max_size=images)),
    )
    path = tmp_path_factory.mktemp("predictions") / "test.csv"
    write_predictions(path, written)
    read = read_predictions(path)
    assert read.findings == written.findings
    assert read.images.tolist() == written.images.tolist()
    assert read.patients.tolist() == written.patients.tolist()
    assert read.scores_NF.dtype == np.float64
    assert read.scores_NF.tobytes() == written.scores_NF.tobytes()
    np.testing.assert_array_equal(read.labels_NF, written.labels_NF)


def test_a_predictions_file_has_the_columns_of_the_contract(tmp_path):
    labels = np.array([[1, np.nan]], dtype=np.float32)
    scores = np.array([[0.1, 0.25]])
    write_predictions(tmp_path / "val.csv", predictions_of(labels, scores, [17]))
    assert (tmp_path / "val.csv").read_text() == (
        "Image Index,Patient ID,Mass,prob_Mass,Hernia,prob_Hernia\n"
        "00000000_000.png,17,1,0.1,,0.25\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["val.csv"]


def test_scores_that_are_not_finite_are_refused_by_finding():
    labels = np.zeros((2, 2), dtype=np.float32)
    scores = np.array([[0.1, np.nan], [0.2, 0.3]], dtype=np.float32)
    with pytest.raises(RunFailedError, match="scores of Hernia are not finite"):
        predictions_of(labels, scores, [1, 2])


def test_a_file_that_is_no_sessions_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("Image Index,Mass\na.png,0.5\n")
    with pytest.raises(DataError, match="not a predictions file of a session"):
        read_predictions(tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.png,1,1,0.5,0", "line 3: 5 fields where the header has 6"),
        ("b.png,1,1,0.5,0,0.5,0", "line 3: 7 fields where the header has 6"),
        ("b.png,1,1.0,0.5,0,0.5", "line 3: a label is '1.0'"),
        ("b.png,1,1,0.5,0,1e999", "line 3: 'prob_Hernia' is '1e999'"),
        ("b.png,1,1,0.5,0,", "line 3: 'prob_Hernia' is empty"),
        ("b.png,1.0,1,0.5,0,0.5", "line 3: Patient ID is '1.0'"),
    ],
)
def test_a_damaged_file_of_a_session_is_refused_by_its_line(tmp_path, row, message):
    path = tmp_path / "test.csv"
    header = "Image Index,Patient ID,Mass,prob_Mass,Hernia,prob_Hernia"
    path.write_text(f"{header}\na.png,1,1,0.5,0,0.5\n{row}\n")
    with pytest.raises(DataError, match=re.escape(message)):
        read_predictions(path)
    path.write_text(f"{header}\n{row}\na.png,1,1,0.5,0,0.5\n")
    with pytest.raises(DataError, match=re.escape(message.replace("line 3", "line 2"))):
        read_predictions(path)


@pytest.mark.parametrize("row", ["a.png,1,1,0.9\0", "a.png,1,1,0.9\x007", "a\0.png,1,1,0.9"])
def test_predictions_with_a_nul_byte_is_refused(tmp_path, row):
    path = tmp_path / "test.csv"
    path.write_text(f"Image Index,Patient ID,Mass,prob_Mass\n{row}\n")
    with pytest.raises(DataError, match=r"test\.csv"):
        read_predictions(path)


# Anybody's CSV


def join(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "theirs.csv"
    path.write_text(text, encoding=encoding)
    return join_predictions(
        path,
        images=np.array(["a.png", "b.png", "c.png"], dtype=object),
        patients=np.array([1, 1, 2]),
        findings=FINDINGS,
        labels_NF=np.array([[1, 0, np.nan], [0, 1, 0], [0, 0, 1]], dtype=np.float32),
    )


def test_prob_x_is_the_score_and_x_beside_it_a_label(tmp_path):
    joined = join(tmp_path, "Image Index,Mass,prob_Mass\nb.png,1,0.2\na.png,0,0.7\n")
    assert joined.predictions.scores_NF.tolist() == [[0.7], [0.2]]
    assert joined.predictions.labels_NF.tolist() == [[1], [0]]  # the label table's, not theirs
    assert joined.ignored_columns == ()


def test_without_prob_x_the_column_x_is_the_score(tmp_path):
    joined = join(tmp_path, "Image Index,Infiltrate,prob_Mass\na.png,0.4,0.7\nb.png,0.3,0.6\n")
    assert joined.predictions.findings == ("Mass", "Infiltration")
    assert joined.predictions.scores_NF.tolist() == [[0.7, 0.4], [0.6, 0.3]]


def test_rows_follow_the_label_table_and_carry_its_patients(tmp_path):
    joined = join(
        tmp_path, "prob_pleural thickening,Image Index\n0.9,c.png\n0.1,b.png\n", "utf-8-sig"
    )
    assert joined.predictions.images.tolist() == ["b.png", "c.png"]
    assert joined.predictions.patients.tolist() == [1, 2]
    assert joined.table_rows.tolist() == [1, 2]
    assert joined.predictions.labels_NF.tolist() == [[0], [1]]


def test_what_was_left_out_is_counted_and_named(tmp_path):
    joined = join(
        tmp_path,
        "Image Index,prob_Mass,prob_Fracture,age\n"
        "a.png,0.5,0.1,60\nb.png,0.4,0.1,60\nb.png,0.4,0.1,60\nz.png,0.3,0.1,60\n",
    )
    assert joined.ignored_columns == ("prob_Fracture", "age")
    warnings = " | ".join(joined.warnings)
    assert "1 of 3 images with predictions are not in the label table" in warnings
    assert "'z.png'" in warnings
    assert "1 rows repeat an image" in warnings
    assert "'prob_Fracture', 'age'" in warnings
    assert "no column for Infiltration, Pleural_Thickening" in warnings


def test_a_clean_file_of_part_of_the_images_has_no_warning(tmp_path):
    text = "Image Index,prob_Mass,prob_Infiltration,prob_Pleural_Thickening\na.png,0.1,0.2,0.3\n"
    assert join(tmp_path, text).warnings == ()


def test_logits_are_taken_with_a_warning(tmp_path):
    joined = join(tmp_path, "Image Index,Mass,Infiltration\na.png,-2.5,0.5\nb.png,3.0,0.1\n")
    assert joined.predictions.scores_NF[:, 0].tolist() == [-2.5, 3.0]
    assert any("scores of Mass lie outside 0 … 1" in warning for warning in joined.warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Image,prob_Mass\na.png,0.5\n",
            "line 1: no column 'Image Index'; found 'Image', 'prob_Mass'",
        ),
        ("Image Index;prob_Mass\na.png;0.5\n", "separate columns by commas"),
        ("<!DOCTYPE html>\n<html></html>\n", "no column 'Image Index'"),
        ("", "the file is empty"),
        ("Image Index,prob_Mas\na.png,0.5\n", "line 1: no column prob_<Finding> or <Finding>"),
        ("Image Index,Infiltrate,Infiltration\na.png,0.5,0.5\n", "are both Infiltration"),
        ("Image Index,prob_Mass\na.png,0.5\nb.png,high\n", "line 3: 'prob_Mass' is 'high'"),
        ("Image Index,prob_Mass\na.png,\n", "line 2: 'prob_Mass' is empty"),
        ("Image Index,prob_Mass\na.png,nan\n", "line 2: 'prob_Mass' is 'nan'"),
        ("Image Index,prob_Mass\na.png,-inf\n", "line 2: 'prob_Mass' is '-inf'"),
        ("Image Index,prob_Mass\na.png,1_0\n", "line 2: 'prob_Mass' is '1_0'"),
        ("Image Index,prob_Mass\na.png\n", "line 2: 1 fields where the header has 2"),
        ("Image Index,prob_Mass\n,0.5\n", "line 2: Image Index is empty"),
        (
            "Image Index,prob_Mass\na.png,0.5\nb.png,0.1\na.png,0.6\n",
            "line 4: image 'a.png' has different scores",
        ),
        ("Image Index,prob_Mass\nx/a.png,0.5\n", "none of its 1 images is in the label table"),
    ],
)
def test_a_file_that_cannot_be_judged_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError) as refusal:
        join(tmp_path, text)
    assert message in str(refusal.value)
    assert "theirs.csv" in str(refusal.value)


def test_a_misspelt_finding_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'Mass'"):
        join(tmp_path, "Image Index,prob_Mas\na.png,0.5\n")


def test_a_file_in_utf_16_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(DataError, match="UTF-8"):
        join(tmp_path, "Image Index,prob_Mass\na.png,0.5\n", "utf-16")
    with pytest.raises(DataError, match="No such file"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("tensor(0.91)", "Write the number alone, 0.91"),
        ("np.float32(0.91)", "Write the number alone, 0.91"),
        ("tensor([0.91], device='cuda:0')", "Write the number alone, 0.91"),
        ("[0.91]", "Write the number alone, 0.91"),
        ('"0,91"', "Use a decimal point: 0.91"),
        ("91 %", "without its percent sign"),
        ("inf", "a logit that overflowed"),
        ("nan", "Leave the row out"),
        ("", "Leave the row out"),
        ("high", "Write one number, such as 0.91"),
    ],
)
def test_the_remedy_for_a_score_fits_what_stands_there(tmp_path, cell, remedy):
    quoted = cell if "," not in cell or cell.startswith('"') else f'"{cell}"'
    path = tmp_path / "scores.csv"
    path.write_text(f"Image Index,prob_Mass\na.png,0.5\nb.png,{quoted}\n")
    with pytest.raises(DataError, match="line 3: 'prob_Mass'") as refused:
        read_scores(path, file_columns(path, ["Mass"]))
    assert remedy in str(refused.value)
    assert sum(word in str(refused.value) for word in ("Write", "Leave", "decimal point")) == 1
