"""Good predictions of NIH's size, spoilt in each way that people spoil theirs, and told by name.

The predictions are simulated, so that nothing of NIH is needed. Each fault has healthy twins, which
nobody is to be told of.
"""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from simulated_scores import nih_like

from core.data.label_table import read_label_table
from core.errors import DataError
from core.evaluation.joining import join_predictions
from core.evaluation.metrics import auroc
from core.findings import FINDINGS
from core.health.diagnosis import Severity
from core.health.score_columns import columns_of, mean_area
from core.health.scored_labels import check_scored_labels, were_mined
from core.health.scores import check_scores

RARE, COMMON, OTHER = (FINDINGS.index(name) for name in ("Hernia", "Infiltration", "Fibrosis"))


@pytest.fixture(scope="module")
def good():
    """Its rare finding has as few positive patients as NIH's."""
    predictions = nih_like(seed=1)
    patients = predictions.patients[predictions.labels_NF[:, RARE] == 1]
    assert 10 < len(np.unique(patients)) < 25
    return predictions


@pytest.fixture(scope="module")
def small():
    """Of a tenth of the patients: what is told of large files is told of small ones."""
    return nih_like(280, seed=2)


def told(predictions, **known):
    return [(found.check, found.severity) for found in check_scores(predictions, **known)]


def spoilt(predictions, spoil):
    return replace(predictions, scores_NF=spoil(predictions.scores_NF, predictions))


def in_column(place, values):
    """The same with one column of other values."""

    def spoil(scores_NF, predictions):
        scores_NF = scores_NF.copy()
        scores_NF[:, place] = values(scores_NF[:, place], predictions)
        return scores_NF

    return spoil


def order_of(one, other):
    """Two columns changed for each other."""
    order = np.arange(len(FINDINGS))
    order[[one, other]] = other, one
    return order


def rng():
    return np.random.default_rng(0)


def logits(scores_NF):
    return np.log(scores_NF / (1 - scores_NF))


def softmax(scores_NF, _):
    odds_NF = np.exp(logits(scores_NF))
    return odds_NF / odds_NF.sum(axis=1, keepdims=True)


def shuffled_in_batches(size):
    def spoil(scores_NF, _):
        pieces = np.split(np.arange(len(scores_NF)), range(size, len(scores_NF), size))
        generator = rng()
        return scores_NF[np.concatenate([generator.permutation(piece) for piece in pieces])]

    return spoil


def noise(scores_N, _):
    return 0.1 + 1e-9 * rng().standard_normal(len(scores_N))


SPOILT = {
    "image names shuffled": (
        lambda scores, _: scores[rng().permutation(len(scores))],
        "rows-misaligned",
    ),
    "shuffled in batches of 64": (shuffled_in_batches(64), "rows-misaligned"),
    "shuffled in batches of 8": (shuffled_in_batches(8), "rows-misaligned"),
    "one row down": (lambda scores, _: np.roll(scores, 1, axis=0), "rows-misaligned"),
    "three rows up": (lambda scores, _: np.roll(scores, -3, axis=0), "rows-misaligned"),
    "last first": (lambda scores, _: scores[::-1], "rows-misaligned"),
    "labels added": (lambda scores, good: scores + good.labels_NF, "scores-too-good"),
    "labels of a rare finding added": (
        in_column(RARE, lambda scores, good: scores + good.labels_NF[:, RARE]),
        "scores-too-good",
    ),
    "a softmax": (softmax, "scores-softmax"),
    "a log softmax": (lambda scores, good: np.log(softmax(scores, good)), "scores-softmax"),
    "a rare finding inverted": (in_column(RARE, lambda scores, _: 1 - scores), "scores-inverted"),
    "two rare ones swapped": (
        lambda scores, _: scores[:, order_of(RARE, OTHER)],
        "columns-swapped",
    ),
    "a rare one swapped with a common one": (
        lambda scores, _: scores[:, order_of(RARE, COMMON)],
        "columns-swapped",
    ),
    "one at chance": (
        in_column(COMMON, lambda scores, _: rng().random(len(scores))),
        "scores-at-chance",
    ),
    "one of noise": (in_column(COMMON, noise), "scores-constant"),
    "a rare one of noise": (in_column(RARE, noise), "scores-constant"),
    "the upper tail cut": (lambda scores, _: np.minimum(scores, 0.5), "scores-clipped"),
    "the lower tail cut": (
        lambda scores, _: np.maximum(scores, np.quantile(scores, 0.1, axis=0)),
        "scores-clipped",
    ),
    "three digits": (lambda scores, _: scores.round(3), "scores-rounded"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_each_way_of_spoiling_good_scores_is_told_by_name(good, how):
    spoil, expected = SPOILT[how]
    assert told(spoilt(good, spoil), labels_were_mined=True) == [(expected, Severity.WARNING)]


HEALTHY = {
    "as they are": lambda good: good,
    "another row order": lambda good: rows_of(good, rng().permutation(len(good.images))),
    "sorted columns with their names": lambda good: columns_in(good, np.argsort(FINDINGS)),
    "half precision": lambda good: spoilt(
        good, lambda scores, _: scores.astype(np.float16).astype(np.float64)
    ),
    "bfloat16": lambda good: spoilt(
        good, lambda scores, _: torch.from_numpy(scores).bfloat16().double().numpy()
    ),
    "five digits": lambda good: spoilt(good, lambda scores, _: scores.round(5)),
    "logits": lambda good: spoilt(good, lambda scores, _: logits(scores)),
    "one view": lambda good: rows_of(good, np.flatnonzero(rng().random(len(good.images)) < 0.4)),
    "1,000 images": lambda good: rows_of(good, np.sort(rng().permutation(len(good.images))[:1000])),
    "100 patients": lambda good: rows_of(good, np.flatnonzero(good.patients <= 100)),
}


def rows_of(good, rows):
    return replace(
        good,
        images=good.images[rows],
        patients=good.patients[rows],
        labels_NF=good.labels_NF[rows],
        scores_NF=good.scores_NF[rows],
    )


def columns_in(good, order):
    return replace(
        good,
        findings=tuple(FINDINGS[place] for place in order),
        labels_NF=good.labels_NF[:, order],
        scores_NF=good.scores_NF[:, order],
    )


@pytest.mark.parametrize("twin", HEALTHY)
def test_healthy_twins_are_not_complained_of(good, twin):
    assert told(HEALTHY[twin](good), labels_were_mined=True) == []


@pytest.mark.parametrize("seed", range(12))
def test_good_scores_of_300_patients_are_not_complained_of(seed):
    assert told(nih_like(300, seed=100 + seed), labels_were_mined=True) == []


def test_a_perfect_auroc_is_believed_where_labels_are_the_truth(small):
    assert told(spoilt(small, lambda scores, good: scores + good.labels_NF)) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda scores, _: np.roll(scores, 1, axis=0), "1 row too low in the file's order"),
        (lambda scores, _: np.roll(scores, -2, axis=0), "2 rows too high in the file's order"),
        (lambda scores, _: scores[::-1], "last first in the file's order"),
    ],
)
def test_the_order_that_brings_the_rows_back_is_named(small, spoil, words):
    (found,) = check_scores(spoilt(small, spoil))
    assert words in found.text
    right = np.mean(
        [auroc(*both) for both in zip(small.labels_NF.T, small.scores_NF.T, strict=True)]
    )
    assert found.evidence["mean_auroc_if_moved"] == pytest.approx(right, abs=1e-4)


