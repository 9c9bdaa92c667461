"""Warnings about the data behind an audit's figures.

``core.health`` says what the figures mean for training.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.data.study.audit_report import AuditReport

_VIEW_SHIFT_WORTH_A_WORD = 0.1


def audit_warnings(report: AuditReport) -> list[str]:
    """Warnings about an audit's report (see ``core.data.study.audit.audit``), the most serious
    first."""
    return [
        *_unknown_patients(report),
        *_missing(report),
        *_view_shift(report),
    ]


def _unknown_patients(report: AuditReport) -> Iterator[str]:
    if report["patients"] is None:
        yield (
            "Patients unknown: each image counts as its own patient, so images of one patient may "
            "be in two parts, and intervals are too narrow."
        )


def _missing(report: AuditReport) -> Iterator[str]:
    missing, total = report["missing_images"], report["num_table_images"]
    if missing:
        yield (
            f"Only {report['images']:,} of the table's {total:,} images "
            f"({percent(report['images'] / total, 1)}) were found: results are based on those."
        )


def _view_shift(report: AuditReport) -> Iterator[str]:
    shares = {}
    for part in ("train", "test"):
        views = report["parts"][part]["views"]
        if not views or not (known := views["PA"] + views["AP"]):
            return
        shares[part] = views["AP"] / known
    if abs(shares["test"] - shares["train"]) >= _VIEW_SHIFT_WORTH_A_WORD:
        test, train = percent(shares["test"]), percent(shares["train"])
        yield (
            f"{test} of test is AP and {train} of train: sicker patients are imaged in bed, "
            "so compare AUROC within each view position too."
        )


def percent(share: float, digits: int = 0) -> str:
    """Such as ``57 %``."""
    return f"{100 * share:.{digits}f} %"
