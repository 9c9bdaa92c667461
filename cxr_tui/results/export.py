"""Results as files: the table, and the charts of the current finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_tui.reports.figure_export import write_tables
from cxr_tui.reports.figure_rows import Figures
from cxr_tui.widgets.chart_export import ChartExport


@dataclass(frozen=True)
class ResultsExport:
    """What to write to a session's directory."""

    session_path: Path
    part: str
    figures: Figures
    title: str
    notes: Sequence[str]
    finding: str
    charts: Sequence[ChartExport]
    without_charts: str = ""
    """Why there are no scores to draw; '' if there are."""

    def write(self) -> str:
        """Write all files and return a message for the user. Call it on a thread."""
        stem = self.session_path / f"results-{self.part}"
        try:
            written = write_tables(stem, self.figures, self.title, self.notes)
        except OSError as error:
            return f"{stem} can't be written ({error.strerror})"
        words = f"written: {' and '.join(path.name for path in written)} in {self.session_path}"
        try:
            drawn = [path for chart in self.charts for path in chart.write_files()]
        except OSError as error:
            return f"{words}; its charts can't be written ({error.strerror})"
        if self.without_charts:
            return f"{words}, without charts: {self.without_charts}"
        return words + (f", the charts of {self.finding} in charts/" if drawn else "")
