"""The fields of the data screen, and how a key or a typed value changes the recipe."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from core.data.study.audit_report import AuditReport
from core.errors import RecipeError
from core.findings import VIEW_CLASSES
from core.recipe import Blank, ImageFrom, Kind, PatientFrom, Recipe, Uncertain
from core.recipe_toml import changed_recipe

SIZES_PX = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
SPLITS = ("official", "patient", "lists")
_SPLIT_SAYS = {"official": "official", "patient": "by patient", "lists": "my lists"}
_STEP = 0.01


@dataclass(frozen=True)
class Choice:
    """One field: its recipe key, its name, its value as shown, and what may be typed."""

    key: str
    name: str
    shown: str
    hint: str = ""


def choices_of(
    recipe: Recipe, report: AuditReport | None = None, *, some_are_missing: bool = False
) -> tuple[Choice, ...]:
    """The fields of the data screen, in order.

    ``some_are_missing``: images are missing, so whether to skip them is a choice. Kind, label
    policy and views are choices where the table, as far as the report knows it, has any to make.
    """
    split = recipe.split
    fields = [Choice("split.by", "split", _SPLIT_SAYS[split.by])]
    if split.by == "patient":
        fields.append(Choice("split.val", "val", percent(split.val), "percent of the patients"))
        fields.append(Choice("split.test", "test", percent(split.test), "percent of the patients"))
    elif split.val_list is None:
        hint = "percent of the train_val patients"
        fields.append(Choice("split.val", "val", percent(split.val), hint))
    fields.append(Choice("split.seed", "seed", str(split.seed), "a whole number"))
    fields.append(
        Choice("image.size_px", "size", f"{recipe.image.size_px} px", "pixels, 32 to 1024")
    )
    fields += _of_each(recipe) if recipe.datasets else _of_the_table(recipe, report)
    if recipe.datasets:  # each has its own
        return tuple(fields)
    if some_are_missing or recipe.dataset.partial:
        missing = "skip" if recipe.dataset.partial else "stop"
        fields.append(Choice("dataset.partial", "missing", missing))
    return tuple(fields)


def _of_the_table(recipe: Recipe, report: AuditReport | None) -> list[Choice]:
    """Kind, label policy and views, unless the table is NIH's or a synthetic one."""
    if report is None or (report["kind"] == "nih" and recipe.dataset.kind is None):
        return []
    dataset, labels = recipe.dataset, recipe.labels
    fields = [Choice("dataset.kind", "kind", dataset.kind or f"{report['kind']} (recognised)")]
    moved = report["label_policy"]["by_finding"].values()
    for key, name, chosen, labels_of in (
        ("labels.uncertain", "uncertain", labels.uncertain, "uncertain_labels"),
        ("labels.blank", "not mentioned", labels.blank, "blank_labels"),
    ):
        if chosen or any(row[labels_of] for row in moved):  # type: ignore[literal-required]
            used = {row[key.rpartition(".")[2]] for row in moved}  # type: ignore[literal-required]
            default = " / ".join(sorted(used))
            fields.append(Choice(key, name, chosen or f"{default} (default)"))
    left_out = any("view left out" in count["reason"] for count in report["counts"])
    if dataset.views is not None or left_out:
        shown = "all" if dataset.views == VIEW_CLASSES else ", ".join(dataset.views or ["frontal"])
        fields.append(Choice("dataset.views", "views", shown))
    if dataset.image_from != "table":
        fields.append(Choice("dataset.image_from", "image from", dataset.image_from))
    if report["patients"] is None or dataset.patient_from != "table":
        fields.append(Choice("dataset.patient_from", "patient from", dataset.patient_from))
    return fields


def _of_each(recipe: Recipe) -> list[Choice]:
    """The folder of each of several data sets, and what else is set; Recipe has all their keys."""
    fields = []
    for number, (name, own) in enumerate(recipe.sources):
        key, dataset, labels = f"datasets.{number}", own.dataset, own.labels
        if dataset.phantom is None:
            place = str(dataset.images or dataset.labels or "")
            fields.append(Choice(f"{key}.images", f"{name}: images", place, "a folder"))
        for of, word, chosen in (
            ("kind", "kind", dataset.kind),
            ("uncertain", "uncertain", labels.uncertain),
            ("blank", "not mentioned", labels.blank),
        ):
            if chosen is not None and chosen != name:
                fields.append(Choice(f"{key}.{of}", f"{name}: {word}", chosen))
    return fields


_WORDS = {
    "dataset.kind": (None, *get_args(Kind)),
    "labels.uncertain": (None, *get_args(Uncertain)),
    "labels.blank": (None, *get_args(Blank)),
    "dataset.image_from": get_args(ImageFrom),
    "dataset.patient_from": get_args(PatientFrom),
}


