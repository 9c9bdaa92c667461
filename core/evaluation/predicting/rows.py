"""The rows of a prediction: their columns, cells and totals."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.evaluation.score_table import SCORE_PREFIX
from core.store.formula_cells import escape_formula

CALL_PREFIX = "call_"
FLAG_SEPARATOR = "|"


@dataclass(frozen=True, eq=False)
class PredictedImage:
    """One image: probabilities, or the ``error`` that it has instead.

    Attributes:
        file: as it was given.
        digest: BLAKE2b of its bytes, 16 bytes in hex; '' if it could not be read.
        scores_F: one probability for each finding; None with an error.
        flags: what is odd about it, as codes.
    """

    file: str
    digest: str
    scores_F: NDArray[np.float64] | None
    flags: tuple[str, ...] = ()
    error: str = ""

    def called(self, findings: Sequence[str], thresholds: Mapping[str, float]) -> list[int | None]:
        """1 or 0 for each finding; None without a threshold or a probability."""
        if self.scores_F is None:
            return [None] * len(findings)
        return [
            None if name not in thresholds else int(score >= thresholds[name])
            for name, score in zip(findings, self.scores_F, strict=True)
        ]


def columns_of(findings: Sequence[str]) -> list[str]:
    """The header."""
    pairs = [f"{prefix}{name}" for name in findings for prefix in (SCORE_PREFIX, CALL_PREFIX)]
    return ["file", "digest", *pairs, "flags", "error"]


def cells_of(
    image: PredictedImage, findings: Sequence[str], thresholds: Mapping[str, float]
) -> list[str]:
    """The row: probabilities in the fewest digits that read back exactly, empty where undefined."""
    calls = image.called(findings, thresholds)
    scores = [None] * len(findings) if image.scores_F is None else image.scores_F.tolist()
    pairs = [
        "" if value is None else repr(value)
        for pair in zip(scores, calls, strict=True)
        for value in pair
    ]
    flags = FLAG_SEPARATOR.join(image.flags)
    return [file_cell(image.file), image.digest, *pairs, flags, escape_formula(image.error)]


def file_cell(file: str) -> str:
    """A file's name as a cell: no formula, and bytes that are not UTF-8 escaped."""
    return escape_formula(file.encode("utf-8", "backslashreplace").decode())


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


@dataclass
class Totals:
    """What all rows of an output have, those of an earlier start included."""

    findings: tuple[str, ...]
    images: int = 0
    scored: int = 0
    called: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_error: tuple[str, str] | None = None

    @property
    def unreadable(self) -> int:
        """Images without probabilities."""
        return self.images - self.scored

    def add(self, cells: Sequence[str]) -> None:
        """Count a row."""
        self.images += 1
        error = cells[-1]
        if error:
            self.errors[error] += 1
            self.first_error = self.first_error or (cells[0], error)
            return
        self.scored += 1
        for finding, call in zip(self.findings, cells[3:-2:2], strict=True):
            self.called[finding] += call == "1"
        codes = [code for code in cells[-2].split(FLAG_SEPARATOR) if code]
        self.flagged += bool(codes)
        self.flags.update(codes)
