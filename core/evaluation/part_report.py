"""The figures of one part of a study, from a session's predictions or a file from any source."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.collections.reading import TableReading, read_labels
from core.data.study.audit import policy_of
from core.data.study.audit_report import policy_in_words
from core.data.study.further_columns import columns_of_study, further_columns
from core.data.study.part_draw import warning_of_figures
from core.data.study.sources import TEST_LIST_NAME
from core.data.study.study import Study, prepare_study
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_columns import LabelTable
from core.data.tables.label_version import label_table_name
from core.errors import DataError
from core.evaluation.calibrating.kept_recalibration import recalibration_of
from core.evaluation.calibrating.recalibration import Recalibration
from core.evaluation.joining import JoinedPredictions, join_predictions
from core.evaluation.predictions import Predictions, read_predictions
from core.evaluation.report import EvaluationContext, evaluate
from core.evaluation.subgroups.groups import attributes_of
from core.evaluation.table_baseline import TableAlone, table_alone
from core.findings import PRESENT, VIEW_CLASSES
from core.recipe import DatasetSettings, EvaluateSettings
from core.store.sealed import refuse_sealed
from core.store.session import Session

_EVERY_VIEW = TableReading(dataset=DatasetSettings(views=VIEW_CLASSES))


def evaluate_part(
    study: Study,
    part: str,
    predictions: Predictions,
    val: Predictions | None,
    *,
    dataset_share: float | None = None,
    warnings: tuple[str, ...] = (),
    recalibration: Recalibration | None = None,
    prevalence: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The report of a part, under the recipe's rules; see ``core.evaluation.report``.

    Views and sampling weights come from the study, by image name, since the predictions may lack
    images that could not be decoded.
    """
    settings = study.recipe.evaluate
    index = study.index
    row_of = {name: row for row, name in enumerate(index.images)}

    def rows_of(scored: Predictions) -> NDArray[np.int64]:
        return np.asarray([row_of[name] for name in scored.images], dtype=np.int64)

    rows = rows_of(predictions)
    draw = study.drawn.draws.get(part)
    further = {name: values_N[rows] for name, values_N in columns_of_study(study).items()}
    drawn = warning_of_figures(part, draw) if draw is not None else None
    return evaluate(
        predictions,
        EvaluationContext(
            split=part,
            split_kind=_split_kind(study),
            kind=index.table.kind,
            official_part=official_part_of(index.table, rows),
            reference=settings.reference,
            operating_point=settings.operating_point,
            bootstrap=settings.bootstrap,
            seed=settings.seed,
            views=None if index.table.view_N is None else index.table.view_N[rows],
            val=val,
            table_alone=table_alone_of(study, rows),
            extra_warnings=(*warnings, drawn) if drawn else warnings,
            dataset_share=dataset_share,
            label_table=study.label_table,
            labels_note=index.table.labels_note,
            label_policy=(*policy_in_words(policy_of(index)), *index.table.notes),
            patients_are_known=index.table.patients_are_known,
            natural_prevalence=draw.natural_prevalence if draw and draw.is_drawn else None,
            weights=study.sampling_weights(part, rows),
            attributes=attributes_of(index.table.take(rows), further),
            recalibration=recalibration,
            prevalence=prevalence,
            train_prevalence=_train_prevalence(study),
        ),
    )


def _train_prevalence(study: Study) -> dict[str, float]:
    """Of each finding with a known label in train."""
    labels_NF = study.index.labels_NF[study.rows("train")]
    return {
        finding: float((labels_N[~np.isnan(labels_N)] == PRESENT).mean())
        for finding, labels_N in zip(study.index.findings, labels_NF.T, strict=True)
        if not np.isnan(labels_N).all()
    }


def _split_kind(study: Study) -> str:
    """How the split was drawn; NIH's own lists or a collection's own parts make it official."""
    by = study.recipe.split.by
    if by == "official" and study.index.table.kind not in ("nih", "table"):
        return by
    return "lists" if by == "official" and study.patients_known_as != "nih" else by


def official_part_of(table: LabelTable, rows: NDArray[np.int64]) -> str | None:
    """The collection and its official part that all these images are of."""
    if table.official_N is None or not len(rows):
        return None
    parts = set(table.official_N[rows].tolist())
    return f"{table.kind} {parts.pop()}" if len(parts) == 1 and "" not in parts else None


