"""Text next to a report's figures: notes, operating points, what is missing; no Textual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.evaluation.metrics import (
    CUT_SCORES,
    READ_THE_INTERVAL,
    TOO_FEW_PATIENTS,
    is_about_cut_scores,
)
from core.evaluation.part_scores import BY_HAND, FindingCurves, OperatingPoint
from core.evaluation.references import ReferenceShown
from core.report_shape import PartReport
from core.store.sealed import HOW_TO_OPEN
from core.words import signed
from cxr_tui.reports.figure_rows import FigureRow, Figures
from cxr_tui.reports.looks import looks_words
from cxr_tui.reports.subgroup_table import summary_words
from cxr_tui.runs.health_text import answers_of
from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.key_names import key_line, key_of
from cxr_tui.terminal.safe_text import duration, visible

PATIENTS_NOTE = (
    "patients: those with a positive image, and in brackets their effective number, since some "
    "have many images; intervals are based on it"
)
WRONG_CAUTION = "A label may be wrong, too: look at the image before you call it an error."
Ends = tuple[float, float]

_RULES = {
    "youden": "Youden's index",
}

_NIHS_COLUMNS = ("age", "sex", "view", "follow-up number")
"""Those of reports that were written before they were named."""


@dataclass(frozen=True)
class Note:
    """A note; alarms come before the rest."""

    text: str
    is_alarm: bool = False


def alarm_of(note: str) -> bool:
    """Whether a finding's note says more than that it has few patients."""
    return any(part and READ_THE_INTERVAL not in part for part in note.split("; "))


def notes_of(report: PartReport, figures: Figures, chosen: str = "") -> list[Note]:
    """Everything that a reader of the figures should know, starting with the chosen finding."""
    own = next((row.note for row in figures.findings if row.name == chosen), "")
    others = [row for row in figures.findings if row.name != chosen]
    compared = next((_beside_internal(row) for row in figures.findings if row.name == chosen), [])
    notes = [Note(f"{chosen}: {words}") for words in compared]
    notes += [Note(f"{chosen}: {own}", alarm_of(own))] if own else []
    if figures.reference is not None:
        notes.append(Note(reference_words(figures.reference)))
    told_above = _health_tells_of_cut_scores(report, figures)
    notes += [
        Note(text, is_alarm=True)
        for text in report.warnings
        if text != report.reference.note and not (told_above and text.startswith(CUT_SCORES))
    ]
    notes += _alarms(others, told_above)
    few = [
        f"{row.name} ({row.figures.positive_patients})"
        for row in others
        if READ_THE_INTERVAL in row.note
        and (row.figures.positive_patients or 0) >= TOO_FEW_PATIENTS  # fewer have their own warning
    ]
    if few:
        notes.append(Note(f"few positive patients, {READ_THE_INTERVAL}: {', '.join(few)}"))
    notes += [Note(text) for text in _on_the_whole(report) if text]
    return [Note(visible(note.text), note.is_alarm) for note in notes]


def _beside_internal(row: FigureRow) -> list[str]:
    """Another data set's AUROC and log loss beside those of the session's test; [] for its own."""
    figures = row.figures
    if figures.auroc is None or figures.internal is None or figures.difference is None:
        return []
    words = [
        f"AUROC {figures.auroc:.3f}, internal {figures.internal:.3f}: "
        + _bounded(figures.difference, figures.difference_ci)
        + _parts(figures.because, figures.because_ci)
    ]
    loss, own = figures.log_loss, figures.internal_log_loss
    if loss is not None and own is not None and figures.log_loss_difference is not None:
        words.append(
            f"log loss {loss:.3f}, internal {own:.3f}: "
            + _bounded(figures.log_loss_difference, figures.log_loss_difference_ci)
            + _parts(figures.because_log_loss, figures.because_log_loss_ci)
        )
    return words


