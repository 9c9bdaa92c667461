"""A session's test figures as tables: discrimination, operating points, views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.document.blocks import Table
from core.document.values import count, ends, interval, number, percent, table, text, three


def result_table(report: Mapping[str, Any]) -> Table:
    """AUROC and AUPRC of each finding with intervals, beside the table alone and the reference."""
    findings = table(report.get("findings"))
    has_reference = any(table(row).get("reference_auroc") is not None for row in findings.values())
    reference = table(report.get("reference"))
    head = [
        *("finding", "positive images", "positive patients", "AUROC", "95 % interval"),
        *("table alone", "95 % interval", "AUPRC", "95 % interval", "prevalence"),
    ]
    if has_reference:
        head.insert(5, text(reference.get("column")) or "published")
    rows = [_finding_row(name, table(row), has_reference) for name, row in findings.items()]
    alone = table(report.get("table_alone"))
    mean = [
        *("mean", "", "", three(number(report.get("mean_auroc")))),
        ends(interval(report.get("mean_auroc_ci"))),
        three(number(alone.get("mean_auroc"))),
        ends(interval(alone.get("mean_auroc_ci"))),
        *(three(number(report.get("mean_auprc"))), "", ""),
    ]
    if has_reference:
        mean.insert(5, three(number(reference.get("mean_auroc"))))
    columns = ", ".join(map(str, alone.get("columns") or ())) or "its columns"
    notes = [
        f"Intervals are of 95 % and count patients, not images. Table alone: AUROC of {columns}, "
        "without any image."
    ]
    if reference:
        notes.append(_reference_note(reference))
    notes += [
        f"{name}: {note}."
        for name, row in findings.items()
        if (note := text(table(row).get("note")))
    ]
    return Table("Discrimination on test", tuple(head), (*rows, tuple(mean)), 1, tuple(notes), True)


def _finding_row(name: str, row: Mapping[str, Any], has_reference: bool) -> tuple[str, ...]:
    cells = [
        name,
        count(number(row.get("positives"))),
        count(number(row.get("positive_patients"))),
        three(number(row.get("auroc"))),
        ends(interval(row.get("auroc_ci"))),
        three(number(row.get("table_alone_auroc"))),
        ends(interval(row.get("table_alone_auroc_ci"))),
        three(number(row.get("auprc"))),
        ends(interval(row.get("auprc_ci"))),
        percent(number(row.get("prevalence"))),
    ]
    if has_reference:
        cells.insert(5, three(number(row.get("reference_auroc"))))
    return tuple(cells)


def _reference_note(reference: Mapping[str, Any]) -> str:
    where = text(reference.get("measured_on")) or "its own test images"
    source = text(reference.get("source"))
    note = text(reference.get("note"))
    return f"Published: {text(reference.get('model'))}, on {where}. {source} {note}".strip()


def operating_points(report: Mapping[str, Any]) -> Table:
    """Thresholds chosen on val, and what they give on test."""
    rows = []
    notes = [
        f"Thresholds were chosen on val by the rule {text(report.get('operating_point')) or '–'}, "
        "and not changed on test."
    ]
    for name, row in table(report.get("findings")).items():
        point = table(table(row).get("operating_point"))
        cells = [name, three(number(point.get("threshold")))]
        for share in ("sensitivity", "specificity", "ppv", "npv"):
            cells.append(three(number(point.get(share))))
            cells.append(ends(interval(point.get(f"{share}_ci"))))
        rows.append(tuple(cells))
        if note := text(point.get("note")):
            notes.append(f"{name}: {note}.")
    head = ["finding", "threshold"]
    for share in ("sensitivity", "specificity", "PPV", "NPV"):
        head += [share, "95 % interval"]
    return Table("Operating points on test", tuple(head), tuple(rows), 1, tuple(notes))


def views_table(report: Mapping[str, Any]) -> Table | None:
    """AUROC within each view position; None if views are unknown."""
    findings = {name: table(row) for name, row in table(report.get("findings")).items()}
    views = dict.fromkeys(
        view for row in findings.values() for view in table(row.get("auroc_by_view"))
    )
    if not views:
        return None
    head = ["finding"]
    for view in views:
        head += [f"AUROC, {view}", "95 % interval"]
    rows = []
    for name, row in findings.items():
        cells = [name]
        for view in views:
            cells.append(three(number(table(row.get("auroc_by_view")).get(view))))
            cells.append(ends(interval(table(row.get("auroc_by_view_ci")).get(view))))
        rows.append(tuple(cells))
    note = "Sicker patients are imaged in bed (AP): within one view this does not help a network."
    return Table("AUROC within each view position", tuple(head), tuple(rows), 1, (note,))


def headline(report: Mapping[str, Any]) -> str:
    """The mean in one sentence."""
    mean = three(number(report.get("mean_auroc")))
    around = interval(report.get("mean_auroc_ci"))
    alone = number(table(report.get("table_alone")).get("mean_auroc"))
    patients = number(report.get("patients"))
    of_patients = "" if patients is None else f" of {count(patients)} patients"
    sentence = f"Mean AUROC {mean}"
    if around is not None:
        sentence += f" (95 % interval {ends(around)})"
    sentence += f" on {count(number(report.get('images')))} test images{of_patients}"
    return sentence + ("." if alone is None else f"; age, sex and view alone reach {three(alone)}.")
