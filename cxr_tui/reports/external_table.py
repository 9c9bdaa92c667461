"""The figures of another data set beside the session's own, on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.store.ledger import Looks
from core.words import number_of, patients_of, signed
from cxr_tui.reports.looks import looks_words
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.stdout import print_pairs, print_table

UNDEFINED = "–"
_FIGURES = {
    "auprc": "AUPRC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
_WHY = (
    "where the differences come from: AUROC and its parts, log loss and its parts, with 95 % "
    "intervals"
)
_CAUSES = ("AUROC", "case mix", "rest", "log loss", "case mix", "prevalence", "calibration", "rest")


def print_external(report: Mapping[str, Any], place: Path, looks: Looks) -> None:
    """Print every figure beside the session's own, where differences come from, and notes."""
    findings = report["findings"]
    rows = [_row(name, of["compared"]["auroc"]) for name, of in findings.items()]
    mean = report["mean"]
    if mean["external"] is None:  # nothing to compare with
        mean = mean | {"external": report["mean_auroc"], "external_ci": report["mean_auroc_ci"]}
    rows.append(_row("mean", mean))
    head = ["external", "95 % interval", "internal", "95 % interval"]
    head += ["difference", "95 % interval"]
    print_table(None, (), (), notes=_sides(report))
    print_table(None, ["AUROC", *head], rows)
    others = [
        _short_row(f"{name} {_FIGURES[key]}", figure)
        for name, of in findings.items()
        for key, figure in of["compared"].items()
        if key in _FIGURES and figure["external"] is not None
    ]
    rule = report["operating_point"]
    title = f"other figures; thresholds are those that {rule} chose on the session's val"
    print_table(title, ["", "external", "internal", "difference"], others)
    if report["internal"]["images"] is not None:
        causes = [row for name, of in findings.items() for row in _causes(name, of)]
        print_table(_WHY, ["", *_CAUSES], causes)
    print_pairs(health_pairs(answers_of(report["health"])))
    counted = looks_words(looks.times, looks.sources, looks.warning)
    print_table(None, (), (), notes=[*_notes(report), *counted, f"kept in {place}"])


def _causes(name: str, figures: Mapping[str, Any]) -> list[list[str]]:
    """Both differences and their parts, and below them the ends of their intervals."""
    loss = ("case_mix", "prevalence", "calibration", "rest")
    parts = [("because", part) for part in ("case_mix", "rest")]
    parts += [("because_log_loss", part) for part in loss]
    values = [figures[of][part] for of, part in parts]
    values.insert(0, figures["difference"])
    values.insert(3, figures["log_loss_difference"])
    ends = [figures[f"{of}_ci"][part] for of, part in parts]
    ends.insert(0, figures["difference_ci"])
    ends.insert(3, figures["log_loss_difference_ci"])
    rows = [[name, *map(signed, values)]]
    if any(one is not None for one in ends):
        for side, head in enumerate(("  from", "  to")):
            rows.append([head, *("" if one is None else signed(one[side]) for one in ends)])
    return rows


def _sides(report: Mapping[str, Any]) -> list[str]:
    """What is compared, by which checkpoint."""
    external, internal = report["external"], report["internal"]
    there = f"{number_of(report['images'], 'image')} of {patients_of(report['patients'])}"
    own = "no test figures yet"
    if internal["images"] is not None:
        own = f"{number_of(internal['images'], 'image')} of {patients_of(internal['patients'])}"
    return [
        f"external: {external['name']}, {there}",
        f"internal: test of {internal['session']}, {own}; checkpoint {external['checkpoint']}",
    ]


def _row(name: str, auroc: Mapping[str, Any]) -> list[str]:
    return [
        name,
        figure_text(auroc["external"]),
        ends_text(auroc["external_ci"]),
        figure_text(auroc["internal"]),
        ends_text(auroc["internal_ci"]),
        signed(auroc["difference"]),
        signed_ends(auroc["difference_ci"]),
    ]


def _short_row(name: str, figure: Mapping[str, Any]) -> list[str]:
    """Each figure with its interval in brackets."""
    sides = [
        figure_text(figure[side])
        + (f" ({ends[0]:.3f}–{ends[1]:.3f})" if (ends := figure[f"{side}_ci"]) else "")
        for side in ("external", "internal")
    ]
    ends = figure["difference_ci"]
    difference = signed(figure["difference"])
    difference += f" ({signed(ends[0])} to {signed(ends[1])})" if ends else ""
    return [name, *sides, difference]


def _notes(report: Mapping[str, Any]) -> list[str]:
    external = report["external"]
    spelt = [f"{ours} is its {word}" for ours, word in external["findings"].items() if ours != word]
    notes = list(report["warnings"])
    notes += [note for note in _about_the_mix(report) if note]
    notes.append(f"findings in common: {', '.join(external['findings'])}")
    notes += [f"matched by spelling: {', '.join(spelt)}"] if spelt else []
    if external["without_counterpart"]:
        left_out = ", ".join(external["without_counterpart"])
        notes.append(f"left out, since the table has no labels of them: {left_out}")
    if external["not_learnt"]:
        notes.append(f"not learnt by the network: {', '.join(external['not_learnt'])}")
    return [*notes, *report["label_policy"], report["labels_note"]]


def _about_the_mix(report: Mapping[str, Any]) -> list[str]:
    mix = report["case_mix"]
    if not mix["columns"]:
        return [f"case mix is unknown: {mix['note']}"]
    words = f"case mix: external images weighted to the internal mix of {', '.join(mix['columns'])}"
    worth = [of["case_mix"]["effective_images"] for of in report["findings"].values()]
    known = [images for images in worth if images is not None]
    if known:
        words += f"; weighted, {report['images']:,} images are worth {min(known):,.0f}"
        words += f" to {max(known):,.0f}" if round(min(known)) < round(max(known)) else ""
    said = dict.fromkeys(of["case_mix"]["note"] for of in report["findings"].values())
    return [words, mix["note"] or "", *(f"case mix: {note}" for note in said if note)]


def figure_text(value: float | None) -> str:
    """Three digits, or a dash."""
    return UNDEFINED if value is None else f"{value:.3f}"


def ends_text(ends: list[float] | None) -> str:
    """An interval."""
    return UNDEFINED if ends is None else f"{ends[0]:.3f} – {ends[1]:.3f}"


def signed_ends(ends: list[float] | None) -> str:
    """A difference's interval."""
    return UNDEFINED if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"
