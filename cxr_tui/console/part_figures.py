"""The figures and scores of a session's parts, computed and read on threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual import work
from textual.message import Message

from core.errors import CxrError
from core.evaluation.part_scores import PartScores, read_part_scores
from core.report_shape import PartReport
from core.store.session import EXTERNAL
from cxr_tui.console.background import Background
from cxr_tui.runs.figures_cache import ResultCache, Version
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.store.session import Session


class PartFigures(Background):
    """Figures and scores of one session, computed once for each version of the predictions."""

    class Known(Message):
        """New figures or scores, or why there are none."""

        def __init__(
            self,
            version: Version,
            *,
            report: PartReport | str | None = None,
            scores: PartScores | str | None = None,
            looks: Mapping[str, Any] | None = None,
        ) -> None:
            super().__init__()
            self.version, self.report, self.scores = version, report, scores
            self.looks = looks

    def __init__(self) -> None:
        super().__init__()
        self.cache: ResultCache | None = None

    def follow(self, session: Session | None) -> bool:
        """Switch to this session; return whether it is another one than before."""
        if session == (self.cache.session if self.cache else None):
            return False
        self.cache = None if session is None else ResultCache(session)
        return True

    def version(self, part: str) -> Version | None:
        """The current version of the part's predictions; None if there are none."""
        return self.cache.version(part) if self.cache else None

    def report(self, part: str) -> PartReport | str | None:
        """The part's figures, or a message why there are none (yet); None without predictions."""
        version = self.version(part)
        if self.cache is None or version is None:
            return None
        if self.cache.claim("report", version):
            self._compute(version)
        waiting = f"Computing the figures of {part}, with their intervals …"
        return self.cache.reports.get(version, waiting)

    def scores(self, part: str) -> PartScores | str:
        """The part's scores, or a message why there are none (yet)."""
        version = self.version(part)
        if self.cache is None or version is None:
            return "the predictions of this part are gone"
        if self.cache.claim("scores", version):
            self._read(version)
        return self.cache.scores.get(version, "reading the predictions …")

    def looks(self) -> Mapping[str, Any] | None:
        """The count of looks at the test part, of which this is one; None until it is counted."""
        if self.cache is None:
            return None
        version = Version(self.cache.session, "test", 0)
        if self.cache.claim("looks", version):
            self._count(version)
        return self.cache.looks

    # Not exclusive: a worker cancelled before it starts never answers, and each starts only once.
    @work(thread=True, group="report", description="compute the figures")
    def _compute(self, version: Version) -> None:
        from core.health.report import health_report_of_session

        report: PartReport | str
        try:
            if version.part.startswith(f"{EXTERNAL}/"):
                found = version.session.read_json(f"{version.part}/report.json") or {}
            else:
                cache = self.workspace.cache
                found = health_report_of_session(version.session, version.part, cache)
            report = PartReport.of(found)
        except (CxrError, OSError, ValueError) as error:
            report = visible(f"The figures of {version.part} can't be computed.\n\n{error}")
        self.post_message(self.Known(version, report=report))

    @work(thread=True, group="scores", description="read the predictions")
    def _read(self, version: Version) -> None:
        scores: PartScores | str
        try:
            scores = read_part_scores(version.session, version.part)
        except (CxrError, OSError) as error:
            reason = error.what if isinstance(error, CxrError) else error.strerror
            scores = visible(f"no curve: {version.part}.csv: {reason}")
        self.post_message(self.Known(version, scores=scores))

    @work(thread=True, group="looks", description="count the looks at test")
    def _count(self, version: Version) -> None:
        from core.store.ledger import look

        self.post_message(self.Known(version, looks=look(version.session, "Results").as_json()))

    def on_part_figures_known(self, message: Known) -> None:
        """Store the results, unless they belong to an earlier session."""
        if self.cache is None or self.cache.session != message.version.session:
            message.stop()
            return
        if message.report is not None:
            self.cache.reports[message.version] = message.report
        if message.looks is not None:
            self.cache.looks = message.looks
        if message.scores is not None:
            self.cache.scores[message.version] = message.scores
