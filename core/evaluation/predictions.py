"""Predictions, and the files in which a session saves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError, RunFailedError
from core.evaluation.score_table import (
    IMAGE_COLUMN,
    PATIENT_COLUMN,
    SCORE_PREFIX,
    SOURCE_COLUMN,
    UNKNOWN_PATIENT,
    csv_lines,
    label_cell,
    patient_cell,
    score_cell,
)
from core.store.csv_frames import read_frame, write_frame

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Predictions:
    """The scores of N images for F findings, with their labels.

    Attributes:
        images: N file names.
        patients: N patient numbers, ``UNKNOWN_PATIENT`` where unknown.
        labels_NF: 1 present, 0 absent, NaN unknown.
        scores_NF: probabilities; any finite numbers if read from another source's file.
        sources_N: the data set of each image, if there are several; images are then
            ``<source>/<image>``.

    Raises:
        RunFailedError: a score is not finite.
    """

    images: NDArray[Any]
    patients: NDArray[np.int64]
    findings: tuple[str, ...]
    labels_NF: NDArray[np.float32]
    scores_NF: NDArray[np.float32] | NDArray[np.float64]
    sources_N: NDArray[Any] | None = None

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
                why="They can't be ranked, so there is no AUROC",
                remedy="The weights are not finite either: lower train.learning_rate, or go back "
                "to an earlier checkpoint, if there is one.",
            )


def only(predictions: Predictions, findings: Sequence[str]) -> Predictions:
    """The predictions of these findings, in this order."""
    columns = [predictions.findings.index(finding) for finding in findings]
    return replace(
        predictions,
        findings=tuple(findings),
        labels_NF=predictions.labels_NF[:, columns],
        scores_NF=predictions.scores_NF[:, columns],
    )


def frame_of(predictions: Predictions) -> DataFrame:
    """Labels and probabilities, one row per image; the index is the image.

    Columns: Patient ID (nullable integer), then <Finding> (1, 0, NaN if unknown) and
    prob_<Finding>.
    """
    import pandas as pd

    patients = pd.Series(predictions.patients, dtype="Int64")
    columns: dict[str, Any] = {PATIENT_COLUMN: patients.mask(patients == UNKNOWN_PATIENT).array}
    for column, finding in enumerate(predictions.findings):
        columns[finding] = predictions.labels_NF[:, column]
        columns[f"{SCORE_PREFIX}{finding}"] = predictions.scores_NF[:, column]
    return pd.DataFrame(columns, index=pd.Index(predictions.images, name=IMAGE_COLUMN))


def predictions_of(frame: DataFrame) -> Predictions:
    """The inverse: from columns <Finding>, prob_<Finding>, and Patient ID if present.

    Raises:
        DataError: no scores, or scores without labels.
    """
    import pandas as pd

    scored = [name for name in map(str, frame) if name.startswith(SCORE_PREFIX)]
    findings = [name.removeprefix(SCORE_PREFIX) for name in scored]
    unlabelled = [name for name in findings if name not in frame]
    if not findings or unlabelled:
        missing = ", ".join(unlabelled) or f"{SCORE_PREFIX}<Finding>"
        raise DataError(
            f"there is no column {missing}",
            why="Both scores and labels are needed.",
            remedy=f"Name labels <Finding> and scores {SCORE_PREFIX}<Finding>.",
        )
    patients = frame[PATIENT_COLUMN] if PATIENT_COLUMN in frame else range(1, len(frame) + 1)
    codes, _ = pd.factorize(np.asarray(patients, dtype=object))  # patients may have any names
    return Predictions(
        images=np.asarray(frame.index.astype(str), dtype=object),
        patients=np.where(codes < 0, UNKNOWN_PATIENT, codes + 1).astype(np.int64),
        findings=tuple(findings),
        labels_NF=frame[findings].to_numpy(np.float32),
        scores_NF=frame[scored].to_numpy(np.float64),
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the session's CSV: Image Index, Patient ID, then <Finding> and prob_<Finding>.

    Of several data sets, ``source`` comes before the findings.

    Scores are saved as float64, in the fewest digits that restore them exactly: as float32 every
    logit above 17 is a probability of 1, and ties reduce AUROC. An unknown label or patient is an
    empty cell. The file is written completely or not at all.

    Raises:
        OSError: the disk is full or can't be written; an older file is unchanged.
    """
    whole = replace(predictions, scores_NF=predictions.scores_NF.astype(np.float64))
    labels = dict.fromkeys(predictions.findings, "Int8")
    frame = frame_of(whole).astype(labels).reset_index()
    if predictions.sources_N is not None:
        frame[IMAGE_COLUMN] = [name.partition("/")[2] for name in frame[IMAGE_COLUMN]]
        frame.insert(2, SOURCE_COLUMN, predictions.sources_N)
    write_frame(path, frame)


