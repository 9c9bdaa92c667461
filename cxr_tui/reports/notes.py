"""What is said beside a report's figures: notes, operating points, what is missing; no Textual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.evaluation.part_scores import BY_HAND, FindingCurves, OperatingPoint
from core.evaluation.references import ReferenceShown
from cxr_tui.reports.figure_rows import FigureRow, Figures
from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.safe_text import duration, visible

FEW_PATIENTS_NOTE = "read the interval, not the number"
"""How the engine's note on few patients ends; a finding's other notes are alarms."""

_RULES = {
    "youden": "Youden's index",
}


@dataclass(frozen=True)
class Note:
    """A sentence of the notes; an alarm stands before the rest."""

    text: str
    is_alarm: bool = False


def alarm_of(note: str) -> bool:
    """Whether a finding's note says more than that its patients are few."""
    return any(part and not part.endswith(FEW_PATIENTS_NOTE) for part in note.split("; "))


def notes_of(report: Mapping[str, Any], figures: Figures, chosen: str) -> list[Note]:
    """All that a reader of the figures should know: of the finding chosen first."""
    notes: list[Note] = []
    for row in figures.findings:
        alarms = [part for part in row.note.split("; ") if alarm_of(part)]
        if alarms and row.name != chosen:
            notes.append(Note(f"{row.name}: {'; '.join(alarms)}", True))
    own_reference = (report.get("reference") or {}).get("note")
    warnings = [text for text in report.get("warnings") or () if text != own_reference]
    notes += [Note(text, True) for text in warnings]
    table = report.get("table_alone") or {}
    if table.get("mean_auroc") is not None:
        notes.append(
            Note("table alone: what age, sex, view and follow-up number reach without an image")
        )
    elif table.get("note"):
        notes.append(Note(f"table alone: {table['note']}"))
    if report.get("label_table"):
        notes.append(Note(f"labels: {report['label_table']}"))
    if report.get("labels_note"):
        notes.append(Note(str(report["labels_note"])))
    notes.sort(key=lambda note: not note.is_alarm)
    if figures.reference is not None:
        notes.insert(0, Note(reference_words(figures.reference)))
    own = next((row.note for row in figures.findings if row.name == chosen), "")
    if own:
        notes.insert(0, Note(f"{chosen}: {own}", alarm_of(own)))
    return [Note(visible(note.text), note.is_alarm) for note in notes]


def reference_words(shown: ReferenceShown) -> str:
    """Whose figures stand beside ours and where they were measured, or why there are none."""
    if shown.warning is not None:
        return shown.warning
    published = shown.reference
    words = (
        f"{published.column}: {published.model}, measured on {published.measured_on}, as here "
        f"({published.source})"
    )
    return words if shown.no_difference is None else f"{words}; {shown.no_difference}"


def reference_in_short(shown: ReferenceShown) -> str:
    """What a key says at once; the rest is among the notes."""
    column = shown.reference.column
    if shown.warning is not None:
        return f"{column} is left blank: the notes say why (v)"
    less = "" if shown.no_difference is None else ", without a difference"
    return f"{column} stands beside{less}: see the notes (v)"


def point_lines(row: FigureRow, part: str, point: OperatingPoint, mean: float | None) -> str:
    """The operating point in words, a line for each thing that it does.

    Args:
        mean: the mean score, which calibrated scores have in common with the prevalence.
    """
    by_hand = point.rule == BY_HAND
    if point.threshold is None:
        return f"{row.name} by {_rule(point.rule)}: {point.note or 'no threshold is known'}"
    chosen = "set by hand" if by_hand else f"chosen on val by {_rule(point.rule)}"
    lines = [
        f"{row.name} at {threshold_text(point.threshold)}, {chosen}",
        f"sensitivity {_with_ends(point, 'sensitivity')}",
        f"specificity {_with_ends(point, 'specificity')}",
        f"PPV {_with_ends(point, 'ppv')}{_naturally(point.ppv_natural)}",
        f"NPV {_with_ends(point, 'npv')}{_naturally(point.npv_natural)}",
    ]
    if row.prevalence is not None:
        positive = f"{100 * row.prevalence:.1f} % are positive"
        lines.append(positive + ("" if mean is None else f", mean score {100 * mean:.1f} %"))
    if part == "val" and not by_hand:
        lines.append("chosen on these very images: it flatters itself")
    return "\n".join(lines)