def table_alone_of(study: Study, scored: NDArray[np.int64]) -> TableAlone:
    """AUROC of age, sex, view and follow-up alone on these rows, fitted on the study's train
    part."""
    train = study.rows("train")
    table = study.index.table
    return table_alone(table.take(train), table.take(scored), study.index.findings)


def report_of_session(
    session: Session,
    part: str,
    cache: Path,
    *,
    study: Study | None = None,
    settings: EvaluateSettings | None = None,
    prevalence: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The figures of a part from a session's predictions.

    Labels, views and split are the session's own; images are not needed. A label table that has
    changed since is refused. ``settings`` replace the recipe's; ``prevalence`` is as in
    ``EvaluationContext``.

    Raises:
        DataError: there are no predictions of this part yet, or the table has changed.
    """
    refuse_sealed(session, part)
    path = session.predictions / f"{part}.csv"
    if not path.is_file():
        raise DataError(
            f"there are no predictions for the {part} part yet",
            where=path,
            remedy=f"Let the run finish: cxr-tui --resume {session.name}.",
        )
    described = session.read_json("dataset.json") or {}
    study = study or study_of_session(session, cache)
    if settings is not None:
        changed = study.recipe.model_copy(update={"evaluate": settings})
        study = dataclasses.replace(study, recipe=changed)
    val_path = session.predictions / "val.csv"
    val = read_predictions(val_path) if val_path.is_file() else None
    report = evaluate_part(
        study,
        part,
        read_predictions(path),
        val,
        dataset_share=_share(described.get("share_of_table")),
        warnings=_texts(described.get("test_warnings")) if part == "test" else (),
        recalibration=recalibration_of(session, study.recipe.evaluate.recalibrate, val),
        prevalence=prevalence,
    )
    return report


def _share(kept: object) -> float | None:
    return float(kept) if isinstance(kept, int | float) and 0 <= kept <= 1 else None


def _texts(kept: object) -> tuple[str, ...]:
    return tuple(map(str, kept)) if isinstance(kept, list) else ()


def study_of_session(session: Session, cache: Path) -> Study:
    """The study of a session, without its images.

    Raises:
        DataError: the label table has changed since.
    """
    study = prepare_study(
        session.recipe, cache, labels_only=True, recorded_split=session.path / "split.csv"
    )
    refuse_another_table(session, study)
    return study


def refuse_another_table(session: Session, study: Study) -> None:
    """Refuse to read a session with labels other than those it was run with.

    Raises:
        DataError: the label table has changed since.
    """
    known = (session.read_json("dataset.json") or {}).get("label_table_sha256")
    if known is not None and known != study.index.table.digest:
        raise DataError(
            "the label table has changed since the session was run",
            where=study.sources.labels,
            why="Its results would mix two tables.",
            remedy="Restore the old table.",
        )


def report_of_file(
    predictions: Path,
    labels: Path,
    settings: EvaluateSettings,
    *,
    test_list: Path | None,
    prevalence: tuple[str, ...] = (),
) -> tuple[dict[str, Any], JoinedPredictions, LabelTable]:
    """The figures of predictions from any source, the images scored, and the labels used.

    If the images scored are those of NIH's test list, the split is known to be the official one,
    and published figures measured on it may be shown next to them.

    Raises:
        DataError: see ``join_predictions`` and ``read_labels``.
    """
    table = read_labels(labels, reading=_EVERY_VIEW)
    joined = join_predictions(
        predictions,
        images=table.images_N,
        patients=table.patients_N,
        findings=table.findings,
        labels_NF=table.labels_NA,
    )
    scored = joined.predictions
    official_part = official_part_of(table, joined.table_rows)
    is_official = official_part is not None
    if table.kind in ("nih", "table"):
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
        labels_note=table.labels_note,
        label_policy=table.notes,
        patients_are_known=table.patients_are_known,
        kind=table.kind,
        official_part=official_part,
        attributes=attributes_of(
            table.take(joined.table_rows),
            further_columns(labels, table.images_N[joined.table_rows], settings.subgroups),
        ),
        prevalence=prevalence,
    )
    return evaluate(scored, context), joined, table


def _is_official_test(scored: Predictions, test_list: Path) -> bool:
    if not test_list.is_file():
        return False
    images = set(scored.images.tolist())
    return set(read_image_list(test_list, images).line_of) >= images
