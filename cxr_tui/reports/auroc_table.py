"""The AUROC table of evaluation/test.json, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.metrics import READ_THE_INTERVAL, TOO_FEW_PATIENTS, is_about_cut_scores
from core.evaluation.references import load_references, why_no_difference
from core.evaluation.report_warnings import CUT_SCORES
from core.words import number_of
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.stdout import print_pairs, print_table

_PATIENTS_NOTE = (
    "patients: those with a positive image, and in brackets how many they are worth, since some "
    "have many images; intervals rest on these"
)


def print_report(report: Mapping[str, Any]) -> None:
    """The figures of a part: each finding with its interval, the mean, and what to know."""
    findings = report["findings"]
    no_difference = _no_difference(report) if _shows_published(report) else None
    cells = [_finding_cells(name, report, no_difference is None) for name in findings]
    head = list(cells[0]) if cells else ["finding", "AUROC", "95 % interval"]
    rows = [[of[name] for name in head] for of in [*cells, *_summary_cells(report, head)]]
    images, patients = (
        number_of(report["images"], "image"),
        number_of(report["patients"], "patient"),
    )
    title = f"{report['split']}: {images} of {patients}"
    gone = print_table(title, head, rows, may_go=("patients", "prevalence", "positives"))
    notes = [*([no_difference] if no_difference else []), *_notes(report)]
    if "patients" not in gone:
        notes.insert(0, _PATIENTS_NOTE)
    if gone:
        notes.append(f"too narrow for {' and '.join(gone)}: a wider terminal or --json shows them")
    print_pairs([*health_pairs(answers_of(report)), *(("·", note) for note in notes)])


def _no_difference(report: Mapping[str, Any]) -> str | None:
    """Why ours less the published figures is left blank; None where it is given."""
    published = load_references().get(str(report["reference"]["column"]))
    return None if published is None else why_no_difference(published, report.get("label_table"))


def _shows_published(report: Mapping[str, Any]) -> bool:
    return any(f.get("reference_auroc") is not None for f in report["findings"].values())


def _finding_cells(name: str, report: Mapping[str, Any], is_comparable: bool) -> dict[str, str]:
    """Head -> cell."""
    figures = report["findings"][name]
    by_view = figures.get("auroc_by_view") or {}
    cells = {
        "finding": name,
        "positives": f"{figures['positives']:,}",
        "patients": _patients(figures),
        "AUROC": _number(figures["auroc"]),
        "95 % interval": _interval(figures["auroc_ci"]),
        **{view: _number(by_view.get(view)) for view in _views(report)},
        "AUPRC": _number(figures["auprc"]),
        "prevalence": _percent(figures["prevalence"]),
    }
    if any(f.get("natural_prevalence") is not None for f in report["findings"].values()):
        cells["its AUPRC"] = _number(figures.get("auprc_natural"))
        cells["whole part"] = _percent(figures.get("natural_prevalence"))
    if _shows_published(report):
        published, ours = figures.get("reference_auroc"), figures["auroc"]
        both = published is not None and ours is not None and is_comparable
        cells[str(report["reference"]["column"])] = _number(published)
        cells["Δ"] = f"{ours - published:+.3f}" if both else "–"
    return cells


def _summary_cells(report: Mapping[str, Any], head: Sequence[str]) -> list[dict[str, str]]:
    """The rows under the findings."""
    table = report.get("table_alone") or {}
    bounded = report.get("mean_auroc_with_interval") or {}
    summaries = [("mean", report["mean_auroc"], report["mean_auroc_ci"])]
    if report["mean_auroc_ci"] is None and bounded.get("ci") is not None:
        summaries.append((f"mean of {len(bounded['over'])}", bounded["auroc"], bounded["ci"]))
    if table.get("mean_auroc") is not None:
        summaries.append(("table alone", table["mean_auroc"], table.get("mean_auroc_ci")))
    return [
        dict.fromkeys(head, "")
        | {"finding": name, "AUROC": _number(area), "95 % interval": _interval(ends)}
        for name, area, ends in summaries
    ]


def _views(report: Mapping[str, Any]) -> list[str]:
    views: dict[str, None] = {}
    for figures in report["findings"].values():
        views |= dict.fromkeys(figures.get("auroc_by_view") or {})
    return list(views)


def _notes(report: Mapping[str, Any]) -> list[str]:
    findings = report["findings"].items()
    few = [
        f"{name} ({figures['positive_patients']})"
        for name, figures in findings
        if READ_THE_INTERVAL in (figures.get("note") or "")
        and figures["positive_patients"] >= TOO_FEW_PATIENTS  # fewer have a warning of their own
    ]
    notes = []
    if few:
        notes.append(f"few positive patients, {READ_THE_INTERVAL}: {', '.join(few)}")
    said_above = _health_tells_of_cut_scores(report)
    said_of: dict[str, list[str]] = {}
    for name, figures in findings:
        for note in (figures.get("note") or "").split("; "):
            if said_above and is_about_cut_scores(note):
                continue
            if note and READ_THE_INTERVAL not in note:
                said_of.setdefault(note, []).append(name)
    notes += [f"{', '.join(names)}: {note}" for note, names in said_of.items()]
    table = report.get("table_alone") or {}
    if table.get("mean_auroc") is not None:
        notes.append("table alone: what age, sex, view and follow-up number reach, no image")
    elif table.get("note"):
        notes.append(f"table alone: {table['note']}")
    warnings = [
        text for text in report["warnings"] if not (said_above and text.startswith(CUT_SCORES))
    ]
    table_name = report.get("label_table")
    labels = [f"labels: {table_name}"] if table_name else []
    return [*warnings, *notes, *labels, report.get("labels_note") or ""]


def _health_tells_of_cut_scores(report: Mapping[str, Any]) -> bool:
    """Whether a health check has said of all of them what warnings and notes say of each."""
    of_check = {answer.check: answer.evidence.get("findings") for answer in answers_of(report)}
    told = of_check.get("scores-hard", of_check.get("scores-constant", 0))
    noted = [
        name
        for name, figures in report["findings"].items()
        if any(is_about_cut_scores(note) for note in (figures.get("note") or "").split("; "))
    ]
    return isinstance(told, int) and told >= len(noted) > 0


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _patients(figures: Mapping[str, Any]) -> str:
    effective = figures.get("effective_positive_patients")
    beside = "" if effective is None else f" ({effective:.0f})"
    return f"{figures['positive_patients']:,}{beside}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: Sequence[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.3f} – {value[1]:.3f}"
