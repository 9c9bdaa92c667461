"""Everything that a report reads from one session, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.study.study import Study
from core.document.history import History
from core.document.later_figures import with_later_figures
from core.errors import CxrError, DataError, SessionError
from core.evaluation.part_report import study_of_session
from core.evaluation.part_scores import PartScores, read_part_scores
from core.recipe import Recipe
from core.report_shape import PartReport
from core.store.ledger import Looks, look
from core.store.sealed import refuse_sealed
from core.store.session import Session
from core.store.summary import SessionSummary

TEST_FIGURES = "evaluation/test.json"


@dataclass(frozen=True, eq=False)
class Facts:
    """A finished session, read.

    Attributes:
        state: how its last run ended, as in the list of sessions.
        described: dataset.json.
        environment: environment.json.
        report: evaluation/test.json, with every key; what an earlier version left out is added.
        figures: the same, validated.
        localization: evaluation/localization.json; None if no maps were measured.
        scores: the test part's predictions and curves; None if they can't be read.
        scores_missing: why not.
        study: the data set's tables and parts; None if they can't be read any more.
        study_missing: why not.
        looks: how often the test part was looked at, this report included.
        cache: the folder of caches.
    """

    session: Session
    state: str
    recipe: Recipe
    history: History
    described: Mapping[str, Any]
    environment: Mapping[str, Any]
    report: Mapping[str, Any]
    figures: PartReport
    localization: Mapping[str, Any] | None
    scores: PartScores | None
    scores_missing: str
    study: Study | None
    study_missing: str
    looks: Looks
    cache: Path

    @property
    def name(self) -> str:
        """The session's name."""
        return self.session.name

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings with figures, in order."""
        return tuple(self.figures.findings)


def read_facts(session: Session, cache: Path) -> Facts:
    """Read a session for its report; its images and tables may be gone.

    Raises:
        SessionError: it is still going, or one of its files is damaged.
        DataError: there are no test figures, test is sealed, or they can't be drawn.
    """
    _refuse_going(session)
    refuse_sealed(session)
    report = session.read_json(TEST_FIGURES)
    if not report or not report.get("findings"):
        raise DataError(
            "there are no test figures yet",
            where=session.path / TEST_FIGURES,
            why="A report without them would have no results.",
            remedy=f"Let the run finish: cxr-tui --resume {session.name}.",
        )
    try:
        figures = PartReport.of(report)
    except ValueError as fault:
        raise DataError(
            f"is not a report of figures ({fault})",
            where=session.path / TEST_FIGURES,
            remedy=f"Write it again: cxr-tui evaluate {session.name}.",
        ) from None
    scores, scores_missing = _scores(session)
    study, study_missing = _study(session, cache)
    predictions = None if scores is None else scores.predictions
    return Facts(
        session=session,
        state=SessionSummary.of(session).state,
        recipe=session.recipe,
        history=History.of(session),
        described=session.read_json("dataset.json") or {},
        environment=session.read_json("environment.json") or {},
        report=with_later_figures(report, predictions, study),
        figures=figures,
        localization=session.read_json("evaluation/localization.json"),
        scores=scores,
        scores_missing=scores_missing,
        study=study,
        study_missing=study_missing,
        looks=look(session, "report"),
        cache=cache,
    )


def _refuse_going(session: Session) -> None:
    if session.is_being_written():
        raise SessionError(
            "its run is still going",
            where=session.path,
            why="The report would hold figures that change.",
            remedy="Wait for its end, or stop it; a suspended process also counts.",
        )


def _scores(session: Session) -> tuple[PartScores | None, str]:
    try:
        return read_part_scores(session, "test"), ""
    except CxrError as error:
        return None, words_of(error)


def _study(session: Session, cache: Path) -> tuple[Study | None, str]:
    try:
        return study_of_session(session, cache), ""
    except CxrError as error:
        return None, words_of(error)
    except OSError as error:
        return None, f"The data set can't be read ({error.strerror})."


def words_of(error: CxrError) -> str:
    """What is wrong, without the place: a report names no path of a machine."""
    what = error.what[:1].upper() + error.what[1:]
    return " ".join(part for part in (f"{what.rstrip('.')}.", error.why) if part)