def roc_titles(finding: str) -> list[str]:
    """What the ROC chart shows, the longest first."""
    axes = "sensitivity over 1 − specificity"
    return [f"ROC of {finding}: {axes}, • the threshold", f"ROC: {axes}", axes]


def calibration_titles(finding: str) -> list[str]:
    """What the calibration chart shows, the longest first."""
    return [
        f"calibration of {finding}: share present over mean score, • a group of images",
        "calibration: share present over mean score",
        "calibration: share over mean score",
    ]


def mean_score(curves: FindingCurves | None) -> float | None:
    """The mean score of the images whose label is known."""
    groups = curves.calibration if curves else None
    if groups is None:
        return None
    pairs = zip(groups.mean_score, groups.num_images, strict=True)
    return sum(score * count for score, count in pairs) / sum(groups.num_images)


def spread_titles(finding: str) -> list[str]:
    """What the histogram shows, the longest first."""
    key = "─ present  · absent  | threshold"
    return [
        f"scores of {finding}, shares of the images over log-odds: {key}",
        f"images over log-odds: {key}",
        key,
    ]


def threshold_text(value: float) -> str:
    """Three significant digits, plain where that is short."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:.3g}"


def missing_words(
    view: RunView, name: str, part: str, *, is_reading: bool, is_written: bool, val_is_there: bool
) -> str:
    """Why there are no figures yet, when they come, and what to do meanwhile."""
    if is_reading:
        return "The session is being read."
    if part == "val":
        text = "There are no predictions on val yet: they come with the first epoch."
    elif view.stage == "scoring the test part" and is_written:
        text = f"The test part is being scored: {_progress(view)}. Its figures come right after."
    else:
        text = "There are no test figures yet: the test part is scored once, when training is over."
    lines = [text, ""]
    epoch = max([view.epoch, *view.epochs_done])
    if view.state == "finished":
        lines.append("The run is finished without them: its log says why.")
    elif is_written:
        left = view.seconds_left()
        lines.append(
            f"The run is at epoch {epoch} of {view.epochs}"
            + (f", {visible(view.stage)}" if view.stage else "")
            + (f"; {duration(left)} left." if left is not None else ".")
        )
        if view.state == "paused":
            lines.append("It is paused: P goes on with it.")
    else:
        verb = {"stopped": "was stopped", "failed": "failed"}.get(view.state, "was interrupted")
        reason = f": {visible(view.message)}" if view.message else ""
        lines.append(f"The run {verb} at epoch {epoch} of {view.epochs}{reason}")
        goes_on = (
            "goes on from its checkpoint" if view.kept else "kept no checkpoint and begins anew"
        )
        lines.append(f"It {goes_on}: 1, r, or cxr-tui --resume {visible(name)}")
    if val_is_there and part == "test":
        best = view.best
        which = f" ({best.epoch})" if best else ""
        lines += ["", f", .   the figures on val, of the best epoch so far{which}"]
    lines.append("4     the curves of its training" if part == "test" else ", .   the test part")
    return "\n".join(lines)


def _progress(view: RunView) -> str:
    total = "" if view.stage_total is None else f" of {view.stage_total:,}"
    return f"{view.stage_done:,}{total} images"


def _rule(rule: str) -> str:
    return _RULES.get(rule, rule)


def _naturally(value: float | None) -> str:
    """What it is in the whole part, where the images scored were drawn from it."""
    return "" if value is None else f", {value:.2f} in the whole part"


def _with_ends(point: OperatingPoint, share: str) -> str:
    """A share with its interval, or a dash."""
    value, ends = getattr(point, share), point.intervals.get(f"{share}_ci")
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if ends is None else f" ({ends[0]:.2f}–{ends[1]:.2f})")
