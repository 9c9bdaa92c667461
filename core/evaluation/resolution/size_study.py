"""The finished sessions of a resolution study, read and compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.data.study.study import Study, prepare_study
from core.data.study.study_boxes import study_boxes
from core.errors import DataError
from core.evaluation.part_report import refuse_another_table
from core.evaluation.predictions import Predictions, read_predictions
from core.evaluation.resolution.resolution import ScoredSize, compare_sizes
from core.evaluation.resolution.resolution_words import conclusion
from core.recipe import Recipe
from core.store.session import Session


def compare_sessions(
    sessions: Mapping[int, Session], recipe: Recipe, cache: Path
) -> dict[str, Any]:
    """What ``cxr-tui resolution --json`` prints; see ``compare_sizes``.

    Args:
        sessions: input size -> its finished session, in ascending order.
        recipe: of any of the sizes; for its tables and interval settings.
        cache: cache folder, where phantoms are.

    Raises:
        DataError: predictions are missing, or the sessions are of different data.
    """
    scored = [
        ScoredSize(size_px, read_predictions(session.predictions / "test.csv"))
        for size_px, session in sessions.items()
    ]
    _refuse_other_data(sessions, scored)
    settings = recipe.evaluate
    study = _study(list(sessions.values())[-1], recipe, cache)
    compared = compare_sizes(
        scored,
        study_boxes(study.index, study.sources),
        draws=settings.bootstrap,
        seed=settings.seed,
        labels_note=study.index.table.labels_note,
    )
    compared["sessions"] = {str(size_px): str(of.path) for size_px, of in sessions.items()}
    compared["conclusion"] = conclusion(compared)
    return compared


def _refuse_other_data(sessions: Mapping[int, Session], scored: list[ScoredSize]) -> None:
    first, *others = sessions.values()
    known = _fingerprint(first)
    for session, one in zip(others, scored[1:], strict=True):
        if _fingerprint(session) == known and _is_alike(scored[0].test, one.test):
            continue
        raise DataError(
            f"was trained or scored on other images or labels than {first.path}",
            where=session.path,
            why="A difference between the two would not be one of size.",
            remedy="Run the study again under another name (--set name=NAME).",
        )


def _fingerprint(session: Session) -> object:
    return (session.read_json("dataset.json") or {}).get("fingerprint")


def _is_alike(one: Predictions, other: Predictions) -> bool:
    return (
        one.findings == other.findings
        and np.array_equal(one.images, other.images)
        and np.array_equal(one.patients, other.patients)
        and np.array_equal(one.labels_NF, other.labels_NF, equal_nan=True)
    )


def _study(session: Session, recipe: Recipe, cache: Path) -> Study:
    study = prepare_study(
        recipe, cache, labels_only=True, recorded_split=session.path / "split.csv"
    )
    refuse_another_table(session, study)
    return study
