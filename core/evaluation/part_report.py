"""The figures of one part of a study, from predictions that may be a session's or anybody's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.study.index import StudyIndex
from core.data.study.part_draw import warning_of_figures
from core.data.study.sources import TEST_LIST_NAME
from core.data.study.study import Study, prepare_study
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_table import LabelTable, read_label_table
from core.data.tables.label_version import label_table_name
from core.errors import DataError
from core.evaluation.joining import JoinedPredictions, join_predictions
from core.evaluation.predictions import Predictions, read_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.table_baseline import TableAlone, TableColumns, table_alone
from core.recipe import EvaluateSettings
from core.store.session import Session


def evaluate_part(
    study: Study,
    part: str,
    predictions: Predictions,
    val: Predictions | None,
    *,
    dataset_share: float | None = None,
    warnings: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The report of a part, under the recipe's rules; see ``core.evaluation.report``.

    Views and sampling weights come from the study, by image name, since the predictions may
    leave out images that could not be decoded.
    """
    settings = study.recipe.evaluate
    index = study.index
    row_of = {name: row for row, name in enumerate(index.images)}

    def rows_of(scored: Predictions) -> NDArray[np.int64]:
        return np.asarray([row_of[name] for name in scored.images], dtype=np.int64)

    rows = rows_of(predictions)
    draw = study.drawn.draws.get(part)
    drawn = warning_of_figures(part, draw) if draw is not None else None
    return evaluate(
        predictions,
        EvaluationContext(
            split=part,
            split_kind=_split_kind(study),
            reference=settings.reference,
            operating_point=settings.operating_point,
            bootstrap=settings.bootstrap,
            seed=settings.seed,
            views=None if index.view is None else index.view[rows],
            val=val,
            table_alone=table_alone_of(study, rows),
            extra_warnings=(*warnings, drawn) if drawn else warnings,
            dataset_share=dataset_share,
            label_table=study.label_table,
            natural_prevalence=draw.natural_prevalence if draw and draw.is_drawn else None,
            weights=study.sampling_weights(part, rows),
        ),
    )


def _split_kind(study: Study) -> str:
    """How the split was drawn; only NIH's own lists are the official ones, whoever has lists."""
    by = study.recipe.split.by
    return "lists" if by == "official" and study.patients_known_as != "nih" else by


def table_alone_of(study: Study, scored: NDArray[np.int64]) -> TableAlone:
    """What age, sex, view and follow-up reach on these rows, fitted on the study's train part."""
    train = study.rows("train")
    return table_alone(
        _columns(study.index, train),
        _columns(study.index, scored),
        study.index.labels_NF[train],
        study.index.labels_NF[scored],
        study.index.findings,
    )


def _columns(index: StudyIndex, rows_N: NDArray[np.int64]) -> TableColumns:
    def take(column: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if column is None else column[rows_N]

    return TableColumns(
        age_years=take(index.age_years),
        sex=take(index.sex),
        view=take(index.view),
        follow_up=take(index.follow_up),
    )


def report_of_session(
    session: Session,
    part: str,
    cache: Path,
    *,
    study: Study | None = None,
    settings: EvaluateSettings | None = None,
) -> dict[str, Any]:
    """The figures of a part from the predictions that a session kept.

    The labels, views and split are the session's own; images are not looked for. A label
    table that has changed since is refused. ``settings`` take the place of the recipe's.

    Raises:
        DataError: there are no predictions of this part yet, or the table has changed.
    """
    path = session.predictions / f"{part}.csv"
    if not path.is_file():
        raise DataError(
            f"there are no predictions for the {part} part yet",
            where=path,
            remedy=f"Let the run finish: cxr-tui --resume {session.name}.",
        )
    described = session.read_json("dataset.json") or {}
    study = study or _study_of_session(session, cache)
    if settings is not None:
        changed = study.recipe.model_copy(update={"evaluate": settings})
        study = dataclasses.replace(study, recipe=changed)
    val_path = session.predictions / "val.csv"
    report = evaluate_part(
        study,
        part,
        read_predictions(path),
        read_predictions(val_path) if val_path.is_file() else None,
        dataset_share=_share(described.get("share_of_table")),
        warnings=_texts(described.get("test_warnings")) if part == "test" else (),
    )
    return report


def _share(kept: object) -> float | None:
    return float(kept) if isinstance(kept, int | float) and 0 <= kept <= 1 else None


def _texts(kept: object) -> tuple[str, ...]:
    return tuple(map(str, kept)) if isinstance(kept, list) else ()


def _study_of_session(session: Session, cache: Path) -> Study:
    study = prepare_study(
        session.recipe, cache, labels_only=True, recorded_split=session.path / "split.csv"
    )
    refuse_another_table(session, study)
    return study


def refuse_another_table(session: Session, study: Study) -> None:
    """Nothing of a session can be read beside labels that it was not run with.

    Raises:
        DataError: the label table has changed since.
    """
    known = (session.read_json("dataset.json") or {}).get("label_table_sha256")
    if known is not None and known != study.index.table_digest:
        raise DataError(
            "the label table has changed since the session was run",
            where=study.sources.labels,
            why="Its figures would mix two tables.",
            remedy="Bring the old table back.",
        )


def report_of_file(
    predictions: Path, labels: Path, settings: EvaluateSettings, *, test_list: Path | None
) -> tuple[dict[str, Any], JoinedPredictions, LabelTable]:
    """The figures of anybody's predictions, what was scored, and the labels that it was scored by.

    Where the images scored are those of NIH's test list, the split is known to be the
    official one, and published figures measured there may stand beside them.

    Raises:
        DataError: see ``join_predictions`` and ``read_label_table``.
    """
    table = read_label_table(labels)
    joined = join_predictions(
        predictions,
        images=table.images_N,
        patients=table.patients_N,
        findings=table.findings,
        labels_NF=table.labels_NA,
    )
    scored = joined.predictions
    is_official = _is_official_test(scored, test_list or labels.parent / TEST_LIST_NAME)
    context = EvaluationContext(
        split="test" if is_official else "all",
        split_kind="official" if is_official else "unknown",
        reference=settings.reference,
        operating_point=settings.operating_point,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        views=None if table.view_N is None else table.view_N[joined.table_rows],
        extra_warnings=joined.warnings,
        label_table=label_table_name(table.label_version, labels),
    )
    return evaluate(scored, context), joined, table


def _is_official_test(scored: Predictions, test_list: Path) -> bool:
    if not test_list.is_file():
        return False
    images = set(scored.images.tolist())
    return set(read_image_list(test_list, images).line_of) >= images
