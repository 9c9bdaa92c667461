"""The source of a part's figures: the run's events, or its predictions."""

from __future__ import annotations

from core.report_shape import PartReport
from core.store.session import EXTERNAL
from cxr_tui.console.part_figures import PartFigures
from cxr_tui.reports.notes import missing_words
from cxr_tui.runs.open_session import OpenSession
from cxr_tui.terminal.key_names import key_line, key_of


def report_at_hand(shown: OpenSession | None, figures: PartFigures, part: str) -> PartReport | str:
    """The figures of a part of the session shown, or why there are none."""
    if shown is None:
        return _nothing_shown()
    if part == "test" and shown.view.report is not None:
        return shown.view.report
    report = figures.report(part) if part != "test" else None
    if report is not None:
        return report
    if is_external(part):
        return f"The figures of {part} are gone."
    return missing_words(
        shown.view,
        shown.name,
        part,
        is_reading=shown.source.past.is_reading,
        is_written=shown.is_ours or shown.session.is_being_written(),
        val_is_there=figures.version("val") is not None,
        is_sealed=figures.cache is not None and figures.cache.is_sealed,
    )


def is_external(part: str) -> bool:
    """Whether these are the figures of another data set, rather than a part of the session's."""
    return part.startswith(f"{EXTERNAL}/")


def _nothing_shown() -> str:
    choose = "choose one; its results appear here when its run has ended"
    return "\n".join(
        [
            "No session is shown.",
            "",
            key_line(key_of("mode.sessions"), choose),
            key_line(key_of("mode.sessions", "sessions.new"), "train on the synthetic set"),
        ]
    )