def stepped(recipe: Recipe, key: str, by: int) -> Recipe:
    """The recipe with the field's next value (``by`` = 1), or the one before (-1).

    Raises:
        RecipeError: the value would be out of bounds.
    """
    split = recipe.split
    if key == "split.by":
        kind = SPLITS[(SPLITS.index(split.by) + by) % len(SPLITS)]
        return _with_shares(recipe, split.val, split.test, kind)
    if key == "split.val":
        return _with_shares(recipe, round(split.val + by * _STEP, 6), split.test, split.by)
    if key == "split.test":
        return _with_shares(recipe, split.val, round(split.test + by * _STEP, 6), split.by)
    if key == "split.seed":
        return changed_recipe(recipe, [f"split.seed={max(0, split.seed + by)}"])
    if key == "image.size_px":
        return changed_recipe(recipe, [f"image.size_px={_next_size(recipe.image.size_px, by)}"])
    if key == "dataset.views":
        views = "none" if recipe.dataset.views else json.dumps(VIEW_CLASSES)
        return changed_recipe(recipe, [f"dataset.views={views}"])
    if key.startswith("datasets."):
        return _with_next_word(recipe, key, by)
    if key in _WORDS:
        words = _WORDS[key]
        section, _, name = key.partition(".")
        chosen = words[(words.index(getattr(getattr(recipe, section), name)) + by) % len(words)]
        return changed_recipe(recipe, [f"{key}={chosen or 'none'}"])
    partial = "false" if recipe.dataset.partial else "true"
    return changed_recipe(recipe, [f"dataset.partial={partial}"])


def _with_next_word(recipe: Recipe, key: str, by: int) -> Recipe:
    _, number, name = key.split(".")
    if name == "images":
        raise RecipeError("is typed: enter opens it", where=key)
    words = _WORDS["dataset.kind" if name == "kind" else f"labels.{name}"]
    now = getattr(recipe.datasets[int(number)], name)
    word = words[(words.index(now) + by) % len(words)]
    return changed_recipe(recipe, [f"{key}={word or 'none'}"])


def typed(recipe: Recipe, key: str, text: str) -> Recipe:
    """The recipe with the value that was typed into a field.

    Raises:
        RecipeError: the value is invalid or out of bounds.
    """
    split = recipe.split
    if key == "split.val":
        return _with_shares(recipe, share_of(text, key), split.test, split.by)
    if key == "split.test":
        return _with_shares(recipe, split.val, share_of(text, key), split.by)
    value = text if key.startswith("datasets.") else text.replace("px", "")
    return changed_recipe(recipe, [f"{key}={value.strip()}"])


def balanced(recipe: Recipe, finding: str, text: str) -> Recipe:
    """The recipe with a target prevalence of one finding; empty text: none.

    Raises:
        RecipeError: it is not a share.
    """
    if not text.strip():
        return changed_recipe(recipe, ["subset.finding=none", "subset.prevalence=none"])
    share = share_of(text, "subset.prevalence")
    return changed_recipe(recipe, [f"subset.finding={finding}", f"subset.prevalence={share:g}"])


def with_chosen_findings(recipe: Recipe, findings: Sequence[str]) -> Recipe:
    """The recipe with these findings; if they are the same ones, their order is unchanged.

    Raises:
        RecipeError: there are none.
    """
    if set(findings) == set(recipe.dataset.findings):
        return recipe
    if recipe.datasets:
        raise RecipeError(
            "each of several data sets has its own findings",
            where="dataset.findings",
            remedy="Change them on the Recipe screen: datasets.0.findings and so on.",
        )
    return changed_recipe(recipe, [f"dataset.findings={json.dumps(list(findings))}"])


def split_by_patient(recipe: Recipe) -> Recipe:
    """The recipe with parts drawn over the patients."""
    return _with_shares(recipe, recipe.split.val, recipe.split.test, "patient")


def split_in_words(recipe: Recipe) -> str:
    """``official split``, ``split by patient``, ``split by my lists``."""
    by = recipe.split.by
    return {"official": "official split", "patient": "split by patient"}.get(
        by, f"split by my {by}"
    )


def share_of(text: str, key: str) -> float:
    """A share typed as a percentage (``29``, ``29 %``) or, below 1, as a share (``0.29``).

    Raises:
        RecipeError: it is not a number, or not a share.
    """
    bare = text.strip().removesuffix("%").strip()
    try:
        value = float(bare.replace(",", "."))
    except ValueError:
        raise RecipeError(f"must be a percentage such as 10, got {text!r}", where=key) from None
    is_percentage = text.strip().endswith("%") or value >= 1
    share = round(value / 100 if is_percentage else value, 6)
    if not 0 <= share < 1:
        raise RecipeError(f"must be from 0 to below 100 %, got {text.strip()!r}", where=key)
    return share


def percent(share: float) -> str:
    """``10 %``, ``10.5 %``."""
    return f"{100 * share:.4g} %"


def _with_shares(recipe: Recipe, val: float, test: float, kind: str) -> Recipe:
    """Shares of val and test; train gets the rest if patients are distributed to all three."""
    changes = [f"split.by={kind}", f"split.val={val:g}"]
    if kind == "patient":
        if val + test >= 1:
            raise RecipeError(
                f"val and test take {percent(val + test)} of the patients",
                where="split",
                remedy="Leave some for train.",
            )
        changes += [f"split.test={test:g}", f"split.train={1 - val - test:.6g}"]
    return changed_recipe(recipe, changes)


def _next_size(size_px: int, by: int) -> int:
    if by > 0:
        return SIZES_PX[min(bisect_right(SIZES_PX, size_px), len(SIZES_PX) - 1)]
    return SIZES_PX[max(bisect_left(SIZES_PX, size_px) - 1, 0)]
