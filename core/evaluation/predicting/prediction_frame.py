"""A prediction as a data frame; pandas is imported on first use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.images.given_images import GivenImages
from core.errors import UsageError
from core.evaluation.predicting.predictor import Predictor
from core.evaluation.predicting.rows import CALL_PREFIX, FLAG_SEPARATOR, PredictedImage
from core.evaluation.score_table import SCORE_PREFIX

if TYPE_CHECKING:
    from pandas import DataFrame


def prediction_frame(predictor: Predictor, images: Iterable[str | Path]) -> DataFrame:
    """A row for each image, in the order given; the index is the file, and no file is there twice.

    Columns: digest, then per finding prob_<Finding> (float64, NaN with an error) and call_<Finding>
    (nullable integer), flags, error.

    Raises:
        UsageError: ``-``, which stands for standard input on the command line.
        RunFailedError: memory doesn't suffice for a single image.
    """
    paths = [str(path) for path in images]
    if "-" in paths:
        raise UsageError("'-' is for the command line", remedy="Give the paths themselves.")
    seen: set[str] = set()

    def is_new(file: str) -> bool:
        before = len(seen)
        seen.add(file)
        return len(seen) > before

    batches = predictor.batches(GivenImages(paths, is_wanted=is_new))
    rows = [row for batch in batches for row in batch.rows]
    return _frame(rows, predictor)


def _frame(rows: list[PredictedImage], predictor: Predictor) -> DataFrame:
    import pandas as pd

    findings, thresholds = predictor.findings, predictor.thresholds
    unknown_F = np.full(len(findings), np.nan)
    scores = [unknown_F if row.scores_F is None else row.scores_F for row in rows]
    scores_NF = np.stack(scores) if rows else np.empty((0, len(findings)))
    called = [row.called(findings, thresholds) for row in rows]
    columns: dict[str, Any] = {"digest": [row.digest for row in rows]}
    for place, finding in enumerate(findings):
        columns[f"{SCORE_PREFIX}{finding}"] = scores_NF[:, place]
        calls = [calls[place] for calls in called]
        columns[f"{CALL_PREFIX}{finding}"] = pd.array(calls, dtype="Int8")
    columns["flags"] = [FLAG_SEPARATOR.join(row.flags) for row in rows]
    columns["error"] = [row.error for row in rows]
    return pd.DataFrame(columns, index=pd.Index([row.file for row in rows], name="file"))
