"""Sessions against data sets on stdout: AUROC elsewhere, and how far it is from the session's own.

First a small table where there are several of both, then one with intervals for each data set. What
is missing says why below its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.words import number_of, patients_of, signed
from cxr_tui.reports.external_table import (
    UNDEFINED,
    ends_text,
    figure_text,
    signed_ends,
)
from cxr_tui.reports.looks import looks_words
from cxr_tui.runs.external_cells import Cell
from cxr_tui.terminal.stdout import print_table, print_text

_NOT_SCORED = "not scored"
_HEAD = ("AUROC", "95 % interval", "internal", "difference", "95 % interval")


def print_matrix(cells: Sequence[Cell], findings: Sequence[str]) -> None:
    """The mean AUROC of every cell, or that of each of these findings; then notes."""
    sessions = list(dict.fromkeys(cell.session for cell in cells))
    sets = list(dict.fromkeys(cell.name for cell in cells))
    for place, finding in enumerate(findings or (None,)):
        if place:
            print_text("\n")
        what = "mean AUROC over the findings in common" if finding is None else f"AUROC, {finding}"
        if len(sessions) > 1 and len(sets) > 1:
            _print_overview(what, cells, sessions, sets, finding)
        if len(sessions) == 1:
            _print_table(f"{what}: {sessions[0]}", "data set", cells, finding)
            continue
        for number, name in enumerate(sets):
            if number or len(sets) > 1:
                print_text("\n")
            _print_table(f"{what}: on {name}", "", [c for c in cells if c.name == name], finding)
    print_table(None, (), (), notes=_notes(cells))


def _print_overview(
    what: str, cells: Sequence[Cell], sessions: Sequence[str], sets: Sequence[str], finding: Any
) -> None:
    short = {(cell.session, cell.name): _short(cell, finding) for cell in cells}
    rows = [[session, *(short[session, name] for name in sets)] for session in sessions]
    print_table(f"{what} (difference from the session's own test)", ["", *sets], rows)


def _print_table(title: str, kind: str, cells: Sequence[Cell], finding: str | None) -> None:
    """A row for each session, or for each data set where ``kind`` says so."""
    counts = ["images", "findings"] if finding is None else ["images"]
    rows = [
        [
            cell.name if kind else cell.session,
            *_counts(cell)[: len(counts)],
            *_row(cell, finding),
        ]
        for cell in cells
    ]
    print_table(title, [kind, *counts, *_HEAD], rows, notes=_errors(cells))


def _errors(cells: Sequence[Cell]) -> list[str]:
    """Why cells are missing, once for those of the same reason."""
    missing: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        if cell.error is not None:
            by_set = missing.setdefault(str(cell.error), {})
            by_set.setdefault(cell.name, []).append(cell.session)
    told = []
    for why, by_set in missing.items():
        where = [f"{', '.join(of)} on {name}" for name, of in by_set.items()]
        told.append(f"{'; '.join(where)}: {why}")
    return told


def _auroc(cell: Cell, finding: str | None) -> Mapping[str, Any]:
    """A cell's AUROC there, here and the difference; {} where there is none."""
    if cell.scored is None:
        return {}
    report = cell.scored.report
    if finding is not None:
        of = report["findings"].get(finding)
        return {} if of is None else of["compared"]["auroc"]
    mean: Mapping[str, Any] = report["mean"]
    if mean["external"] is None:  # nothing to compare with
        own = {"external": report["mean_auroc"], "external_ci": report["mean_auroc_ci"]}
        return {**mean, **own}
    return mean


def _short(cell: Cell, finding: str | None) -> str:
    if cell.error is not None:
        return _NOT_SCORED
    auroc = _auroc(cell, finding)
    if auroc.get("external") is None:
        return UNDEFINED
    difference = auroc["difference"]
    beside = "" if difference is None else f" ({signed(difference)})"
    return figure_text(auroc["external"]) + beside


def _row(cell: Cell, finding: str | None) -> list[str]:
    auroc = _auroc(cell, finding)
    return [
        _NOT_SCORED if cell.error is not None else figure_text(auroc.get("external")),
        ends_text(auroc.get("external_ci")),
        figure_text(auroc.get("internal")),
        signed(auroc.get("difference")),
        signed_ends(auroc.get("difference_ci")),
    ]


def _counts(cell: Cell) -> list[str]:
    """How many images, and how many findings the mean is over."""
    if cell.scored is None:
        return [UNDEFINED, UNDEFINED]
    report = cell.scored.report
    over = report["mean"]["over"] or [
        name for name, of in report["findings"].items() if of["auroc"] is not None
    ]
    return [f"{report['images']:,}", f"{len(over):,}"]


def _notes(cells: Sequence[Cell]) -> list[str]:
    """What was scored, what is to be known of it, and where all of it is kept."""
    sizes: dict[str, str] = {}
    looks: dict[str, list[str]] = {}
    warned: dict[tuple[str, str], list[str]] = {}
    kept: dict[Path, list[str]] = {}
    for cell in cells:
        if cell.scored is None:
            continue
        report, seen = cell.scored.report, cell.scored.looks
        number = number_of(report["images"], "image")
        sizes[cell.name] = f"{cell.name}: {number} of {patients_of(report['patients'])}"
        looks[cell.name] = looks_words(seen.times, seen.sources, seen.warning)
        for warning in report["warnings"]:
            warned.setdefault((cell.name, warning), []).append(cell.session)
        kept.setdefault(cell.scored.place.parent, []).append(cell.name)
    return [
        *sizes.values(),
        *(f"{', '.join(of)} on {name}: {words}" for (name, words), of in warned.items()),
        *(f"{name}: {words}" for name, every in looks.items() for words in every),
        *(f"kept in {folder}: {', '.join(names)}" for folder, names in kept.items()),
    ]
