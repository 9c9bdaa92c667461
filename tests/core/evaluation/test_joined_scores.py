"""Anybody's file joined to a label table: labels in it, rows out of step."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from simulated_scores import nih_like

from core.data.tables.label_table import read_label_table
from core.errors import DataError
from core.evaluation.joining import join_predictions
from core.findings import FINDINGS
from core.health.diagnosis import Severity
from core.health.scored_labels import check_scored_labels, were_mined
from core.health.scores import check_scores


@pytest.fixture(scope="module")
def small():
    return nih_like(280, seed=2)


def rng():
    return np.random.default_rng(0)


def table_of(path, predictions, labels_NF=None, *, version="v2020"):
    """A label table in NIH's form."""
    labels_NF = predictions.labels_NF if labels_NF is None else labels_NF
    age = "058Y" if version == "2017" else "58"
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"])
        for image, patient, labels in zip(
            predictions.images, predictions.patients, labels_NF, strict=True
        ):
            words = [name for name, label in zip(FINDINGS, labels, strict=True) if label]
            rows.writerow([image, "|".join(words) or "No Finding", 0, patient, age])
    return path


def joined(folder, predictions, columns, table, rows=None):
    """The file with these columns of values, by name, joined to the table."""
    order = range(len(predictions.images)) if rows is None else rows
    file = folder / "mine.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Image Index", *columns])
        values = np.column_stack(list(columns.values())).tolist()
        writer.writerows([predictions.images[row], *values[row]] for row in order)
    read = read_label_table(table)
    return (
        join_predictions(
            file,
            images=read.images_N,
            patients=read.patients_N,
            findings=read.findings,
            labels_NF=read.labels_NA,
        ),
        read,
    )


def scores_by_name(predictions, names=FINDINGS, prefix="prob_", suffix=""):
    return {
        f"{prefix}{name}{suffix}": predictions.scores_NF[:, FINDINGS.index(name)] for name in names
    }


def labels_by_name(predictions, names=FINDINGS):
    return {name: predictions.labels_NF[:, FINDINGS.index(name)].astype(int) for name in names}


def of_labels(found):
    return [(answer.check, answer.severity) for answer in check_scored_labels(*found)]


def test_labels_in_the_place_of_scores_are_refused_and_the_scores_named(small, tmp_path):
    columns = labels_by_name(small) | scores_by_name(small, prefix="", suffix="_pred")
    with pytest.raises(DataError, match="are the labels themselves") as refused:
        joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    assert "'Atelectasis_pred'" in str(refused.value)


def test_labels_beside_the_scores_of_half_the_findings_are_not_scored(small, tmp_path):
    columns = labels_by_name(small) | scores_by_name(small, FINDINGS[:7])
    both, table = joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    assert both.predictions.findings == FINDINGS[:7]
    assert any("read as labels, not scored" in warning for warning in both.warnings)
    assert of_labels((both, table)) == []


def test_scores_without_a_prefix_beside_some_with_it_are_scored(small, tmp_path):
    columns = scores_by_name(small, FINDINGS[:7]) | scores_by_name(small, FINDINGS[7:], prefix="")
    both, _ = joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    assert both.predictions.findings == FINDINGS


def test_a_softmax_over_no_finding_too_is_told(small, tmp_path):
    odds_NF = small.scores_NF / (1 - small.scores_NF)
    whole_N = 1 + odds_NF.sum(axis=1)
    columns = scores_by_name(replace(small, scores_NF=odds_NF / whole_N[:, None]))
    columns["prob_No Finding"] = 1 / whole_N
    both, _ = joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    (found,) = check_scores(both.predictions, filed=both.filed, no_finding=both.no_finding)
    assert found.check == "scores-softmax"
    assert "and that of No Finding" in found.text


