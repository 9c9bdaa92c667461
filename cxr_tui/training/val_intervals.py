"""The intervals of the best epoch's val AUROC, once a run has ended."""

from __future__ import annotations

from collections.abc import Mapping

from cxr_tui.console.part_figures import PartFigures
from cxr_tui.runs.open_session import OpenSession
from cxr_tui.training.auroc_table import MEAN

Intervals = Mapping[str, tuple[float, float]]


def val_intervals(shown: OpenSession, figures: PartFigures) -> Intervals:
    """Finding -> interval, if known; none while the run continues."""
    if shown.view.state not in ("finished", "stopped") or shown.is_ours:
        return {}
    figures.follow(shown.session)
    report = figures.report("val")
    if report is None or isinstance(report, str):  # Results says why; here there is no column
        return {}
    bounds = {name: figures.auroc_ci for name, figures in report.findings.items()}
    bounds[MEAN] = report.mean_auroc_ci
    return {name: ends for name, ends in bounds.items() if ends is not None}
