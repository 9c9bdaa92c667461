"""A comparison as tables of text, for stdout and screens; imports no Textual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.words import number_of, signed
from cxr_tui.reports.looks import looks_words
from cxr_tui.terminal.stdout import print_pairs, print_table

_UNDEFINED = "–"
_VERDICTS = {"b better": "B better", "a better": "A better", "equal within margin": "equal"}
"""Shorter, so that the table fits 80 columns."""


@dataclass(frozen=True)
class TableRows:
    """A table as text: its title, its head, its rows, and notes below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def print_comparison(report: Mapping[str, Any]) -> None:
    """Print what ``cxr-tui compare`` found."""
    for table in comparison_tables(report):
        print_table(table.title, table.head, table.rows, notes=table.notes)
    looks = report.get("looks") or {}
    told = looks_words(looks["times"], looks["sessions"], looks["warning"]) if looks else ()
    print_pairs(("·", words) for words in (*report["warnings"], *told))


def comparison_tables(report: Mapping[str, Any]) -> list[TableRows]:
    """The runs, then for each pair its AUROC, other figures and recipes; none is empty.

    Args:
        report: see ``core.evaluation.comparing.comparison_json``.
    """
    tables = [runs_rows(report)]
    for pair in report["comparisons"] or [report]:
        tables += [auroc_rows(pair, report["margin"]), other_rows(pair), recipe_rows(pair)]
    return [table for table in tables if table.rows]


def runs_rows(report: Mapping[str, Any]) -> TableRows:
    """Each side's mean AUROC, its runs and their spread, and its ensemble."""
    images = number_of(report["images"], "image")
    title = f"test: {images} of {number_of(report['patients'], 'patient')}"
    rows: list[tuple[str, ...]] = []
    for place, (run, ensemble) in enumerate(zip(report["runs"], report["ensembles"], strict=True)):
        side = "A" if place == 0 else "B" if len(report["runs"]) == 2 else f"B{place}"
        label = f"{side}  {run['name']}"
        rows.append((label, str(run["seeds"]), _number(run["mean_auroc"]),
                     _number(run["sd_over_seeds"]), ""))  # fmt: skip
        if run["seeds"] > 1:
            rows += [
                (f"   {one['name']}", "", _number(one["mean_auroc"]), "", "")
                for one in run["members"]
            ]
        if ensemble["mean_auroc"] is not None:
            ends = ensemble["mean_auroc_ci"]
            interval = _UNDEFINED if ends is None else f"{ends[0]:.3f} – {ends[1]:.3f}"
            rows.append(("   ensemble", "", _number(ensemble["mean_auroc"]), "", interval))
    head = ("", "runs", "mean AUROC", "SD of seeds", "95 % interval")
    if all(run["seeds"] == 1 for run in report["runs"]):
        return TableRows(title, head[:3], tuple(row[:3] for row in rows))
    return TableRows(title, head, tuple(rows))


def auroc_rows(pair: Mapping[str, Any], margin: float | None = None) -> TableRows:
    """AUROC of A and B by finding, the difference and the verdict; the mean last.

    Args:
        pair: the report of two sides, or one of its ``comparisons``.
        margin: below which models count as equal, if that was asked.
    """
    rows = [
        (name, *_figures(one, "auroc"), p_text(one["p_holm"]), _verdict(one))
        for name, one in (*pair["findings"].items(), ("mean", pair["mean"]))
    ]
    notes = [pair["sentence"], *pair["notes"]]
    if margin is not None:
        notes.append(f"equal: the difference is within {margin:g}, by two one-sided tests")
    notes += [f"{name}: {one['note']}" for name, one in pair["findings"].items() if one["note"]]
    head = ("AUROC", "A", "B", "B − A", "95 % interval", "p Holm", "verdict")
    return TableRows(_title(pair), head, tuple(rows), tuple(notes))


def other_rows(pair: Mapping[str, Any]) -> TableRows:
    """AUPRC, and specificity at the sensitivity chosen on val; only rows with a difference."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for key, name in (("auprc", "AUPRC"), ("specificity", "specificity")):
        for finding, one in (*pair["findings"].items(), ("mean", pair["mean"])):
            if one[f"{key}_difference"] is not None:
                at = f" at {one['sensitivity']:.2f}" if key == "specificity" else ""
                rows.append((f"{finding} {name}{at}", *_figures(one, key)))
                notes += [_AT] if at else []
    return TableRows("", ("", *_HEAD), tuple(rows), tuple(dict.fromkeys(notes)))


_HEAD = ("A", "B", "B − A", "95 % interval")
_AT = "specificity at 0.90: on test, at a sensitivity of 0.90 there; val chose how much"


def recipe_rows(pair: Mapping[str, Any]) -> TableRows:
    """The keys in which the recipes differ, seeds aside."""
    rows = [(key, _value(a), _value(b)) for key, (a, b) in pair["recipe_differences"].items()]
    return TableRows("", ("recipes differ in", "A", "B"), tuple(rows))


def _title(pair: Mapping[str, Any]) -> str:
    return f"A: {pair['a']}\nB: {pair['b']}"


def _figures(one: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return (
        _number(one[f"{key}_a"]),
        _number(one[f"{key}_b"]),
        signed(one[f"{key}_difference"]),
        _ends(one[f"{key}_difference_ci"]),
    )


def _verdict(one: Mapping[str, Any]) -> str:
    verdict: str = one["verdict"]
    return _VERDICTS.get(verdict, verdict)


def p_text(p: float | None) -> str:
    """A p value in three digits; a smaller one is no 0."""
    if p is None:
        return _UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"


def _ends(ends: Sequence[float] | None) -> str:
    return _UNDEFINED if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"


def _value(value: object) -> str:
    """A recipe's value, shortened."""
    text = "not set" if value is None else str(value)
    return text if len(text) <= 30 else f"{text[:29]}…"
