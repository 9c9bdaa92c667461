"""The intervals of the best epoch's val AUROC, once a run is over."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from textual import work
from textual.message import Message

from core.errors import CxrError
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.runs.figures_cache import ResultCache, Version
from cxr_tui.runs.open_session import OpenSession
from cxr_tui.training.auroc_table import MEAN

Intervals = Mapping[str, tuple[float, float]]


class ValIntervalsScreen(ConsoleScreen):
    """Works them out on a thread, once for each version of the predictions."""

    class Worked(Message):
        """The report of val, or None where it can't be made."""

        def __init__(self, version: Version, report: Mapping[str, object] | None) -> None:
            super().__init__()
            self.version, self.report = version, report

    def __init__(self) -> None:
        super().__init__()
        self._cache: ResultCache | None = None

    def val_intervals(self, shown: OpenSession) -> Intervals:
        """Finding -> interval, as far as they are known; none while the run goes on."""
        if shown.view.state not in ("finished", "stopped") or shown.is_ours:
            return {}
        if self._cache is None or self._cache.session != shown.session:
            self._cache = ResultCache(shown.session)
        version = self._cache.version("val")
        if version is None:
            return {}
        if self._cache.claim("report", version):
            self._work_out(version)
        report = self._cache.reports.get(version)
        return {} if report is None or isinstance(report, str) else _intervals(report)

    @work(thread=True, group="intervals", description="work out intervals")
    def _work_out(self, version: Version) -> None:
        from core.health.report import health_report_of_session

        report = None
        with contextlib.suppress(CxrError, OSError):  # Results says why; here no column comes
            report = health_report_of_session(version.session, version.part, self.workspace.cache)
        self.post_message(self.Worked(version, report))

    def on_val_intervals_screen_worked(self, message: Worked) -> None:
        """Keep them, and show them."""
        cache = self._cache
        if cache is not None and cache.session == message.version.session and message.report:
            cache.reports[message.version] = message.report
            self.refresh_view()


def _intervals(report: Mapping[str, object]) -> Intervals:
    findings = report.get("findings")
    known = dict(findings) if isinstance(findings, Mapping) else {}
    bounds = {
        name: entry.get("auroc_ci") for name, entry in known.items() if isinstance(entry, Mapping)
    }
    bounds[MEAN] = report.get("mean_auroc_ci")
    return {
        name: (float(pair[0]), float(pair[1]))
        for name, pair in bounds.items()
        if isinstance(pair, list | tuple) and len(pair) == 2 and None not in pair
    }
