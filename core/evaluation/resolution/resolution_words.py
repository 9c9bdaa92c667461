"""The result of a comparison of input sizes in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.evaluation.metrics import TOO_FEW_PATIENTS
from core.words import signed

CAVEAT = (
    "In brackets the 95 % interval of the difference over the same test patients; one in twenty "
    "misses by chance. Each size was trained once, and another seed changes results too."
)
"""What the intervals cover, and what they don't."""

_SHOWN = 0.005
"""A smaller difference reads 0.00."""

_MORE, _LESS, _SAME = "gained with pixels", "lost with pixels", "no difference beyond chance"
_FEW = f"under {TOO_FEW_PATIENTS} positive patients, too few to tell"
_NO_INTERVAL, _UNDEFINED = "without an interval", "no AUROC"
_VERDICTS = (_MORE, _LESS, _SAME, _FEW, _NO_INTERVAL, _UNDEFINED)

Figures = Mapping[str, Any]


def conclusion(compared: Figures) -> str:
    """Which findings gain from pixels, and which show no difference beyond chance.

    Args:
        compared: see ``core.evaluation.resolution.resolution.compare_sizes``.
    """
    findings = compared["findings"]
    first_px, last_px = compared["gain_px"]
    found: dict[str, list[str]] = {verdict: [] for verdict in _VERDICTS}
    for name in sorted(findings, key=lambda name: -(findings[name]["gain"]["auroc"] or 0.0)):
        found[_verdict(findings[name])].append(f"{name}{_in_words(findings[name]['gain'])}")
    told = [f"{verdict}: {', '.join(names)}" for verdict, names in found.items() if names]
    return f"From {first_px} to {last_px} px {'; '.join(told)}."


def _verdict(figures: Figures) -> str:
    gain = figures["gain"]
    if gain["auroc"] is None:
        return _UNDEFINED
    if figures["positive_patients"] < TOO_FEW_PATIENTS:
        return _FEW
    if gain["auroc_ci"] is None:  # equal rankings leave nothing to measure
        return _SAME if gain["auroc"] == 0 else _NO_INTERVAL
    low, high = gain["auroc_ci"]
    if low > 0 and gain["auroc"] >= _SHOWN:
        return _MORE
    return _LESS if high < 0 and gain["auroc"] <= -_SHOWN else _SAME


def _in_words(gain: Figures) -> str:
    if gain["auroc"] is None:
        return ""
    value = f" {_signed(gain['auroc'])}"
    if gain["auroc_ci"] is None:
        return value
    low, high = gain["auroc_ci"]
    return f"{value} ({_signed(low)} to {_signed(high)})"


def _signed(value: float) -> str:
    return "0.00" if abs(value) < _SHOWN else signed(value, 2)
