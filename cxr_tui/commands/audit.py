"""``cxr-tui audit RECIPE``: what to know before training."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from core.data.study.study import audit_study
from core.health.before import before_download
from core.recipe_toml import load_recipe
from core.words import number_of
from cxr_tui.arguments import add_cache, cache_folder, common_parser
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.safe_text import counted
from cxr_tui.terminal.stdout import print_json, print_pairs, print_table

_PARTS = ("train", "val", "test")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    recipe = load_recipe(arguments.recipe, arguments.set)
    found = audit_study(recipe, cache_folder(arguments.cache), labels_only=arguments.labels_only)
    answers = before_download(recipe, found)
    found["health"] = [answer.as_json() for answer in answers]
    if arguments.json:
        print_json(found)
    else:
        _show(found, recipe.image.size_px)
    return 0


def _show(found: Mapping[str, Any], size_px: int) -> None:
    head = ["finding"]
    for part in _PARTS:
        head += [part, "%"]
    head += [f"box at {size_px}"]
    names = list(found["parts"]["train"]["findings"])
    rows = [[name, *_counts(found, name), *_lesion(found, name)] for name in names]
    missing = found["missing_images"]
    images, of_whom = number_of(found["images"], "image"), number_of(found["patients"], "patient")
    title = f"{found['table_version']}: {images}, {of_whom}"
    if missing is not None:
        title += f"; {missing:,} missing, {found['extra_images']:,} extra"
    print_table(title, head, rows)
    patients = ", ".join(
        f"{part} {number_of(found['parts'][part]['images'], 'image')} of "
        f"{number_of(found['parts'][part]['patients'], 'patient')}"
        for part in _PARTS
    )
    held = ["no patient is in two parts"] if found["shared_patients"] == 0 else []
    of_draw = [found["split"]["note"]] if found["split"]["note"] else []
    subset = [found["subset_note"]] if found["subset_note"] else []
    notes = [patients, *subset, *held, *of_draw, *found["warnings"]]
    pairs = [*notes, *(_in_words(count) for count in found["counts"])]
    print_pairs([*(("·", note) for note in pairs), *health_pairs(answers_of(found))])


def _in_words(count: Mapping[str, Any]) -> str:
    """What was repaired, dropped or missing: how often, and a few of the images."""
    said = counted(count["reason"], count["images"])
    return f"{said}, such as {', '.join(count['examples'])}" if count["examples"] else said


def _counts(found: Mapping[str, Any], name: str) -> list[str]:
    cells = []
    for part in _PARTS:
        figures = found["parts"][part]["findings"][name]
        share = figures["prevalence"]
        cells += [f"{figures['positives']:,}", "–" if share is None else f"{100 * share:.1f}"]
    return cells


def _lesion(found: Mapping[str, Any], name: str) -> list[str]:
    lesion = found["lesions"].get(name)
    if not lesion:
        return ["–"]
    width, height = lesion["median_px_at_input"]
    return [f"{width:.0f}×{height:.0f}"]


def _parser() -> argparse.ArgumentParser:
    parser = common_parser(
        "audit",
        "What to know before training: counts, prevalence, leakage, missing images, and how "
        "large each finding's lesions are at the input size.",
        "cxr-tui audit nih-14 --set dataset.labels=Data_Entry_2017_v2020.csv --labels-only",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument(
        "--labels-only", action="store_true", help="look at no image file: before the download"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_cache(parser)
    return parser
