"""What an audit's reader should know of where its figures come from, in plain sentences.

What the figures mean for a training is said by ``core.health``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_VIEW_SHIFT_WORTH_A_WORD = 0.1

Report = Mapping[str, Any]


def audit_warnings(report: Report) -> list[str]:
    """Warnings of an audit's report (see ``core.data.study.audit.audit``), the gravest first."""
    return [
        *_missing(report),
        *_view_shift(report),
    ]


def _missing(report: Report) -> Iterator[str]:
    missing, total = report["missing_images"], report["num_table_images"]
    if missing:
        yield (
            f"Only {report['images']:,} of the table's {total:,} images "
            f"({percent(report['images'] / total, 1)}) are there: results are about those."
        )


def _view_shift(report: Report) -> Iterator[str]:
    shares = {}
    for part in ("train", "test"):
        views = report["parts"][part]["views"]
        known = views["PA"] + views["AP"] if views else 0
        if not known:
            return
        shares[part] = views["AP"] / known
    if abs(shares["test"] - shares["train"]) >= _VIEW_SHIFT_WORTH_A_WORD:
        test, train = percent(shares["test"]), percent(shares["train"])
        yield (
            f"{test} of test is AP and {train} of train: sicker patients are imaged in bed, "
            "so read each AUROC within a view position too."
        )


def percent(share: float, digits: int = 0) -> str:
    """Such as ``57 %``."""
    return f"{100 * share:.{digits}f} %"
