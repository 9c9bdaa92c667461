"""The runs to compare: sessions, or anybody's predictions with a label table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.data.collections.reading import TableReading, read_labels
from core.errors import CxrError, DataError, UsageError
from core.evaluation.joining import join_predictions
from core.evaluation.predictions import Predictions, read_predictions
from core.evaluation.score_table import (
    IMAGE_COLUMN,
    PATIENT_COLUMN,
    SCORE_PREFIX,
    SOURCE_COLUMN,
    csv_lines,
)
from core.findings import VIEW_CLASSES
from core.recipe import DatasetSettings, Recipe
from core.store.files import is_file
from core.store.sealed import refuse_sealed
from core.store.session import Session
from core.store.sessions import open_session

_EVERY_VIEW = TableReading(dataset=DatasetSettings(views=VIEW_CLASSES))


@dataclass(frozen=True)
class ScoredRun:
    """One network's scores of the test images.

    Attributes:
        name: the session's, or the file as the user wrote it.
        test: scores, labels and patients.
        val: those of val, on which thresholds are chosen; None if there are none.
        session: where it is from; None for a file of predictions.
        warnings: what was noticed when its scores were read.
    """

    name: str
    test: Predictions
    val: Predictions | None = None
    session: Session | None = None
    warnings: tuple[str, ...] = ()

    @cached_property
    def recipe(self) -> Recipe | None:
        """The session's, as it was run."""
        return None if self.session is None else self.session.recipe

    @property
    def seed(self) -> int | None:
        """The training's seed, if known."""
        return None if self.recipe is None else self.recipe.train.seed


def read_runs(
    names: Sequence[str], sessions: Path, labels: Path | None = None
) -> tuple[ScoredRun, ...]:
    """Read each run, in order.

    A name is a session's, its folder's, its ``predictions/test.csv``, or a CSV of scores. A CSV
    without labels is joined to ``labels``, or to the labels of the first run that has some.

    Raises:
        SessionError: there is no such session.
        DataError: no predictions yet, or a file that can't be read.
        UsageError: scores without any labels.
    """
    found: dict[str, ScoredRun] = {}
    unlabelled = []
    for name in dict.fromkeys(names):
        session = _session_of(name, sessions)
        if session is not None:
            found[name] = run_of_session(session)
        elif labels is None and _has_labels(Path(name)):
            found[name] = ScoredRun(name, read_predictions(Path(name)))
        else:
            unlabelled.append(name)
    if unlabelled and labels is not None:
        found |= _joined_to_table(unlabelled, labels)
    elif unlabelled:
        found |= _joined_to_another(unlabelled, found)
    return tuple(found[name] for name in names)


def run_of_session(session: Session) -> ScoredRun:
    """A finished session's run.

    Raises:
        DataError: it is still being written, its test part is sealed, or has no predictions.
    """
    if session.is_being_written():
        raise DataError(
            "its run is still going, so its figures aren't final",
            where=session.path,
            remedy="Wait for its end, or stop it.",
        )
    refuse_sealed(session)
    refuse_sealed(session, "test")
    test = session.predictions_of("test")
    if not is_file(test):
        raise DataError(
            "there are no predictions for the test part yet",
            where=test,
            remedy=f"Let the run finish: cxr-tui --resume {session.name}.",
        )
    val = session.predictions_of("val")
    return ScoredRun(
        session.name,
        read_predictions(test),
        read_predictions(val) if is_file(val) else None,
        session,
    )


def _session_of(name: str, sessions: Path) -> Session | None:
    """The session meant; None if it is a file of predictions."""
    path = Path(name)
    if name and is_file(path):
        folder = path.absolute().parent.parent
        is_own = path.name == "test.csv" and path.absolute().parent.name == "predictions"
        return Session(folder) if is_own and is_file(folder / "recipe.toml") else None
    if name and path.exists() and not path.is_dir():
        return None  # a pipe, say: refused where it is opened
    if path.suffix.casefold() == ".csv" and not (sessions / name).is_dir() and not path.is_dir():
        raise DataError(
            "there is no such file",
            where=name,
            remedy="Name a session, or a CSV of predictions.",
        )
    return open_session(name, sessions)


def _has_labels(path: Path) -> bool:
    """Whether a file has the columns of a session's predictions, which include labels."""
    header = next(csv_lines(path))[1]
    first = 3 if header[2:3] == [SOURCE_COLUMN] else 2
    pairs = list(zip(header[first::2], header[first + 1 :: 2], strict=False))
    return (
        header[:2] == [IMAGE_COLUMN, PATIENT_COLUMN]
        and bool(pairs)
        and len(header) == first + 2 * len(pairs)
        and all(score == SCORE_PREFIX + finding for finding, score in pairs)
    )


def _joined_to_table(names: Sequence[str], labels: Path) -> dict[str, ScoredRun]:
    table = read_labels(labels, reading=_EVERY_VIEW)
    found = {}
    for name in names:
        joined = join_predictions(
            Path(name),
            images=table.images_N,
            patients=table.patients_N,
            findings=table.findings,
            labels_NF=table.labels_NA,
        )
        found[name] = ScoredRun(name, joined.predictions, warnings=joined.warnings)
    return found


def _joined_to_another(
    names: Sequence[str], labelled: dict[str, ScoredRun]
) -> dict[str, ScoredRun]:
    """Scores with the labels of another run; images that it lacks stay, without labels."""
    if not labelled:
        raise UsageError(
            f"{names[0]}: predictions without labels need --labels FILE.csv",
            why="Scores alone say nothing: they are joined to a label table on Image Index.",
            remedy="Name NIH's Data_Entry_2017_v2020.csv, or your own table.",
        )
    other = next(iter(labelled.values()))
    found = {}
    for name in names:
        try:
            joined = join_predictions(
                Path(name),
                images=other.test.images,
                patients=other.test.patients,
                findings=other.test.findings,
                labels_NF=other.test.labels_NF,
            )
        except CxrError as error:
            error.add_note(f"labels are those of {other.name}")
            raise
        said = f"labels of {name} are those of {other.name}"
        found[name] = ScoredRun(name, joined.filed.predictions, warnings=(said,))
    return found


__all__ = ["ScoredRun", "read_runs", "run_of_session"]
