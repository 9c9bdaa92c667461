"""An audit's report in the lines of the data screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.data.images.refusal import told_apart
from core.data.study.audit_report import AuditReport, policy_in_words, width_in_words
from core.health.before import of_findings
from core.health.diagnosis import Severity
from core.health.words import listed
from core.recipe import NETWORK_STRIDE_PX, PARTS, Recipe
from core.words import number_of
from cxr_tui.terminal.key_names import key_of

Kind = Literal["good", "bad", "warning", "note", "plain"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-~=+*#"
_LARGER_PX = (512, 1024)
_NAMED = 3


@dataclass(frozen=True)
class Note:
    """One sentence and its kind."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class ImageSearch:
    """The state of the search for images, and its result."""

    state: Literal["looking", "found", "refused"] = "looking"
    so_far: int = 0
    in_table: int = 0
    missing: int = 0
    extra: int = 0
    quarantined: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    changes: tuple[str, ...] = ()


def notes_of(report: AuditReport, search: ImageSearch, recipe: Recipe) -> list[Note]:
    """Leakage, missing and quarantined images, then warnings, then the rest."""
    return [
        *_leakage(report, recipe),
        *(Note("note", text) for text in [report.get("subset_note")] if text),
        *_images(search, partial=recipe.dataset.partial),
        *(Note("note", text) for text in policy_in_words(report["label_policy"])),
        *(Note("note", text) for text in report["notes"]),
        *(Note("warning", text) for text in _warnings(report)),
        *_health(report, recipe),
        *(Note("note", text) for text in [width_in_words(report["expected_intervals"])] if text),
        *_repaired(report),
        *(Note("plain", text) for text in [report["split"]["note"]] if text),
        Note("plain", report["note"]),
    ]


def _leakage(report: AuditReport, recipe: Recipe) -> Iterator[Note]:
    shared = report["shared_patients"]
    if report["patients"] is None and recipe.dataset.patient_from != "table":
        return
    if report["patients"] is None:
        yield Note("bad", "no run can start: choose where patients are read (patient from)")
        return
    if not shared:
        yield Note("good", "no patient is in two parts")
        return
    subject = "1 patient is" if shared == 1 else f"{shared:,} patients are"
    yield Note(
        "bad",
        f"{subject} in more than one part, and a run on this split would be refused. "
        "Correct the lists, or split by patient.",
    )


def _images(search: ImageSearch, *, partial: bool) -> Iterator[Note]:
    if search.state == "refused":
        said = search.refusal
        if search.changes:
            said = f"{key_of('data.remedy')} sets {listed(search.changes)}. {said}"
        yield Note("bad", said)
        return
    if search.state == "looking":
        yield Note(
            "plain", f"looking for the images: {search.so_far:,} of {search.in_table:,} so far"
        )
        return
    found = search.in_table - search.missing
    missing = f"{search.missing:,} of the table's {search.in_table:,} images are missing"
    if not search.missing:
        yield Note("good", "no image is missing")
    elif partial:
        yield Note("warning", f"{missing}: parts are drawn from the {found:,} found")
    else:
        yield Note(
            "bad",
            f"{missing}, so a run would be refused. Fetch the rest, or choose to skip them "
            "(the field 'missing'). The figures here are for the whole table.",
        )
    if search.extra:
        yield Note("plain", f"{search.extra:,} images that are not in the table are ignored")
    quarantined, passed_by = told_apart(search.quarantined)
    if quarantined:
        yield Note(
            "warning",
            f"{len(quarantined):,} can't be decoded and are quarantined: {_named(quarantined)}",
        )
    if passed_by:
        yield Note(
            "plain",
            f"{number_of(len(passed_by), 'file')} passed by, which hold no picture: "
            f"{_named(passed_by)}",
        )


def _named(reasons: Mapping[str, str]) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:_NAMED])
    more = len(reasons) - _NAMED
    return named + (f"; and {more:,} more" if more > 0 else "")


def _warnings(report: AuditReport) -> list[str]:
    """The audit's warnings, without the one given in more detail above them."""
    return report["warnings"][bool(report["missing_images"]) :]


