"""Checks of lesion size at the input size: can lesions be detected, and can they be localised?

Detection is limited by pixels, localisation by the cells of the network's last feature map. Each
check names the smallest input size that is enough, and its cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from core.data.study.audit_report import AuditedLesion, AuditReport
from core.data.study.audit_warnings import percent
from core.data.tables.boxes import SMALLEST_SEEN_PX
from core.health.diagnosis import Diagnosis, Severity
from core.health.words import listed
from core.recipe import NETWORK_STRIDE_PX

_SMALL_LESION_PX = 16
_MOST = 0.5
_INPUT_SIZES_PX = (160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)


def check_lesions(report: AuditReport, *, images_px: int | None = None) -> list[Diagnosis]:
    """Check the boxes in an audit's report.

    Args:
        report: an audit's report (see ``core.data.study.audit.audit``).
        images_px: side of the image files, if known: a larger input shows no more.
    """
    return [*_lost_to_pixels(report, images_px), *_lost_to_cells(report, images_px)]


def _lost_to_pixels(report: AuditReport, images_px: int | None) -> Iterator[Diagnosis]:
    small = {name: of for name, of in report["lesions"].items() if not _is_seen(of, 1.0)}
    if not small:
        return
    worst = min(small, key=lambda name: max(small[name]["median_px_at_input"]))
    width, height = small[worst]["median_px_at_input"]
    named = [f"{name} ({_by(of['median_px_at_input'])} px)" for name, of in small.items()]
    larger_px = _larger_px(report, small, _is_seen, images_px)
    yield Diagnosis(
        check="lesions-few-pixels",
        severity=Severity.NOTE,
        text=f"At an input size of {report['input_size_px']} px, pixels limit detection: the "
        f"median box of {listed(named)} is small.",
        evidence={
            "finding": worst,
            "median_width_px": width,
            "median_height_px": height,
            f"share_under_{SMALLEST_SEEN_PX}_px": round(small[worst]["share_under_8_px"], 4),
            **_cost(report, larger_px),
        },
        remedy=_remedy(report, larger_px, "keeps more of them", images_px),
        changes=_changes(larger_px),
    )


def _lost_to_cells(report: AuditReport, images_px: int | None) -> Iterator[Diagnosis]:
    hidden = {
        name: of for name, of in report["lesions"].items() if of["share_smaller_than_cell"] > _MOST
    }
    if not hidden:
        return
    worst = max(hidden, key=lambda name: hidden[name]["share_smaller_than_cell"])
    named = [f"{name} ({percent(of['share_smaller_than_cell'])})" for name, of in hidden.items()]
    larger_px = _larger_px(report, hidden, _spans_a_cell, images_px)
    yield Diagnosis(
        check="lesions-under-a-cell",
        severity=Severity.NOTE,
        text=f"For {listed(named)}, most boxes are smaller than one {NETWORK_STRIDE_PX} px cell of "
        "the network's last feature map: heat maps can't outline these lesions, even if they are "
        "detected.",
        evidence={
            "finding": worst,
            "share_smaller_than_cell": round(hidden[worst]["share_smaller_than_cell"], 4),
            "boxes": hidden[worst]["boxes"],
            **_cost(report, larger_px),
        },
        remedy=_remedy(report, larger_px, "makes most of them larger than a cell", images_px),
        changes=_changes(larger_px),
    )


def _is_seen(of: AuditedLesion, factor: float) -> bool:
    """Whether a finding's boxes are large enough at ``factor`` times the input size."""
    return bool(
        max(of["median_px_at_input"]) * factor >= _SMALL_LESION_PX
        and of["tenth_longer_px"] * factor >= SMALLEST_SEEN_PX
    )


def _spans_a_cell(of: AuditedLesion, factor: float) -> bool:
    return bool(of["median_longer_px"] * factor >= NETWORK_STRIDE_PX)


def _larger_px(
    report: AuditReport,
    lesions: Mapping[str, AuditedLesion],
    is_resolved: Callable[[AuditedLesion, float], bool],
    images_px: int | None,
) -> int | None:
    """The smallest usual input size that is enough for all of them, if any."""
    now_px, most_px = report["input_size_px"], images_px or _INPUT_SIZES_PX[-1]
    return next(
        (
            size_px
            for size_px in _INPUT_SIZES_PX
            if now_px < size_px <= most_px
            and all(is_resolved(of, size_px / now_px) for of in lesions.values())
        ),
        None,
    )


def _cost(report: AuditReport, larger_px: int | None) -> dict[str, float]:
    if larger_px is None:
        return {}
    return {"times_the_work": round((larger_px / report["input_size_px"]) ** 2, 2)}


def _remedy(report: AuditReport, larger_px: int | None, gain: str, images_px: int | None) -> str:
    if larger_px is None:
        most_px = images_px or _INPUT_SIZES_PX[-1]
        return f"No input of up to {most_px} px would be enough for all of them."
    factor = (larger_px / report["input_size_px"]) ** 2
    cost = f"at {factor:.2g} times the cost of each step"
    unknown = "" if images_px else " (if the images are that large)"
    return f"An input of {larger_px} px{unknown} {gain}, {cost}."


def _changes(larger_px: int | None) -> tuple[str, ...]:
    return () if larger_px is None else (f"image.size_px={larger_px}",)


def _by(size_px: Sequence[float]) -> str:
    return f"{size_px[0]:.0f}×{size_px[1]:.0f}"
