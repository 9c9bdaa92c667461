"""Predictions on disk: our own files, and anybody's CSV joined to a label table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError, RunFailedError
from core.evaluation.score_table import (
    IMAGE_COLUMN,
    PATIENT_COLUMN,
    SCORE_PREFIX,
    UNKNOWN_PATIENT,
    csv_lines,
    find_image_column,
    find_score_columns,
    label_cell,
    patient_cell,
    score_cell,
    scores_by_image,
)
from core.store.files import write_whole
from core.store.harmless_cells import harmless, original

_EXAMPLES = 3


@dataclass(frozen=True)
class Predictions:
    """The scores of N images for F findings, beside their labels.

    Attributes:
        images: N file names.
        patients: N patient numbers, ``UNKNOWN_PATIENT`` where unknown.
        labels_NF: 1 present, 0 absent, NaN unknown.
        scores_NF: probabilities; any finite numbers where they come from somebody's file.

    Raises:
        RunFailedError: a score is not finite.
    """

    images: NDArray[Any]
    patients: NDArray[np.int64]
    findings: tuple[str, ...]
    labels_NF: NDArray[np.float32]
    scores_NF: NDArray[np.float32] | NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = (len(self.images), len(self.findings))
        found = (self.labels_NF.shape, self.scores_NF.shape, len(self.patients))
        if found != (shape, shape, len(self.images)):
            raise ValueError(f"labels, scores, patients are {found}; images × findings is {shape}")
        named = [
            finding
            for column, finding in enumerate(self.findings)
            if not np.isfinite(self.scores_NF[:, column]).all()
        ]
        if named:
            raise RunFailedError(
                f"scores of {', '.join(named)} are not finite",
                why="They rank nothing, so no AUROC can be taken",
                remedy="The weights are not finite either: go back to an earlier checkpoint.",
            )


@dataclass(frozen=True)
class JoinedPredictions:
    """Somebody's predictions beside the labels of the same images, in the label table's order.

    Attributes:
        table_rows: for each image of ``predictions`` its row in the label table.
        ignored_columns: columns of the file that are no finding's score.
        warnings: what a reader of the figures should know.
    """

    predictions: Predictions
    table_rows: NDArray[np.int64]
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the session's CSV: Image Index, Patient ID, then <Finding> and prob_<Finding>.

    Scores are kept as float64, in the fewest digits that bring them back exactly: as float32
    every logit above 17 is a probability of 1, and ties cost AUROC. An unknown label or
    patient is an empty cell. The file is there whole or not at all.

    Raises:
        OSError: the disk is full or can't be written; an older file is left as it was.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(predictions.findings))
    scores_NF = predictions.scores_NF.astype(np.float64).tolist()
    rows = zip(
        predictions.images.tolist(),
        predictions.patients.tolist(),
        predictions.labels_NF.tolist(),
        scores_NF,
        strict=True,
    )
    for image, patient, labels_F, scores_F in rows:
        cells: list[str] = [harmless(image), "" if patient == UNKNOWN_PATIENT else str(patient)]
        for label, score in zip(labels_F, scores_F, strict=True):
            cells += ["" if math.isnan(label) else str(int(label)), repr(score)]
        writer.writerow(cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode("utf-8"))


def read_predictions(path: Path) -> Predictions:
    """Read a file that ``write_predictions`` wrote; the scores come back exactly.

    Raises:
        DataError: the file is missing or isn't such a file.
    """
    lines = csv_lines(path)
    header = next(lines)[1]
    findings = tuple(header[2::2])
    if header != _columns(findings):
        raise DataError(
            "not a predictions file of a session",
            where=f"{path} line 1",
            remedy=f"Its columns are {IMAGE_COLUMN}, {PATIENT_COLUMN}, then <Finding> and "
            f"{SCORE_PREFIX}<Finding>; another CSV goes through evaluate --predictions.",
        )
    images: list[str] = []
    patients: list[int] = []
    labels: list[list[float]] = []
    scores: list[list[float]] = []
    for line, row in lines:
        where = f"{path} line {line}"
        images.append(original(row[0]))
        patients.append(patient_cell(row[1], where))
        labels.append([label_cell(cell, where) for cell in row[2::2]])
        scores.append(
            [
                score_cell(cell, where, SCORE_PREFIX + f)
                for f, cell in zip(findings, row[3::2], strict=True)
            ]
        )
    shape = (len(images), len(findings))
    return Predictions(
        images=np.array(images, dtype=object),
        patients=np.array(patients, dtype=np.int64),
        findings=findings,
        labels_NF=np.array(labels, dtype=np.float32).reshape(shape),
        scores_NF=np.array(scores, dtype=np.float64).reshape(shape),
    )


def join_predictions(
    path: Path,
    *,
    images: NDArray[Any],
    patients: NDArray[np.int64],
    findings: Sequence[str],
    labels_NF: NDArray[np.float32],
) -> JoinedPredictions:
    """Anybody's CSV of scores, joined on Image Index to a label table.

    ``prob_X`` is the score of finding X, and an X beside it is a label and ignored; without
    ``prob_X``, X is the score. Only the order of scores matters for AUROC, so logits will do,
    with a warning. Images of the label table without a score are left out without a word.

    Args:
        images, patients, findings, labels_NF: the label table's N images and F findings.

    Raises:
        DataError: no Image Index, no finding's column, a score that is no finite number, two
            different rows of one image, or no image that the label table knows.
    """
    lines = csv_lines(path)
    header = next(lines)[1]
    image_column = find_image_column(path, header)
    score_columns, ignored = find_score_columns(path, header, image_column, findings)
    scores_of, repeated = scores_by_image(path, lines, header, image_column, score_columns)
    scored = tuple(finding for finding in findings if finding in score_columns)
    table_row = {name: row for row, name in enumerate(images.tolist())}
    rows = np.array(
        sorted(table_row[name] for name in scores_of if name in table_row), dtype=np.int64
    )
    if len(rows) == 0:
        raise DataError(
            f"none of its {len(scores_of):,} images is in the label table",
            where=path,
            why=f"It names {_examples(scores_of)}; the label table names {_examples(table_row)}",
            remedy="Write file names as the label table does, without a folder.",
        )
    names = images[rows]
    columns = [list(findings).index(finding) for finding in scored]
    order = [list(score_columns).index(finding) for finding in scored]
    scores_NF = np.array([scores_of[name] for name in names.tolist()])[:, order]
    joined = Predictions(
        images=names,
        patients=patients[rows],
        findings=scored,
        labels_NF=labels_NF[rows][:, columns],
        scores_NF=scores_NF,
    )
    warnings = [
        *_join_warnings(scores_of, table_row, repeated),
        *_column_warnings(findings, scored, ignored),
        *_range_warnings(joined),
    ]
    return JoinedPredictions(joined, rows, tuple(ignored), tuple(warnings))


def _columns(findings: Sequence[str]) -> list[str]:
    """The header of a session's file."""
    pairs = [name for finding in findings for name in (finding, SCORE_PREFIX + finding)]
    return [IMAGE_COLUMN, PATIENT_COLUMN, *pairs]