def read_predictions(path: Path) -> Predictions:
    """Read a file that ``write_predictions`` wrote; the scores are restored exactly.

    Raises:
        DataError: the file is missing or isn't such a file.
    """
    header = next(csv_lines(path))[1]
    has_sources = header[2:3] == [SOURCE_COLUMN]
    findings = tuple(header[3 if has_sources else 2 :: 2])
    if header != _columns(findings, has_sources) or len(set(header)) < len(header):
        raise DataError(
            "not a predictions file of a session",
            where=f"{path} line 1",
            remedy=f"The columns are {IMAGE_COLUMN}, {PATIENT_COLUMN}, then <Finding> and "
            f"{SCORE_PREFIX}<Finding>; use evaluate --predictions for another CSV.",
        )
    try:
        return _read(path, findings, has_sources)
    except (OSError, ValueError, DataError) as error:
        _refuse_by_line(path, findings, 3 if has_sources else 2)
        raise DataError(f"can't be read as CSV ({error})", where=path) from error


def _read(path: Path, findings: tuple[str, ...], has_sources: bool) -> Predictions:
    """Read the file by pandas, as strictly as ``_refuse_by_line``, which knows lines."""
    # Categories are text: each distinct label is checked once.
    kinds = dict.fromkeys(findings, "category")
    scores = {SCORE_PREFIX + finding: np.float64 for finding in findings}
    text = {IMAGE_COLUMN: str, PATIENT_COLUMN: str}
    names = _columns(findings, has_sources)
    text |= {SOURCE_COLUMN: str} if has_sources else {}
    frame = read_frame(path, header=0, names=names, dtype=text | kinds | scores)
    labels = [
        np.array([label_cell(cell, "") for cell in frame[finding].cat.categories], np.float32)[
            frame[finding].cat.codes
        ]
        for finding in findings
    ]
    scores_NF = frame[list(scores)].to_numpy(np.float64)
    if not np.isfinite(scores_NF).all():
        raise ValueError("a score is not finite")
    images, sources = frame[IMAGE_COLUMN], frame[SOURCE_COLUMN] if has_sources else None
    return Predictions(
        images=(images if sources is None else sources + "/" + images).to_numpy(object),
        sources_N=None if sources is None else sources.to_numpy(object),
        patients=np.array([patient_cell(cell, "") for cell in frame[PATIENT_COLUMN]], np.int64),
        findings=findings,
        labels_NF=np.column_stack(labels) if labels else np.empty((len(frame), 0), np.float32),
        scores_NF=scores_NF,
    )


def _refuse_by_line(path: Path, findings: Sequence[str], first: int) -> None:
    """Raises DataError with the line of the first wrong cell."""
    for line, row in csv_lines(path):
        if line == 1:
            continue
        where = f"{path} line {line}"
        patient_cell(row[1], where)
        for finding, label, score in zip(findings, row[first::2], row[first + 1 :: 2], strict=True):
            label_cell(label, where)
            score_cell(score, where, SCORE_PREFIX + finding)


def _columns(findings: Sequence[str], has_sources: bool) -> list[str]:
    """The header of a session's file."""
    pairs = [name for finding in findings for name in (finding, SCORE_PREFIX + finding)]
    return [IMAGE_COLUMN, PATIENT_COLUMN, *[SOURCE_COLUMN] * has_sources, *pairs]