def test_rows_out_of_step_are_told_in_the_files_order_and_in_the_tables(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    mixed = rng().permutation(len(small.images))
    in_file = small.scores_NF.copy()
    in_file[mixed] = small.scores_NF[np.roll(mixed, 1)]
    for scores_NF, words in (
        (in_file, "1 row too low in the file's order"),
        (np.roll(small.scores_NF, 1, axis=0), "1 row too low in the order of sorted names"),
    ):
        columns = scores_by_name(replace(small, scores_NF=scores_NF))
        both, _ = joined(tmp_path, small, columns, table, mixed)
        (found,) = check_scores(both.predictions, filed=both.filed)
        assert words in found.text


def test_names_from_a_sorted_list_beside_scores_in_another_order_are_told(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    mixed = rng().permutation(len(small.images))
    scores_NF = np.empty_like(small.scores_NF)
    scores_NF[mixed] = small.scores_NF  # row by row as sorted, beside names that are not
    columns = scores_by_name(replace(small, scores_NF=scores_NF))
    both, _ = joined(tmp_path, small, columns, table, mixed)
    (found,) = check_scores(both.predictions, filed=both.filed)
    assert "the scores are in the order of sorted names, the names in another" in found.text


def test_a_sample_without_any_no_finding_is_told_as_what_it_is(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    ill = np.flatnonzero(small.labels_NF.any(axis=1))
    found = joined(tmp_path, small, scores_by_name(small), table, ill)
    assert of_labels(found) == [("scored-without-healthy", Severity.WARNING)]
    whole = joined(tmp_path, small, scores_by_name(small), table)
    assert of_labels(whole) == []


def earlier_labels(predictions):
    """As NIH's earlier table has them: some images lack Pneumonia."""
    labels_NF = predictions.labels_NF.copy()
    place = FINDINGS.index("Pneumonia")
    labels_NF[np.flatnonzero(labels_NF[:, place])[:5], place] = 0
    return labels_NF


@pytest.mark.parametrize(("ours", "theirs"), [("v2020", "2017"), ("2017", "v2020")])
def test_nihs_other_table_is_compared_where_it_lies_beside(small, tmp_path, ours, theirs):
    names = {"2017": "Data_Entry_2017.csv", "v2020": "Data_Entry_2017_v2020.csv"}
    labels = {"2017": earlier_labels(small), "v2020": small.labels_NF}
    for version, name in names.items():
        table_of(tmp_path / name, small, labels[version], version=version)
    found = joined(tmp_path, small, scores_by_name(small), tmp_path / names[ours])
    (answer,) = check_scored_labels(*found)
    assert (answer.check, answer.severity) == ("labels-version", Severity.NOTE)
    assert (
        f"The labels are NIH {ours}'s. NIH {theirs}, in the same folder, has other" in answer.text
    )
    assert (answer.evidence["images"], answer.evidence["finding"]) == (5, "Pneumonia")


def test_labels_of_the_other_version_in_the_file_are_known_as_such(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    earlier = replace(small, labels_NF=earlier_labels(small))
    columns = labels_by_name(earlier) | scores_by_name(small)
    (answer,) = check_scored_labels(*joined(tmp_path, small, columns, table))
    assert (answer.check, answer.severity) == ("labels-disagree", Severity.WARNING)
    assert "those of NIH 2017, but the label table is NIH v2020: 5 images differ" in answer.text
    same = labels_by_name(small) | scores_by_name(small)
    assert of_labels(joined(tmp_path, small, same, table)) == []


def test_labels_in_the_file_that_moved_with_their_scores_are_told(small, tmp_path):
    moved = replace(
        small,
        labels_NF=np.roll(small.labels_NF, 1, axis=0),
        scores_NF=np.roll(small.scores_NF, 1, axis=0),
    )
    columns = labels_by_name(moved) | scores_by_name(moved)
    found = joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    (answer,) = check_scored_labels(*found)
    assert "as if its rows were misaligned" in answer.text


def test_a_synthetic_sets_labels_are_the_truth(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    assert were_mined(read_label_table(table))
    (tmp_path / "truth.csv").touch()
    assert not were_mined(read_label_table(table))
