"""What an audit's reader should worry about, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.recipe import NETWORK_STRIDE_PX

ENOUGH_POSITIVE_PATIENTS = 10
"""Below so many positive patients an AUROC says little: its interval spans most of 0.5 to 1."""

_SHIFT_WORTH_A_WORD = 2.0
_VIEW_SHIFT_WORTH_A_WORD = 0.1
_SMALL_LESION_PX = 16
_MOST = 0.5

Report = Mapping[str, Any]


def audit_warnings(report: Report) -> list[str]:
    """Warnings of an audit's report (see ``core.data.audit.audit``), the gravest first."""
    return [
        *_leakage(report),
        *_missing(report),
        *_too_few_patients(report),
        *_prevalence_shifts(report),
        *_view_shift(report),
        *_small_lesions(report),
    ]


def _leakage(report: Report) -> Iterator[str]:
    shared = report["shared_patients"]
    if shared:
        subject = "1 patient stands" if shared == 1 else f"{shared:,} patients stand"
        yield (
            f"{subject} in more than one part: the test figures would flatter the network, "
            "and a run on this split is refused."
        )


def _missing(report: Report) -> Iterator[str]:
    missing, total = report["missing_images"], report["num_table_images"]
    if missing:
        yield (
            f"Only {report['images']:,} of the table's {total:,} images "
            f"({_percent(report['images'] / total, 1)}) are there: results are about those."
        )


def _too_few_patients(report: Report) -> Iterator[str]:
    for part, numbers in report["parts"].items():
        none, few = [], []
        for finding, of_finding in numbers["findings"].items():
            num_patients = of_finding["positive_patients"]
            if num_patients == 0:
                none.append(finding)
            elif num_patients < ENOUGH_POSITIVE_PATIENTS and part != "train":
                few.append(f"{finding} ({num_patients})")
        if none:
            lesson = (
                "it can't be learnt" if part == "train" else "its AUROC is undefined and left out"
            )
            yield f"{part} has no positive image of {', '.join(none)}: {lesson}."
        if few:
            yield (
                f"{part} has fewer than {ENOUGH_POSITIVE_PATIENTS} positive patients of "
                f"{', '.join(few)}: the interval of such an AUROC is very wide."
            )


def _prevalence_shifts(report: Report) -> Iterator[str]:
    shifted = []
    for finding, ratio in report["shift"].items():
        train = report["parts"]["train"]["findings"][finding]
        test = report["parts"]["test"]["findings"][finding]
        fewest = min(train["positive_patients"], test["positive_patients"])
        if not ratio or fewest < ENOUGH_POSITIVE_PATIENTS:
            continue
        if ratio >= _SHIFT_WORTH_A_WORD or ratio <= 1 / _SHIFT_WORTH_A_WORD:
            change = f"{_percent(train['prevalence'], 2)} to {_percent(test['prevalence'], 2)}"
            shifted.append((max(ratio, 1 / ratio), f"{finding} ({change})"))
    if shifted:
        named = ", ".join(text for _, text in sorted(shifted, reverse=True))
        yield (
            f"Prevalence changes by a factor of 2 or more from train to test: {named}. "
            "Precision and calibration will differ between them; AUROC needn't."
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
        test, train = _percent(shares["test"]), _percent(shares["train"])
        yield (
            f"{test} of test is AP and {train} of train: sicker patients are imaged in bed, "
            "so read each AUROC within a view position too."
        )


def _small_lesions(report: Report) -> Iterator[str]:
    size_px = report["input_size_px"]
    hidden = []
    for finding, sizes in report["lesions"].items():
        longer_px = max(sizes["median_px_at_input"])
        if longer_px < _SMALL_LESION_PX:
            yield (
                f"Half of the {finding} boxes are under {longer_px:.0f} px here (input of "
                f"{size_px} px): detection is limited by pixels, so try a larger image.size_px."
            )
        if sizes["share_smaller_than_cell"] > _MOST:
            hidden.append(f"{finding} ({_percent(sizes['share_smaller_than_cell'])})")
    if hidden:
        yield (
            f"Most boxes are smaller than one {NETWORK_STRIDE_PX} px cell of the network's last "
            f"map: {', '.join(hidden)}. Heat maps can't outline these, whether detected or not."
        )


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"
