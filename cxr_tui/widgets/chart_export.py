"""A chart into the session's directory: the picture and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.store.files import write_whole
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from cxr_tui.widgets.line_chart import Chart


@dataclass(frozen=True)
class ChartExport:
    """What to write, and under which names: ``charts/loss.png`` and ``charts/loss.csv``."""

    session_path: Path
    curve: str
    chart: Chart

    def write(self) -> str:
        """Write both, whole or not at all; what came of it, for a person. Call it on a thread."""
        from cxr_tui.widgets.chart_picture import chart_csv, chart_png

        folder = self.session_path / "charts"
        stem = folder / self.curve.replace(" ", "-")
        scale = ", log scale" if self.chart.log_scale else ""
        caption = f"{self.session_path.name}, {datetime.now():%Y-%m-%d %H:%M}"
        picture = chart_png(self.chart, f"{self.curve}{scale}", visible(caption))
        if picture is None:
            return f"there is no {self.curve} to export yet"
        try:
            folder.mkdir(exist_ok=True)
            write_whole(stem.with_suffix(".png"), picture)
            write_whole(stem.with_suffix(".csv"), chart_csv(self.chart))
        except OSError as error:  # a full disk, another user's session, one deleted meanwhile
            return f"{folder} can't be written: {error.strerror}. Nothing was lost but the picture."
        return f"written: {stem}.png and .csv"
