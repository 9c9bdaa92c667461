"""The session's own side of a comparison: its test predictions, thresholds and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.study.study import Study, prepare_study
from core.data.tables.label_columns import LabelTable
from core.errors import CxrError
from core.evaluation.part_report import refuse_another_table, study_of_session
from core.evaluation.predictions import Predictions, read_predictions
from core.store.files import is_file
from core.store.session import Session


@dataclass(frozen=True, eq=False)
class OwnSide:
    """What a session is known by.

    Attributes:
        test, val: its predictions; None before the run has made them.
        study: its tables; None if they are gone or changed.
        with_images: the same with the images that are still there; None if their folder is gone.
        notes: what is missing, in sentences.
    """

    session: Session
    test: Predictions | None
    val: Predictions | None
    study: Study | None
    with_images: Study | None = None
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str | None:
        """Its data set's kind, as it was recorded."""
        kind = (self.session.read_json("dataset.json") or {}).get("kind")
        return kind if isinstance(kind, str) else None

    @property
    def known_as(self) -> str | None:
        """Whose patients its numbers are of; None if its tables are gone."""
        return None if self.study is None else self.study.patients_known_as

    def tables(self) -> list[LabelTable]:
        """The table of each of its data sets; none if they are gone."""
        if self.study is None:
            return []
        return list(self.study.index.each.values()) or [self.study.index.table]

    def images(self, *parts: str) -> list[str]:
        """Names of the images of these parts that are still there."""
        if self.with_images is None:
            return []
        index = self.with_images.index
        rows = [row for part in parts for row in self.with_images.rows(part)]
        return [name for row in rows if (name := str(index.images[row])) in index.files]

    def test_table(self) -> LabelTable | None:
        """The rows of the test predictions in the session's table; None without either."""
        if self.study is None or self.test is None:
            return None
        row_of = {name: row for row, name in enumerate(self.study.index.images)}
        if not all(name in row_of for name in self.test.images):
            return None  # some were removed since
        rows = np.asarray([row_of[name] for name in self.test.images], dtype=np.int64)
        return self.study.index.table.take(rows)

    def train_table(self) -> LabelTable | None:
        """The rows of the train part in the session's table."""
        if self.study is None:
            return None
        return self.study.index.table.take(self.study.rows("train"))


def own_side(session: Session, cache: Path) -> OwnSide:
    """Read what there is.

    Raises:
        DataError: a predictions file is damaged.
    """
    notes: list[str] = []
    test, val = (_predictions(session, part) for part in ("test", "val"))
    if test is None:
        notes.append(
            "The session has no test figures yet, so there is nothing to compare with: let the "
            "run finish, then run this again with --replace."
        )
    if val is None:
        notes.append("The session has no predictions on val yet, so there are no thresholds.")
    study = with_images = None
    try:
        with_images = _with_images(session, cache)
        is_whole = with_images is not None and not with_images.index.absent
        study = with_images if is_whole else study_of_session(session, cache)
    except (CxrError, OSError) as error:
        notes.append(
            f"The session's own tables can't be read ({_said(error)}): case mix is not known, and "
            "what age, sex and view alone reach is not shown."
        )
    return OwnSide(session, test, val, study, with_images, tuple(notes))


def _with_images(session: Session, cache: Path) -> Study | None:
    """The session's study with the images that are left; None if their folder is gone."""
    recipe = session.recipe
    partial = recipe.dataset.model_copy(update={"partial": True})
    split = session.path / "split.csv"
    try:
        study = prepare_study(
            recipe.model_copy(update={"dataset": partial}),
            cache,
            recorded_split=split if is_file(split) else None,
            without_gone=True,
        )
    except (CxrError, OSError):
        return None
    refuse_another_table(session, study)
    return study


def _said(error: CxrError | OSError) -> str:
    return error.what if isinstance(error, CxrError) else str(error.strerror or error)


def _predictions(session: Session, part: str) -> Predictions | None:
    path = session.predictions / f"{part}.csv"
    return read_predictions(path) if is_file(path) else None
