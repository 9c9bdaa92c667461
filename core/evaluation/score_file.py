"""A file of scores from any source: the meaning of its columns, and its rows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluation.score_table import (
    IMAGE_COLUMN,
    PATIENT_COLUMN,
    SCORE_PREFIX,
    csv_lines,
    score_cell,
)
from core.findings import ABSENT, NO_FINDING, PRESENT, canonical_finding, did_you_mean
from core.store.formula_cells import original

_LABEL_CELLS = {"0": ABSENT, "0.0": ABSENT, "false": ABSENT, "": math.nan}
_LABEL_CELLS |= {"1": PRESENT, "1.0": PRESENT, "true": PRESENT}
_WORDS_FOR_SCORES = frozenset(
    ("p", "y", "hat", "yhat", "pred", "preds", "predicted", "prediction", "predictions", "prob")
) | frozenset(("probs", "probability", "score", "scores", "logit", "logits", "output", "sigmoid"))
_NEAREST_OF = 100  # columns; with thousands it would take minutes


@dataclass(frozen=True)
class FileColumns:
    """What the columns of a file are; each finding with its column's position.

    Attributes:
        header: their names.
        image: the column that names images.
        scores: the columns that are scored.
        labels: the columns of labels: next to the finding's own score, or of 0 and 1 next to any
            column named as a score.
        ignored: names of the unused columns.
        no_finding: the column of No Finding, one of the ignored ones; None if there is none.
    """

    header: list[str]
    image: int
    scores: Mapping[str, int]
    labels: Mapping[str, int]
    ignored: tuple[str, ...]
    no_finding: int | None

    def name_of(self, finding: str) -> str:
        """The name of the scored column, as in the file."""
        return self.header[self.scores[finding]]


@dataclass(frozen=True)
class FileScores:
    """The rows of a file, in its order: M images, each once.

    Attributes:
        images: file names.
        scores: M rows of scores, in the order of ``columns.scores``.
        labels: M rows of cells, in the order of ``columns.labels``.
        no_finding: M cells of No Finding, or none.
        repeated: number of identical rows that repeat an image.
    """

    columns: FileColumns
    images: list[str]
    scores: list[list[float]]
    labels: list[list[str]]
    no_finding: list[str]
    repeated: int

    def scores_of(self, findings: Sequence[str]) -> NDArray[np.float64]:
        """M images × these findings."""
        places = [list(self.columns.scores).index(finding) for finding in findings]
        shape = (len(self.images), len(self.columns.scores))
        return np.array(self.scores, dtype=np.float64).reshape(shape)[:, places]

    def scores_of_no_finding(self) -> NDArray[np.float64] | None:
        """M scores of No Finding; None if the file has none, or values that are not numbers."""
        try:
            return np.array(self.no_finding, dtype=np.float64) if self.no_finding else None
        except ValueError:
            return None

    def labels_of(self, finding: str) -> NDArray[np.float32]:
        """M labels; NaN if the cell is not one of these."""
        place = list(self.columns.labels).index(finding)
        states = [_LABEL_CELLS.get(row[place].strip().casefold(), math.nan) for row in self.labels]
        return np.array(states, dtype=np.float32)


def file_columns(path: Path, findings: Sequence[str]) -> FileColumns:
    """Identify a file's columns; its rows are read only if the names leave it open.

    Raises:
        DataError: no column names images, no column is a finding's score, or two columns are the
            same finding's.
    """
    header = next(csv_lines(path))[1]
    image = _find_image_column(path, header)
    with_prefix, bare, ignored = _finding_columns(path, header, image, findings)
    labels = {finding: place for finding, place in bare.items() if finding in with_prefix}
    undecided = {finding: place for finding, place in bare.items() if finding not in with_prefix}
    if with_prefix and undecided:
        of_labels = _columns_of_labels(path, undecided)
        labels |= {finding: undecided.pop(finding) for finding in of_labels}
    return FileColumns(
        header=header,
        image=image,
        scores=undecided | with_prefix,
        labels=labels,
        ignored=tuple(ignored),
        no_finding=next((header.index(name) for name in ignored if _is_no_finding(name)), None),
    )


def _is_no_finding(name: str) -> bool:
    return _without_prefix(name).casefold().replace("_", " ") == NO_FINDING.casefold()


def looks_like_scores_of(name: str, findings: Sequence[str]) -> bool:
    """Whether a column's name is a finding's with a word for scores before or after it."""
    words = re.split(r"[\s_.-]+", name.strip())
    parts = [word for word in words if word.casefold() not in _WORDS_FOR_SCORES]
    finding = canonical_finding("".join(parts))
    return len(parts) < len(words) and (finding in findings or "_".join(parts) in findings)


def _columns_of_labels(path: Path, undecided: Mapping[str, int]) -> list[str]:
    """Those with only 0, 1 and empty cells."""
    candidates = dict(undecided)
    lines = csv_lines(path)
    next(lines)
    for _, row in lines:
        for finding, place in list(candidates.items()):
            if row[place].strip().casefold() not in _LABEL_CELLS:
                del candidates[finding]
        if not candidates:
            break
    return list(candidates)


def _find_image_column(path: Path, header: list[str]) -> int:
    for position, name in enumerate(header):
        if name.strip().casefold() == IMAGE_COLUMN.casefold():
            return position
    found = ", ".join(repr(name[:40]) for name in header[:20])
    raise DataError(
        f"no column {IMAGE_COLUMN!r}; found {found}",
        where=f"{path} line 1",
        why="Scores are joined to labels by the image's file name",
        remedy=f"Name that column {IMAGE_COLUMN!r}, and separate columns by commas.",
    )


def _finding_columns(
    path: Path, header: list[str], image_column: int, findings: Sequence[str]
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Finding -> its column with the prefix, the same without it, and the names of the others."""
    with_prefix: dict[str, int] = {}
    bare: dict[str, int] = {}
    ignored: list[str] = []
    for position, name in enumerate(header):
        if position == image_column or name.strip().casefold() == PATIENT_COLUMN.casefold():
            continue
        is_score = name.strip().casefold().startswith(SCORE_PREFIX)
        word = _without_prefix(name)
        finding = word if word in findings else canonical_finding(word)
        if finding is None or finding not in findings:
            ignored.append(name)
            continue
        columns = with_prefix if is_score else bare
        if finding in columns:
            raise DataError(
                f"columns {header[columns[finding]]!r} and {name!r} are both {finding}",
                where=f"{path} line 1",
                remedy="Keep one of them.",
            )
        columns[finding] = position
    if not with_prefix and not bare:
        asked = (did_you_mean(_without_prefix(name), findings) for name in ignored[:_NEAREST_OF])
        nearest = next(filter(None, asked), "")
        raise DataError(
            f"no column {SCORE_PREFIX}<Finding> or <Finding> for a finding of the label table",
            where=f"{path} line 1",
            why=f"Its columns are {', '.join(repr(name[:40]) for name in header[:20])}",
            remedy=f"{nearest} Findings are {', '.join(findings)}.".strip(),
        )
    return with_prefix, bare, ignored