def _parts(of: Mapping[str, float | None], ends: Mapping[str, Ends | None]) -> str:
    """What a difference is made of, where case mix is known."""
    if of.get("case_mix") is None:
        return ""
    names = {"rest": "the rest"}
    told = [
        f"{names.get(part, part.replace('_', ' '))} {_bounded(value, ends.get(part))}"
        for part, value in of.items()
        if value is not None
    ]
    return f", of it {', '.join(told)}"


def _bounded(value: float, ends: Ends | None) -> str:
    interval = "" if ends is None else f" ({_signed(ends[0])} to {_signed(ends[1])})"
    return _signed(value) + interval


def _signed(value: float) -> str:
    return signed(value)


def _alarms(rows: Sequence[FigureRow], told_above: bool) -> list[Note]:
    """Findings' notes other than few patients, each once with the findings it applies to."""
    said_of: dict[str, list[str]] = {}
    for row in rows:
        for part in row.note.split("; "):
            if alarm_of(part) and not (told_above and is_about_cut_scores(part)):
                said_of.setdefault(part, []).append(row.name)
    return [Note(f"{', '.join(names)}: {part}", True) for part, names in said_of.items()]


def _on_the_whole(report: PartReport) -> Iterable[str]:
    """How to read columns and rows, and the origin of the labels."""
    yield PATIENTS_NOTE
    if report.table_alone.mean_auroc is not None:
        *others, last = report.table_alone.columns or _NIHS_COLUMNS
        columns = f"{', '.join(others)} and {last}" if others else last
        yield f"table alone: AUROC from {columns} only"
    elif report.table_alone.note:
        yield f"table alone: {report.table_alone.note}"
    if report.label_table:
        yield f"labels: {report.label_table}"
    yield from report.label_policy
    yield report.labels_note
    yield summary_words(report)
    if report.looks is not None:
        looks = report.looks
        yield from looks_words(looks.times, looks.sessions, looks.warning)


def _health_tells_of_cut_scores(report: PartReport, figures: Figures) -> bool:
    """Whether a health check already covers what warnings and notes say of cut scores."""
    of_check = {
        answer.check: answer.evidence.get("findings") for answer in answers_of(report.health)
    }
    told = of_check.get("scores-hard", of_check.get("scores-constant", 0))
    noted = [row for row in figures.findings if any(map(is_about_cut_scores, row.note.split("; ")))]
    return isinstance(told, int) and told >= len(noted) > 0


def reference_words(shown: ReferenceShown) -> str:
    """Whose figures are shown next to ours and where they were measured, or why there are none."""
    if shown.warning is not None:
        return shown.warning
    published = shown.reference
    words = (
        f"{published.column}: {published.model}, measured on {published.measured_on}, as here "
        f"({published.source})"
    )
    return words if shown.no_difference is None else f"{words}; {shown.no_difference}"


def reference_in_short(shown: ReferenceShown) -> str:
    """The message after the key; details are in the notes."""
    column = shown.reference.column
    if shown.warning is not None:
        return f"{column} is left blank: the notes say why ({key_of('results.notes')})"
    less = "" if shown.no_difference is None else ", without a difference"
    return f"{column} is shown{less}: see the notes ({key_of('results.notes')})"


