"""Predictions, and the files of them that a session keeps."""

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
    label_cell,
    patient_cell,
    score_cell,
)
from core.store.files import write_whole
from core.store.formula_cells import escape_formula, original


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
                remedy="The weights are not finite either: lower train.learning_rate, or go back "
                "to an earlier checkpoint, where one was kept.",
            )


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
        cells: list[str] = [
            escape_formula(image),
            "" if patient == UNKNOWN_PATIENT else str(patient),
        ]
        for label, score in zip(labels_F, scores_F, strict=True):
            cells += ["" if math.isnan(label) else str(int(label)), repr(score)]
        writer.writerow(cells)
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


def _columns(findings: Sequence[str]) -> list[str]:
    """The header of a session's file."""
    pairs = [name for finding in findings for name in (finding, SCORE_PREFIX + finding)]
    return [IMAGE_COLUMN, PATIENT_COLUMN, *pairs]