def _without_prefix(name: str) -> str:
    word = name.strip()
    return word[len(SCORE_PREFIX) :] if word.casefold().startswith(SCORE_PREFIX) else word


def read_scores(path: Path, columns: FileColumns) -> FileScores:
    """Read every image's scores and labels.

    Raises:
        DataError: an image without a name, a score that is not a finite number, or two rows of one
            image that differ.
    """
    header = columns.header
    places, of_labels = list(columns.scores.values()), list(columns.labels.values())
    scores_of: dict[str, list[float]] = {}
    labels: list[list[str]] = []
    no_finding: list[str] = []
    line_of: dict[str, int] = {}
    repeated = 0
    lines = csv_lines(path)
    next(lines)
    for line, row in lines:
        where = f"{path} line {line}"
        name = original(row[columns.image].strip())
        if not name:
            raise DataError(f"{IMAGE_COLUMN} is empty", where=where)
        scores = [score_cell(row[place], where, header[place]) for place in places]
        if name not in scores_of:
            scores_of[name], line_of[name] = scores, line
            labels.append([row[place] for place in of_labels])
            if columns.no_finding is not None:
                no_finding.append(row[columns.no_finding])
        elif scores_of[name] == scores:
            repeated += 1
        else:
            raise DataError(
                f"image {name!r} has different scores from line {line_of[name]}",
                where=where,
                why="There is no way to tell which of them is meant",
                remedy="Keep one row per image (the mean, if these are several crops).",
            )
    return FileScores(
        columns, list(scores_of), list(scores_of.values()), labels, no_finding, repeated
    )
