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
    """What to write, to files such as ``charts/loss.png``, ``loss.svg`` and ``loss.csv``."""

    session_path: Path
    name: str
    title: str
    chart: Chart

    def write(self) -> str:
        """Write all files and return a message for the user. Call it on a thread."""
        try:
            written = self.write_files()
        except OSError as error:  # a full disk, another user's session, one deleted meanwhile
            folder = self.session_path / "charts"
            return f"{folder} can't be written: {error.strerror}. Nothing was lost but the picture."
        if not written:
            return f"there is no {self.name} to export yet"
        png, svg, csv = written
        return f"written: {png}, {svg.suffix} and {csv.suffix}"

    def write_files(self) -> list[Path]:
        """Write all files and return their paths; none if there is nothing to draw.

        Raises:
            OSError: the disk is full or can't be written.
        """
        from cxr_tui.widgets.chart_picture import chart_files

        folder = self.session_path / "charts"
        caption = f"{self.session_path.name}, {datetime.now():%Y-%m-%d %H:%M}"
        files = chart_files(self.chart, visible(self.title), visible(caption))
        stem = self.name.replace(" ", "-")
        if files:
            folder.mkdir(exist_ok=True)
        for suffix, content in files.items():
            write_whole(folder / (stem + suffix), content)
        return [folder / (stem + suffix) for suffix in files]
