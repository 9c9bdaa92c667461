"""Groups of patients beside the rest, as rows and words; no Textual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.report_shape import GroupFigures, PartReport, ReportedGap, ReportedGroup
from core.words import number_of, signed
from cxr_tui.terminal.stdout import print_table, stdout_console

STANDS_BELOW = 0.05
FIGURES = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "false_positive_rate": "FPR",
    "calibration_in_the_large": "calibration",
}
MISSED = "missed"
HEAD = ("group", "patients", "AUROC", "gap", "sens.", "gap", "FPR", "gap", "calib.", "gap")
_NONE = "–"
_MOST_GAPS = 5
_WIDE = 96
"""Columns from which matched gaps have a column too."""


@dataclass(frozen=True)
class NamedGap:
    """A gap, and whose it is."""

    by: str
    group: str
    finding: str
    figure: str
    value: float | None
    gap: ReportedGap

    @property
    def stands(self) -> bool:
        """Whether it does after Holm's correction."""
        return stands(self.gap)


def stands(gap: ReportedGap | None) -> bool:
    """Whether a gap stands at 5 % after Holm's correction over the whole report."""
    return gap is not None and gap.p_holm is not None and gap.p_holm < STANDS_BELOW


def gaps_of(report: PartReport) -> list[NamedGap]:
    """Every tested gap, those that chance explains least first; one seen from both sides once."""
    found: dict[tuple[object, ...], NamedGap] = {}
    for one in _each(report):
        wide = None if one.gap.difference is None else abs(one.gap.difference)
        found.setdefault((one.by, one.finding, one.figure, one.gap.p, wide), one)
    return sorted(found.values(), key=lambda one: 2.0 if one.gap.p is None else one.gap.p)


def _each(report: PartReport) -> Iterator[NamedGap]:
    for group in report.subgroups:
        name = name_of(group)
        for finding, figures in group.findings.items():
            for figure, gap in figures.gaps.items():
                value = getattr(figures, figure, None)
                yield NamedGap(group.by, name, finding, FIGURES.get(figure, figure), value, gap)
        missed = group.underdiagnosis
        if missed.gap is not None:
            yield NamedGap(group.by, name, "any finding", MISSED, missed.rate, missed.gap)


def name_of(group: ReportedGroup) -> str:
    """Such as ``sex female`` or ``female, 60-79``."""
    return group.group if " and " in group.by else f"{group.by} {group.group}"


def summary_words(report: PartReport) -> str:
    """How many gaps stand, in a sentence; '' without groups."""
    if not report.subgroups:
        return ""
    gaps = gaps_of(report)
    standing = [one for one in gaps if one.stands]
    groups = number_of(len(report.subgroups), "group")
    if not any(one.gap.p is not None for one in gaps):
        return f"subgroups: {groups}, none of them with enough patients to test a gap"
    tested = f"of {number_of(len(gaps), 'gap')} between {groups} and the rest"
    if not standing:
        return f"subgroups: {tested} none stands after Holm's correction"
    first = standing[0]
    where = f"{first.finding} {first.figure} of {first.group}"
    difference = signed(first.gap.difference, 2)
    return f"subgroups: {tested} {len(standing)} stand, such as {where}: {difference}"


def finding_rows(report: PartReport, finding: str) -> list[tuple[str, ...]]:
    """Each group's figures of one finding beside their gaps, in the columns of ``HEAD``."""
    rows = []
    for group in report.subgroups:
        figures = group.findings.get(finding)
        if figures is not None:
            rows.append(_row(name_of(group), figures))
    return rows


def _row(name: str, figures: GroupFigures) -> tuple[str, ...]:
    cells = [name, f"{figures.positive_patients:,}"]
    if figures.note and figures.auroc is None:
        return (*cells, *[_NONE, ""] * len(FIGURES))
    for figure in FIGURES:
        value, gap = getattr(figures, figure), figures.gaps.get(figure)
        cells.append(_NONE if value is None else f"{value:.2f}".replace("-", "−"))
        mark = "*" if stands(gap) else ""
        cells.append("" if gap is None else signed(gap.difference, 2) + mark)
    return tuple(cells)


def print_subgroups(report: PartReport, finding: str | None = None) -> None:
    """Print who is missed, and the gaps that chance explains least; or one finding by group."""
    if not report.subgroups:
        return
    if finding is not None:
        title = f"{finding} by group, at the session's one threshold"
        print_table(title, HEAD, finding_rows(report, finding), notes=FINDING_NOTES)
        return
    rows = [_missed_row(group) for group in report.subgroups if " and " not in group.by]
    head = ["group", "images", "patients", "with a finding", "missed", "95 %", "gap", "p (Holm)"]
    print_table("subgroups: images with a finding of which none is called", head, rows)
    gaps = gaps_of(report)[:_MOST_GAPS]
    if not gaps:
        return
    head = ["group", "", "here", "rest", "gap", "95 %", "p (Holm)", "matched"]
    most = len(head) if stdout_console().width >= _WIDE else len(head) - 1
    title = f"the {number_of(len(gaps), 'gap')} that chance explains least"
    rows = [_gap_row(one)[:most] for one in gaps]
    print_table(
        title, head[:most], rows, left=2, notes=("matched: in prevalence",) * (most == len(head))
    )


FINDING_NOTES = (
    "patients: those with a positive image; fewer than 10 give no figure",
    "gap: to all other images; * stands after Holm's correction over the whole report",
    "calib.: calibration in the large; above 0, probabilities are too low",
)


def _missed_row(group: ReportedGroup) -> Sequence[str]:
    missed = group.underdiagnosis
    ends, gap = missed.rate_ci, missed.gap
    return [
        name_of(group),
        f"{group.images:,}",
        f"{group.patients:,}",
        f"{missed.images:,}",
        _NONE if missed.rate is None else f"{100 * missed.rate:.0f} %",
        _NONE if ends is None else f"{100 * ends[0]:.0f} – {100 * ends[1]:.0f} %",
        "" if gap is None else signed(gap.difference, 2),
        _p(gap),
    ]


def _gap_row(one: NamedGap) -> Sequence[str]:
    gap = one.gap
    return [
        one.group,
        f"{one.finding} {one.figure}",
        _NONE if one.value is None else f"{one.value:.2f}".replace("-", "−"),
        _NONE if gap.rest is None else f"{gap.rest:.2f}".replace("-", "−"),
        signed(gap.difference, 2),
        _NONE if gap.ci is None else f"{signed(gap.ci[0], 2)} to {signed(gap.ci[1], 2)}",
        _p(gap),
        signed(gap.matched, 2),
    ]


def _p(gap: ReportedGap | None) -> str:
    if gap is None or gap.p_holm is None:
        return _NONE
    return "< 0.001" if gap.p_holm < 0.001 else f"{gap.p_holm:.3f}"
