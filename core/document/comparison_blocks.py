"""Several sessions beside each other: whether one is better, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.document.blocks import Block, Section, Table, Words
from core.document.facts import Facts
from core.document.figures.together import auroc_together, curves_together
from core.document.values import NONE, count, ends, interval, number, three
from core.errors import CxrError
from core.evaluation.comparing.compare import compare_runs
from core.evaluation.comparing.scored_runs import run_of_session
from core.words import signed

ANCHOR = "comparison"


def comparison_sections(read: Sequence[Facts]) -> list[Section]:
    """The comparison of two or more sessions, or why they can't be compared."""
    blocks: list[Block] = []
    try:
        report = compare_runs([run_of_session(facts.session) for facts in read])
    except CxrError as error:
        blocks.append(Words((f"Their test figures can't be compared: {error.what}. {error.why}",)))
    else:
        blocks += _compared(report)
    for chart in (auroc_together(read, "t-auroc"), curves_together(read, "t-curves")):
        blocks += [chart] if chart is not None else []
    lead = (
        "A verdict is by p values corrected for the number of findings (Holm). Runs whose recipes "
        "differ in seeds alone form a group; then seeds count beside patients."
    )
    return [Section(ANCHOR, "Whether one is better", blocks, lead)]


def _compared(report: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [_runs(report)]
    for pair in report["comparisons"] or [report]:
        blocks.append(_auroc(pair))
        blocks.append(_others(pair))
        changed = pair["recipe_differences"]
        if changed:
            rows = tuple((key, _value(a), _value(b)) for key, (a, b) in changed.items())
            head = ("key", f"A: {pair['a']}", f"B: {pair['b']}")
            blocks.append(Table("Recipes differ in", head, rows, left=3))
        else:
            blocks.append(Words((f"The recipes of {pair['a']} and {pair['b']} differ in no key "
                                 "that matters, seeds aside.",)))  # fmt: skip
    if report["warnings"]:
        blocks.append(Words(tuple(report["warnings"]), "Warnings", is_list=True))
    return blocks


def _runs(report: Mapping[str, Any]) -> Table:
    rows = []
    for place, run in enumerate(report["runs"]):
        side = "A" if place == 0 else "B" if len(report["runs"]) == 2 else f"B{place}"
        members = ", ".join(one["name"] for one in run["members"])
        rows.append(
            (
                f"{side}: {run['name']}",
                members if run["seeds"] > 1 else "",
                str(run["seeds"]),
                three(number(run["mean_auroc"])),
                three(number(run["sd_over_seeds"])),
            )
        )
    images = f"{count(report['images'])} images of {count(report['patients'])} patients"
    title = f"Compared on the same {images}"
    if all(run["seeds"] == 1 for run in report["runs"]):
        return Table(title, ("", "mean AUROC"), tuple((row[0], row[3]) for row in rows))
    head = ("", "sessions", "seeds", "mean AUROC", "SD over seeds")
    return Table(title, head, tuple(rows), 2)


_VERDICTS = {"a better": "A better", "b better": "B better"}


def _auroc(pair: Mapping[str, Any]) -> Table:
    rows = [
        (
            name,
            three(number(one["auroc_a"])),
            three(number(one["auroc_b"])),
            _signed(one["auroc_difference"]),
            _signed_ends(one["auroc_difference_ci"]),
            _p(one["p"]),
            _p(one["p_holm"]),
            _VERDICTS.get(one["verdict"], one["verdict"]),
        )
        for name, one in (*pair["findings"].items(), ("mean", pair["mean"]))
    ]
    notes = [pair["sentence"], *pair["notes"]]
    notes += [f"{name}: {one['note']}." for name, one in pair["findings"].items() if one["note"]]
    head = ("finding", "A", "B", "B − A", "95 % interval", "p", "p, Holm", "verdict")
    title = f"AUROC. A: {pair['a']}. B: {pair['b']}"
    return Table(title, head, tuple(rows), 1, tuple(note for note in notes if note), True)


def _others(pair: Mapping[str, Any]) -> Table:
    rows = []
    for name, one in pair["findings"].items():
        cells = [name]
        for figure in ("auprc", "specificity"):
            cells += [three(number(one["sensitivity"]))] * (figure == "specificity")
            cells += [three(number(one[f"{figure}_{side}"])) for side in ("a", "b")]
            cells.append(_signed(one[f"{figure}_difference"]))
            cells.append(_signed_ends(one[f"{figure}_difference_ci"]))
        rows.append(tuple(cells))
    head = ("finding", "AUPRC, A", "B", "B − A", "95 % interval",
            "sensitivity", "specificity, A", "B", "B − A", "95 % interval")  # fmt: skip
    note = "Specificity: on test, at that sensitivity there; val chose how much."
    return Table("AUPRC and specificity", head, tuple(rows), 1, (note,))


def _signed(value: object) -> str:
    known = number(value)
    return signed(known)


def _signed_ends(value: object) -> str:
    return ends(interval(value)).replace("-", "−")


def _p(value: object) -> str:
    known = number(value)
    if known is None:
        return NONE
    return "< 0.001" if known < 0.001 else f"{known:.3f}"


def _value(value: object) -> str:
    return "not set" if value is None else str(value)
