"""What a seed does to a recipe's figures, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.comparing.comparison_words import TWO_RUNS
from core.words import number_of
from cxr_tui.terminal.stdout import print_table

_UNDEFINED = "–"


def print_seeds(found: Mapping[str, Any]) -> None:
    """Print the mean AUROC of each run, and the spread of each finding's over seeds."""
    title = (
        f"test: {number_of(found['images'], 'image')} of {number_of(found['patients'], 'patient')}"
    )
    runs = [(run["name"], str(run["seed"]), _number(run["mean_auroc"])) for run in found["runs"]]
    print_table(title, ("session", "seed", "mean AUROC"), runs)
    rows = [_row(name, one) for name, one in (*found["findings"].items(), ("mean", found["mean"]))]
    head = (f"AUROC of {len(runs)} seeds", "mean", "SD", "lowest", "highest", "95 % over seeds")
    print_table(None, head, rows, notes=[_TWO_RUNS.format(_beside(found["mean"]["sd_over_seeds"]))])


_TWO_RUNS = (
    "Two runs of this recipe differ by {} in mean AUROC on average (1.13 SD): a smaller gain of "
    "another recipe may be the seed."
)


def _beside(deviation: float | None) -> str:
    return _UNDEFINED if deviation is None else f"{TWO_RUNS * deviation:.3f}"


def _row(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    keys = ("auroc", "sd_over_seeds", "lowest", "highest")
    return (name, *(_number(one[key]) for key in keys), _ends(one["auroc_ci"]))


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"


def _ends(ends: Sequence[float] | None) -> str:
    return _UNDEFINED if ends is None else f"{ends[0]:.3f} – {ends[1]:.3f}"