def _health(report: AuditReport, recipe: Recipe) -> Iterator[Note]:
    for found in of_findings(recipe, report):
        is_grave = found.severity in (Severity.WARNING, Severity.STOP)
        yield Note("warning" if is_grave else "note", f"{found.text} {found.remedy}")


def _repaired(report: AuditReport) -> Iterator[Note]:
    for count in report["counts"]:
        number = f"{count['images']:,} × " if count["images"] else ""
        examples = f" ({', '.join(count['examples'])})" if count["examples"] else ""
        yield Note("plain", f"{number}{count['reason']}{examples}")


def part_table(report: AuditReport, *, ascii_only: bool = False) -> list[tuple[str, ...]]:
    """Rows of (what, train, val, test): images, patients, views, ages, sex, no finding."""
    parts = [report["parts"][part] for part in PARTS]
    rows: list[tuple[str, ...]] = [
        ("", *PARTS),
        ("images", *(f"{part['images']:,}" for part in parts)),
        ("patients", *(_number(part["patients"]) for part in parts)),
    ]
    views, sexes = [part["views"] for part in parts], [part["sexes"] for part in parts]
    for name, tallies, value in (("AP", views, "AP"), ("PA", views, "PA"), ("women", sexes, "F")):
        if any(tallies):
            rows.append((name, *(_share(tally, value) for tally in tallies)))
    if any(part["no_finding"] for part in parts):
        shares = (part["no_finding"] and part["no_finding"]["share"] for part in parts)
        rows.append(("no finding", *("–" if s is None else f"{100 * s:.1f} %" for s in shares)))
    ages = [part["median_age_years"] for part in parts]
    if any(age is not None for age in ages):
        rows.append(("median age", *("–" if age is None else f"{age:.0f}" for age in ages)))
        decades = (part["age_decades"] or [] for part in parts)
        rows.append(("ages 0–119", *(_histogram(d, ascii_only=ascii_only) for d in decades)))
    return rows


def _share(tally: Mapping[str, int] | None, value: str) -> str:
    total = sum(tally.values()) if tally else 0
    return f"{100 * tally[value] / total:.1f} %" if tally and total else "–"


def _histogram(counts: Sequence[int], *, ascii_only: bool) -> str:
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    most = max(counts, default=0)
    if not most:
        return "–"
    return "".join(
        blocks[min(len(blocks) - 1, count * len(blocks) // most)] if count else " "
        for count in counts
    )


def finding_line(report: AuditReport, finding: str) -> str:
    """One finding's positive images and their patients, by part."""
    figures = [report["parts"][part]["findings"][finding] for part in PARTS]
    positives = " · ".join(f"{f['positives']:,}" for f in figures)
    patients = " · ".join(f"{f['positive_patients']:,}" for f in figures)
    return f"{finding}: {positives} images of {patients} patients"


def lesion_sentence(report: AuditReport, finding: str) -> str:
    """The size of the finding's boxes at the input size, compared with a cell of the last map."""
    lesion = report["lesions"].get(finding)
    if not lesion:
        return f"There is no box of {finding}, so the size of its lesions is unknown."
    size_px = report["input_size_px"]
    width, height = lesion["median_px_at_input"]
    article = "An" if finding[0] in "AEIOU" else "A"
    sentence = (
        f"{article} {finding} box is {width:.0f}×{height:.0f} px at {size_px}; "
        f"one cell of the map covers {NETWORK_STRIDE_PX} px"
    )
    if max(width, height) >= NETWORK_STRIDE_PX:
        return sentence + "."
    sentence += f", and {100 * lesion['share_smaller_than_cell']:.0f} % of the boxes are smaller."
    larger_px = next((size for size in _LARGER_PX if size > size_px), None)
    if larger_px is None:
        return sentence
    factor = larger_px / size_px
    return sentence + (
        f" {larger_px} px gives {width * factor:.0f}×{height * factor:.0f}, "
        f"for {factor**2:.2g} times the work."
    )


def _number(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
