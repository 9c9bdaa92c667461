"""Where a screen gets a session's figures from: events, files, and work on threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual import work
from textual.message import Message

from core.errors import CxrError
from core.evaluation.part_scores import PartScores, Reading, read_part_scores
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.reports.notes import missing_words
from cxr_tui.runs.figures_cache import ResultCache, Version
from cxr_tui.terminal.safe_text import visible

_NOTHING_SHOWN = """No session is shown.

1           choose one; its figures come here when its run has ended
1, n        train on the synthetic set"""

Report = Mapping[str, Any]


class FiguresScreen(ConsoleScreen):
    """Knows the figures and the scores of the part that is read, or why they are not there."""

    class Reported(Message):
        """The figures of val, computed on a thread; or why they can't be."""

        def __init__(self, version: Version, report: Report | str) -> None:
            super().__init__()
            self.version, self.report = version, report

    class ScoresRead(Message):
        """The scores of a part with their curves, read on a thread; or why they can't be."""

        def __init__(self, version: Version, scores: PartScores | str) -> None:
            super().__init__()
            self.version, self.scores = version, scores

    def __init__(self) -> None:
        super().__init__()
        self._cache: ResultCache | None = None
        self._reading = Reading()

    def _follow_desk(self) -> None:
        """Another session begins afresh: its test part, its own reference and threshold."""
        shown = self.workspace.shown
        if shown is None:
            self._cache = None
        elif self._cache is None or self._cache.session != shown.session:
            self._cache, self._reading = ResultCache(shown.session), Reading()

    def _report(self) -> Report | str:
        """The figures of the part, or in words why they are not there."""
        shown, cache = self.workspace.shown, self._cache
        if shown is None or cache is None:
            return _NOTHING_SHOWN
        part = self._reading.part
        if part == "test" and shown.view.report is not None:
            return shown.view.report
        val = cache.version("val")
        if part == "val" and val is not None:
            if cache.claim("report", val):
                self._compute_report(val)
            return cache.reports.get(val, "Computing the figures of val, with their intervals …")
        return missing_words(
            shown.view,
            shown.name,
            part,
            is_reading=bool(getattr(shown.source, "is_reading", False)),
            is_written=shown.is_ours or shown.session.is_being_written(),
            val_is_there=val is not None,
        )

    # Not exclusive: one that is cancelled before it begins never answers, and each is begun once.
    @work(thread=True, group="report", description="compute the figures")
    def _compute_report(self, version: Version) -> None:
        from core.health.report import health_report_of_session

        report: Report | str
        try:
            report = health_report_of_session(version.session, version.part, self.workspace.cache)
        except (CxrError, OSError) as error:
            report = visible(f"The figures of {version.part} can't be computed.\n\n{error}")
        self.post_message(self.Reported(version, report))

    def _scores(self) -> PartScores | str:
        """The scores of the part; they are read once, and until then a word says so."""
        version = self._cache.version(self._reading.part) if self._cache else None
        if self._cache is None or version is None:
            return "the predictions of this part are gone"
        if self._cache.claim("scores", version):
            self._read_scores(version)
        return self._cache.scores.get(version, "reading the predictions …")

    @work(thread=True, group="scores", description="read the predictions")
    def _read_scores(self, version: Version) -> None:
        scores: PartScores | str
        try:
            scores = read_part_scores(version.session, version.part)
        except (CxrError, OSError) as error:
            reason = error.what if isinstance(error, CxrError) else error.strerror
            scores = visible(f"no curve: {version.part}.csv: {reason}")
        self.post_message(self.ScoresRead(version, scores))

    def on_figures_screen_reported(self, message: Reported) -> None:
        """Keep the figures of val, and show them."""
        if self._cache is not None and self._cache.session == message.version.session:
            self._cache.reports[message.version] = message.report
            self.refresh_view()

    def on_figures_screen_scores_read(self, message: ScoresRead) -> None:
        """Keep the scores, and draw their curves."""
        if self._cache is not None and self._cache.session == message.version.session:
            self._cache.scores[message.version] = message.scores
            self.refresh_view()