def point_lines(row: FigureRow, part: str, point: OperatingPoint, mean: float | None) -> str:
    """The operating point in words, one line per measure.

    Args:
        mean: the mean score, which equals the prevalence if scores are calibrated.
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
    if row.figures.prevalence is not None:
        positive = f"{100 * row.figures.prevalence:.1f} % are positive"
        lines.append(positive + ("" if mean is None else f", mean score {100 * mean:.1f} %"))
    if part == "val" and not by_hand:
        lines.append("chosen on these very images, so it looks too good")
    return "\n".join(lines)


def roc_titles(finding: str) -> list[str]:
    """Titles of the ROC chart, the longest first."""
    axes = "sensitivity vs 1 − specificity"
    return [f"ROC of {finding}: {axes}, • the threshold", f"ROC: {axes}", axes]


def calibration_titles(finding: str) -> list[str]:
    """Titles of the calibration chart, the longest first."""
    return [
        f"calibration of {finding}: share positive vs mean score, • a group of images",
        "calibration: share positive vs mean score",
        "calibration: share vs mean score",
    ]


def mean_score(curves: FindingCurves | None) -> float | None:
    """The mean score of the images with a known label."""
    groups = curves.calibration if curves else None
    if groups is None:
        return None
    pairs = zip(groups.mean_score, groups.num_images, strict=True)
    return sum(score * count for score, count in pairs) / sum(groups.num_images)


def spread_titles(finding: str) -> list[str]:
    """Titles of the histogram, the longest first."""
    key = "─ positive  · negative  | threshold"
    return [
        f"scores of {finding}, share of images by log-odds: {key}",
        f"images by log-odds: {key}",
        key,
    ]


def threshold_text(value: float) -> str:
    """Three significant digits, in plain notation if short."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:.3g}"


def missing_words(
    view: RunView,
    name: str,
    part: str,
    *,
    is_reading: bool,
    is_written: bool,
    val_is_there: bool,
    is_sealed: bool = False,
) -> str:
    """Why there are no figures yet, when they will come, and what to do meanwhile."""
    if is_reading:
        return "The session is being read."
    if part == "val":
        text = "There are no predictions on val yet: they come with the first epoch."
    elif view.stage == "scoring the test part" and is_written:
        text = f"The test part is being scored: {_progress(view)}. Its figures come right after."
    elif is_sealed:
        text = "The test part is sealed: it is not scored until somebody opens it."
    else:
        text = "There are no test figures yet: the test part is scored once, when training ends."
    lines = [text, ""]
    epoch = max([view.epoch, *view.epochs_done])
    if view.state == "finished" and is_sealed and part == "test":
        lines.append(f"Open it, once and for all: {HOW_TO_OPEN.format(name=visible(name))}")
    elif view.state == "finished":
        lines.append("The run is finished without them: its log says why.")
    elif is_written:
        left = view.seconds_left()
        lines.append(
            f"The run is at epoch {epoch} of {view.epochs}"
            + (f", {visible(view.stage)}" if view.stage else "")
            + (f"; {duration(left)} left." if left is not None else ".")
        )
        if view.state == "paused":
            lines.append(f"It is paused: {key_of('run.pause')} continues it.")
    else:
        verb = {"stopped": "was stopped", "failed": "failed"}.get(view.state, "was interrupted")
        reason = f": {visible(view.message)}" if view.message else ""
        lines.append(f"The run {verb} at epoch {epoch} of {view.epochs}{reason}")
        goes_on = (
            "continues from its checkpoint" if view.kept else "has no checkpoint and starts again"
        )
        resume = key_of("mode.training", "training.resume")
        lines.append(f"It {goes_on}: {resume}, or cxr-tui --resume {visible(name)}")
    other = key_of("results.previous", "results.next", apart=" ")
    if val_is_there and part == "test":
        best = view.best
        which = f" ({best.epoch})" if best else ""
        lines += ["", key_line(other, f"the figures on val, of the best epoch so far{which}", 6)]
    curves = key_line(key_of("mode.training"), "the curves of its training", 6)
    lines.append(curves if part == "test" else key_line(other, "the test part", 6))
    return "\n".join(lines)


def _progress(view: RunView) -> str:
    total = "" if view.stage_total is None else f" of {view.stage_total:,}"
    return f"{view.stage_done:,}{total} images"


def _rule(rule: str) -> str:
    return _RULES.get(rule, rule)


def _naturally(value: float | None) -> str:
    """Its value in the whole part, if the images scored were drawn from it."""
    return "" if value is None else f", {value:.2f} in the whole part"


def _with_ends(point: OperatingPoint, share: str) -> str:
    """A share with its interval, or a dash."""
    value, ends = getattr(point, share), point.intervals.get(f"{share}_ci")
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if ends is None else f" ({ends[0]:.2f}–{ends[1]:.2f})")
