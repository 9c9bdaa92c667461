"""``cxr-tui audit RECIPE``: what to know before training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from core.data.study.audit_report import (
    AuditedCount,
    AuditReport,
    ExpectedInterval,
    policy_in_words,
    width_in_words,
)
from core.data.study.study import audit_study
from core.health.before import before_download
from core.recipe import PARTS
from core.words import number_of, patients_of
from cxr_tui.arguments import add_cache, add_changes, add_json, cache_folder, common_parser
from cxr_tui.own_data import own_recipe
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.safe_text import counted
from cxr_tui.terminal.stdout import print_json, print_pairs, print_table


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    recipe = own_recipe(arguments.recipe, arguments.set)
    found = audit_study(recipe, cache_folder(arguments.cache), labels_only=arguments.labels_only)
    answers = before_download(recipe, found)
    found["health"] = [answer.as_json() for answer in answers]
    if arguments.json:
        print_json(found)
    else:
        _show(found, recipe.image.size_px)
    return 0


def _show(found: AuditReport, size_px: int) -> None:
    head = ["finding"]
    for part in PARTS:
        head += [part, "%"]
    head += [f"box at {size_px}"]
    names = list(found["parts"]["train"]["findings"])
    moved = _moved(found)
    head += list(moved)
    expected = found["expected_intervals"]["findings"]
    head += ["test ±"]
    rows = [
        [
            *(name, *_counts(found, name), *_lesion(found, name)),
            *(f"{of_finding[name]:,}" for of_finding in moved.values()),
            _half_width(expected[name]),
        ]
        for name in names
    ]
    missing = found["missing_images"]
    images, of_whom = number_of(found["images"], "image"), patients_of(found["patients"])
    title = f"{found['table_version']}: {images}, {of_whom}"
    if missing is not None:
        title += f"; {missing:,} missing, {found['extra_images']:,} extra"
    print_table(title, head, rows)
    patients = ", ".join(
        f"{part} {number_of(found['parts'][part]['images'], 'image')} of "
        f"{patients_of(found['parts'][part]['patients'])}"
        for part in PARTS
    )
    is_known = found["patients"] is not None
    held = ["no patient is in two parts"] if is_known and found["shared_patients"] == 0 else []
    of_draw = [found["split"]["note"]] if found["split"]["note"] else []
    subset = [found["subset_note"]] if found["subset_note"] else []
    policy = policy_in_words(found["label_policy"])
    expected_words = found["expected_intervals"]
    widths = [_WIDTH_NOTE.format(**expected_words), width_in_words(expected_words)]
    notes = [
        patients,
        *filter(None, widths),
        *subset,
        *held,
        *of_draw,
        *policy,
        *found["notes"],
        *found["warnings"],
    ]
    pairs = [*notes, *(_in_words(count) for count in found["counts"])]
    print_pairs([*(("·", note) for note in pairs), *health_pairs(answers_of(found.get("health")))])


_WIDTH_NOTE = (
    "test ±: expected half-width of the AUROC's interval at an AUROC of {assumed_auroc:.2f}, if "
    "images of one patient correlate by {assumed_correlation_within_patients:g}"
)


def _half_width(one: ExpectedInterval) -> str:
    half = one["half_width"]
    return "–" if half is None else f"{half:.3f}"


def _moved(found: AuditReport) -> dict[str, dict[str, int]]:
    """Column -> finding -> labels that the policy decides; no column without any."""
    policy = found["label_policy"]["by_finding"]
    columns = {
        "uncertain": {name: row["uncertain_labels"] for name, row in policy.items()},
        "blank": {name: row["blank_labels"] for name, row in policy.items()},
    }
    return {name: column for name, column in columns.items() if any(column.values())}


def _in_words(count: AuditedCount) -> str:
    """A count of repaired, dropped or missing images, with a few examples."""
    said = counted(count["reason"], count["images"])
    return f"{said}, such as {', '.join(count['examples'])}" if count["examples"] else said


def _counts(found: AuditReport, name: str) -> list[str]:
    cells = []
    for part in PARTS:
        figures = found["parts"][part]["findings"][name]
        share = figures["prevalence"]
        cells += [f"{figures['positives']:,}", "–" if share is None else f"{100 * share:.1f}"]
    return cells


def _lesion(found: AuditReport, name: str) -> list[str]:
    lesion = found["lesions"].get(name)
    if not lesion:
        return ["–"]
    width, height = lesion["median_px_at_input"]
    return [f"{width:.0f}×{height:.0f}"]


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "audit",
        "What to know before training: counts, prevalence, leakage, missing images, and how "
        "large each finding's lesions are at the input size.",
        "cxr-tui audit nih-14 --set dataset.labels=Data_Entry_2017_v2020.csv --labels-only",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    add_changes(parser)
    parser.add_argument(
        "--labels-only",
        action="store_true",
        help="don't look for image files, as before the download",
    )
    add_json(parser)
    add_cache(parser)
    return parser
