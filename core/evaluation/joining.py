"""A CSV of scores from any source, joined to a label table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluation.predictions import Predictions
from core.evaluation.score_file import (
    FileColumns,
    FileScores,
    file_columns,
    looks_like_scores_of,
    read_scores,
)
from core.evaluation.score_table import SCORE_PREFIX, UNKNOWN_PATIENT
from core.findings import PRESENT

_EXAMPLES = 3
_ENOUGH_TO_BE_LABELS = 10
"""With fewer images, a good threshold may match every label by chance."""


@dataclass(frozen=True)
class FiledRows:
    """Every image of a file in the file's own order, which is lost in joining it to a label table.

    Attributes:
        predictions: M images; labels NaN and patient unknown if the label table lacks the image.
        table_rows: the row of each in the label table, -1 if it has none.
    """

    predictions: Predictions
    table_rows: NDArray[np.int64]


@dataclass(frozen=True)
class JoinedPredictions:
    """Predictions from any source with the labels of the same images, in the label table's order.

    Attributes:
        predictions: the images that have both scores and labels.
        table_rows: row of each image of ``predictions`` in the label table.
        filed: the same rows, and those without labels, in the file's order.
        file_labels: labels in the file itself, in the order of ``predictions``; NaN if it has none.
        no_finding: the file's scores of No Finding, in the same order, if it has any.
        ignored_columns: columns of the file that are not a finding's score.
        warnings: what a reader of the figures should know.
    """

    predictions: Predictions
    table_rows: NDArray[np.int64]
    filed: FiledRows
    file_labels: Mapping[str, NDArray[np.float32]]
    no_finding: NDArray[np.float64] | None
    ignored_columns: tuple[str, ...]
    warnings: tuple[str, ...]


def join_predictions(
    path: Path,
    *,
    images: NDArray[Any],
    patients: NDArray[np.int64],
    findings: Sequence[str],
    labels_NF: NDArray[np.float32],
) -> JoinedPredictions:
    """Join a CSV of scores from any source to a label table on Image Index.

    ``prob_X`` is the score of finding X, and a column X is then its label; with any ``prob_``
    column, an X of only 0 and 1 is a label too. If no column is named ``prob_``, X is the score.
    Only the order of scores matters for AUROC, so logits are accepted with a warning. Images of the
    label table without a score are left out silently.

    Args:
        images, patients, findings, labels_NF: the label table's N images and F findings.

    Raises:
        DataError: no Image Index, no finding's column, a score that is not a finite number, two
            different rows of one image, no image in the label table, or labels instead of scores.
    """
    columns = file_columns(path, findings)
    found = read_scores(path, columns)
    scored = tuple(finding for finding in findings if finding in columns.scores)
    filed = _filed(found, images, patients, findings, labels_NF, scored)
    known_M = filed.table_rows >= 0
    if not known_M.any():
        raise DataError(
            f"none of its {len(found.images):,} images is in the label table",
            where=path,
            why=f"It names {_examples(found.images)}; the label table names {_examples(images)}",
            remedy="Write file names as the label table does, without a folder.",
        )
    order = np.flatnonzero(known_M)[np.argsort(filed.table_rows[known_M])]
    every = filed.predictions
    joined = Predictions(
        images=images[filed.table_rows[order]],
        patients=every.patients[order],
        findings=scored,
        labels_NF=every.labels_NF[order],
        scores_NF=every.scores_NF[order],
    )
    _refuse_labels(path, joined, columns)
    no_finding = found.scores_of_no_finding()
    warnings = [
        *_join_warnings(found, every.images[~known_M]),
        *_column_warnings(findings, scored, columns),
        *_range_warnings(joined),
    ]
    return JoinedPredictions(
        predictions=joined,
        table_rows=filed.table_rows[order],
        filed=filed,
        file_labels={finding: found.labels_of(finding)[order] for finding in columns.labels},
        no_finding=None if no_finding is None else no_finding[order],
        ignored_columns=columns.ignored,
        warnings=tuple(warnings),
    )


def _filed(
    found: FileScores,
    images: NDArray[Any],
    patients: NDArray[np.int64],
    findings: Sequence[str],
    labels_NF: NDArray[np.float32],
    scored: tuple[str, ...],
) -> FiledRows:
    """The file's rows in its own order, with the label table's data on each."""
    table_row = {name: row for row, name in enumerate(images.tolist())}
    rows_M = np.array([table_row.get(name, -1) for name in found.images], dtype=np.int64)
    known_M = rows_M >= 0
    labels_MF = np.full((len(rows_M), len(scored)), np.nan, dtype=np.float32)
    places = [list(findings).index(finding) for finding in scored]
    labels_MF[known_M] = labels_NF[rows_M[known_M]][:, places]
    predictions = Predictions(
        images=np.array(found.images, dtype=object),
        patients=np.where(known_M, patients[rows_M], UNKNOWN_PATIENT),
        findings=scored,
        labels_NF=labels_MF,
        scores_NF=found.scores_of(scored),
    )
    return FiledRows(predictions, rows_M)


def _refuse_labels(path: Path, joined: Predictions, columns: FileColumns) -> None:
    """Refuse a score that equals its label on every image."""
    equal = []
    for place, finding in enumerate(joined.findings):
        labels_N, scores_N = joined.labels_NF[:, place], joined.scores_NF[:, place]
        known_N = ~np.isnan(labels_N)
        present_K = labels_N[known_N] == PRESENT
        has_both = bool(present_K.any()) and not present_K.all()
        enough = int(known_N.sum()) >= _ENOUGH_TO_BE_LABELS
        if has_both and enough and np.array_equal(scores_N[known_N], present_K):
            equal.append(finding)
    if not equal:
        return
    named = ", ".join(repr(columns.name_of(finding)) for finding in equal[:_EXAMPLES])
    likely = [name for name in columns.ignored if looks_like_scores_of(name, joined.findings)]
    remedy = f"Name the columns of scores {SCORE_PREFIX}<Finding>."
    if likely:
        remedy = (
            f"The scores seem to be in {_examples(likely)}: name such columns "
            f"{SCORE_PREFIX}<Finding>."
        )
    more = f" and {len(equal) - _EXAMPLES} more" if len(equal) > _EXAMPLES else ""
    raise DataError(
        f"columns {named}{more} are the labels themselves: equal to them on every image",
        where=path,
        why="Labels scored against themselves reach an AUROC of 1, which says nothing",
        remedy=remedy,
    )


def _join_warnings(found: FileScores, unknown: NDArray[Any]) -> list[str]:
    warnings = []
    if len(unknown):
        warnings.append(
            f"{len(unknown):,} of {len(found.images):,} images with predictions are not in the "
            f"label table and were left out, such as {_examples(unknown)}"
        )
    if found.repeated:
        warnings.append(
            f"{found.repeated:,} rows repeat an image with the same scores: counted once"
        )
    return warnings


def _column_warnings(
    findings: Sequence[str], scored: Sequence[str], columns: FileColumns
) -> list[str]:
    warnings = []
    if columns.ignored:
        named = ", ".join(repr(name[:40]) for name in columns.ignored)
        warnings.append(f"columns that are not findings of the label table were ignored: {named}")
    alone = [finding for finding in columns.labels if finding not in columns.scores]
    if alone:
        warnings.append(
            f"{', '.join(alone)} hold only 0 and 1, and other columns are {SCORE_PREFIX}<Finding>: "
            "read as labels, not scored"
        )
    unscored = [finding for finding in findings if finding not in {*scored, *alone}]
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
        "are valid, but thresholds and calibration are not in probabilities"
    ]


def _examples(names: Sequence[str] | NDArray[Any]) -> str:
    return ", ".join(repr(str(name)[:60]) for name in names[:_EXAMPLES])