def test_auroc_and_its_error_are_those_of_whole_patients_drawn_again(small):
    columns = columns_of(small)
    assert [column.area for column in columns] == pytest.approx(
        [auroc(*both) for both in zip(small.labels_NF.T, small.scores_NF.T, strict=True)]
    )
    common = columns[COMMON]
    generator, areas = rng(), []
    for _ in range(200):
        drawn = generator.integers(1, 281, 280)
        weights_N = np.bincount(drawn, minlength=281)[small.patients].astype(float)
        areas.append(auroc(small.labels_NF[:, COMMON], small.scores_NF[:, COMMON], weights_N))
    assert common.standard_error == pytest.approx(np.std(areas), rel=0.15)
    mean, (low, high) = mean_area(columns)
    assert low < mean < high


def test_a_rare_findings_chance_is_counted_exactly(small):
    """Against scipy on one image a patient, where each patient has one image alone."""
    single = rows_of(small, np.unique(small.patients, return_index=True)[1])
    column = columns_of(spoilt(single, lambda scores, _: 1 - scores))[COMMON]
    expected = mannwhitneyu(
        column.scores_K[column.present_K], column.scores_K[~column.present_K], alternative="less"
    )
    assert column.probability_below_chance() == pytest.approx(expected.pvalue)


# Through a file, joined to a label table


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
    assert any("taken for labels, not scored" in warning for warning in both.warnings)
    assert of_labels((both, table)) == []


def test_scores_without_a_prefix_beside_some_with_it_are_scored(small, tmp_path):
    columns = scores_by_name(small, FINDINGS[:7]) | scores_by_name(small, FINDINGS[7:], prefix="")
    both, _ = joined(tmp_path, small, columns, table_of(tmp_path / "t.csv", small))
    assert both.predictions.findings == FINDINGS


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
    assert f"The labels are NIH {ours}'s. NIH {theirs}, beside it, has others" in answer.text
    assert (answer.evidence["images"], answer.evidence["finding"]) == (5, "Pneumonia")


def test_labels_of_the_other_version_in_the_file_are_known_as_such(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    earlier = replace(small, labels_NF=earlier_labels(small))
    columns = labels_by_name(earlier) | scores_by_name(small)
    (answer,) = check_scored_labels(*joined(tmp_path, small, columns, table))
    assert (answer.check, answer.severity) == ("labels-disagree", Severity.WARNING)
    assert "those of NIH 2017, the label table is NIH v2020: 5 images differ" in answer.text
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
    assert "as if its rows had lost their images" in answer.text


def test_a_synthetic_sets_labels_are_the_truth(small, tmp_path):
    table = table_of(tmp_path / "t.csv", small)
    assert were_mined(read_label_table(table))
    (tmp_path / "truth.csv").touch()
    assert not were_mined(read_label_table(table))
