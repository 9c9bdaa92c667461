"""The output of ``cxr-tui audit --json``: numbers, strings, lists and tables of them."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class AuditedFinding(TypedDict):
    """One finding in one part; ``prevalence`` is positives / known, null if none is known."""

    positives: int
    known: int
    prevalence: float | None
    positive_patients: int


class NoFinding(TypedDict):
    """Images for which each of the 14 findings is absent."""

    images: int
    share: float


class AuditedPart(TypedDict):
    """One part; null if the table has no such column, or lacks some of the 14 findings.

    ``age_decades`` counts images by their patient's age: 0 to 9 years, 10 to 19 and so on.
    """

    images: int
    patients: int | None
    findings: dict[str, AuditedFinding]
    no_finding: NoFinding | None
    views: dict[str, int] | None
    sexes: dict[str, int] | None
    median_age_years: float | None
    age_decades: list[int] | None


class AuditedLesion(TypedDict):
    """The boxes of one finding, at the input size."""

    boxes: int
    median_px_at_input: list[float]
    share_smaller_than_cell: float
    share_under_8_px: float
    tenth_longer_px: float
    median_longer_px: float


class AuditedCount(TypedDict):
    """What was repaired, dropped or missing: how often, and a few of the images."""

    reason: str
    images: int
    examples: list[str]


class AuditedMove(TypedDict):
    """What became of a finding's uncertain labels and blank cells, and how many there are."""

    uncertain: str
    uncertain_labels: int
    blank: str
    blank_labels: int


class AuditedPolicy(TypedDict):
    """The label policy by finding, and whose it is. Uncertain labels count in train alone."""

    source: str
    by_finding: dict[str, AuditedMove]


def policy_in_words(policy: AuditedPolicy) -> list[str]:
    """A sentence for uncertain labels and one for blank cells, if there are any."""
    words = []
    for what, shown in (("uncertain", "uncertain labels"), ("blank", "findings not mentioned")):
        num_of: dict[str, int] = {}
        findings_of: dict[str, list[str]] = {}
        for finding, row in policy["by_finding"].items():
            rule = row["uncertain"] if what == "uncertain" else row["blank"]
            labels = row["uncertain_labels"] if what == "uncertain" else row["blank_labels"]
            if labels:
                num_of[rule] = num_of.get(rule, 0) + labels
                findings_of.setdefault(rule, []).append(finding)
        for rule, labels in num_of.items():
            where = " in train and are left out of val and test" if what == "uncertain" else ""
            of = f" of {', '.join(findings_of[rule])}" if len(num_of) > 1 else ""
            words.append(f"{labels:,} {shown}{of} {_in_words(rule)}{where} ({policy['source']})")
    return words


def _in_words(rule: str) -> str:
    return " or ".join(_RULES[one] for one in rule.split(" / "))


_RULES = {
    "ignore": "are masked",
    "ones": "count as present",
    "zeros": "count as absent",
    "smooth": "count as 0.55 to 0.85",
    "absent": "count as absent",
    "unknown": "are unknown and masked",
}


class AuditedSplit(TypedDict):
    """``note`` names the version of NIH's label table that the draw depends on, or is null."""

    by: str
    seed: int
    note: str | None


class ExpectedInterval(TypedDict):
    """A finding's test patients, the expected half-width of its AUROC's interval, and the positive
    patients that the wanted one needs, with negatives in proportion; null if a class is missing."""

    positive_patients: int
    negative_patients: int
    half_width: float | None
    positive_patients_needed: int | None


class ExpectedIntervals(TypedDict):
    """See ``core.data.study.expected_widths``."""

    part: str
    assumed_auroc: float
    assumed_correlation_within_patients: float
    wanted_half_width: float
    findings: dict[str, ExpectedInterval]


def width_in_words(expected: ExpectedIntervals) -> str:
    """How sure the test part can make you, of the least and the most certain finding."""
    known = {
        name: one["half_width"]
        for name, one in expected["findings"].items()
        if one["half_width"] is not None
    }
    if not known:
        return ""
    worst, best = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    words = f"an AUROC of {expected['assumed_auroc']:.2f} on test will be known to "
    words += f"±{known[worst]:.3f} for {worst}"
    if worst != best:
        words += f", ±{known[best]:.3f} for {best}"
    needed = expected["findings"][worst]["positive_patients_needed"]
    wanted = expected["wanted_half_width"]
    if known[worst] > wanted and needed is not None:
        have = expected["findings"][worst]["positive_patients"]
        words += (
            f"; {worst} would need {needed:,} positive patients for ±{wanted:g}, and has {have:,}"
        )
    return words


class AuditReport(TypedDict):
    """The keys of ``images``, ``patients``, and missing or extra images describe the index.

    Everything under ``parts``, ``co_occurrence`` and ``shift`` describes the split. ``patients`` is
    null if the table names none. ``missing_images`` and ``extra_images`` are null, and
    ``fingerprint`` is absent, if only labels were requested. ``shift`` is prevalence in test over
    prevalence in train. ``subset`` says for each part whether negatives were drawn, and from what
    prevalence (see ``PartDraw``), ``subset_note`` in words; both are null if no prevalence was set.
    """

    images: int
    patients: int | None
    kind: str
    table_version: str
    label_table: str
    findings: list[str]
    split: AuditedSplit
    subset: dict[str, Any] | None
    subset_note: str | None
    parts: dict[str, AuditedPart]
    images_in_parts: int
    shared_patients: int
    missing_images: int | None
    extra_images: int | None
    partial: bool
    num_table_images: int
    co_occurrence: dict[str, dict[str, int]]
    shift: dict[str, float | None]
    expected_intervals: ExpectedIntervals
    input_size_px: int
    lesions: dict[str, AuditedLesion]
    label_policy: AuditedPolicy
    notes: list[str]
    counts: list[AuditedCount]
    note: str
    warnings: list[str]
    fingerprint: NotRequired[str]
    health: NotRequired[list[dict[str, Any]]]