def _join_warnings(
    scores_of: dict[str, list[float]], table_row: dict[str, int], repeated: int
) -> list[str]:
    warnings = []
    unknown = [name for name in scores_of if name not in table_row]
    if unknown:
        warnings.append(
            f"{len(unknown):,} of {len(scores_of):,} images with predictions are not in the label "
            f"table and were left out, such as {_examples(unknown)}"
        )
    if repeated:
        warnings.append(f"{repeated:,} rows repeat an image with the same scores: counted once")
    return warnings


def _column_warnings(
    findings: Sequence[str], scored: Sequence[str], ignored: Sequence[str]
) -> list[str]:
    warnings = []
    if ignored:
        named = ", ".join(repr(name[:40]) for name in ignored)
        warnings.append(f"columns that are no finding of the label table were ignored: {named}")
    unscored = [finding for finding in findings if finding not in scored]
    if unscored:
        warnings.append(f"the predictions have no column for {', '.join(unscored)}")
    return warnings


def _range_warnings(joined: Predictions) -> list[str]:
    outside_NF = (joined.scores_NF < 0) | (joined.scores_NF > 1)
    named = [
        finding for column, finding in enumerate(joined.findings) if outside_NF[:, column].any()
    ]
    if not named:
        return []
    return [
        f"scores of {', '.join(named)} lie outside 0 … 1: they rank images, so AUROC and AUPRC "
        "hold, but thresholds and calibration are not in probabilities"
    ]


def _examples(names: Sequence[str] | dict[str, Any]) -> str:
    few = [repr(name[:60]) for name in list(names)[:_EXAMPLES]]
    return ", ".join(few)
