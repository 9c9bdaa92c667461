"""Runs compared by name: what ``cxr-tui compare --json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import UsageError
from core.evaluation.comparing.alignment import align
from core.evaluation.comparing.comparison import ComparisonSettings, Group, compare_groups
from core.evaluation.comparing.comparison_json import comparison_report
from core.evaluation.comparing.recipe_groups import groups_by_recipe, named_group
from core.evaluation.comparing.scored_runs import ScoredRun, read_runs
from core.recipe import EvaluateSettings
from core.store.files import is_folder
from core.store.ledger import Looks, look, look_at, part_of_images


def compare_named(
    names: Sequence[str],
    against: Sequence[str] = (),
    *,
    sessions: Path = Path("sessions"),
    labels: Path | None = None,
    common: bool = False,
    margin: float | None = None,
    rule: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare runs by name.

    Args:
        names, against: see ``read_runs``; the second group, if it isn't found by recipe.
        sessions: the folder of sessions.
        labels: label table of predictions without labels.
        common, margin, rule, draws, seed: see ``compare_runs``.

    Raises:
        CxrError: see ``read_runs`` and ``compare_runs``.
    """
    runs = read_runs([*names, *against], sessions, labels)
    split_at = len(names) if against else None
    return compare_runs(
        runs, split_at, common=common, margin=margin, rule=rule, draws=draws, seed=seed
    )


def noted_looks(runs: Sequence[ScoredRun], sessions: Path) -> Looks | None:
    """Note in the ledger that each run's test figures are shown.

    Returns:
        the count of the first run's part; None where nobody keeps sessions, nor a ledger.
    """
    found: dict[str, Looks] = {}
    for run in runs:
        if run.session is not None:
            looks = look(run.session, "compare")
        elif is_folder(sessions):
            part = part_of_images(map(str, run.test.images))
            looks = look_at(sessions, Path(run.name).name, part, "compare")
        else:
            continue
        found[looks.part] = looks
    return next(iter(found.values()), None)


def compare_runs(
    runs: Sequence[ScoredRun],
    split_at: int | None = None,
    *,
    common: bool = False,
    margin: float | None = None,
    rule: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """What ``cxr-tui compare --json`` prints.

    Args:
        runs: two or more.
        split_at: place of the second group's first run; None: groups are those of the recipes, and
            two runs are always two sides.
        common: compare the images and findings that all have.
        margin, draws, seed: see ``ComparisonSettings``.
        rule: the same; None: the first recipe's.

    Raises:
        DataError: see ``align``.
        UsageError: a run is in a group twice.
        RecipeError: the rule is none.
    """
    aligned = align(runs, common=common)
    groups = _groups(runs, split_at)
    rules = [run.recipe.evaluate.operating_point for run in runs if run.recipe is not None]
    usual = EvaluateSettings().operating_point
    settings = ComparisonSettings(margin, rule or (rules[0] if rules else usual), draws, seed)
    compared = compare_groups(aligned, groups, settings)
    return comparison_report(aligned, groups, compared, settings)


def _groups(runs: Sequence[ScoredRun], split_at: int | None) -> list[Group]:
    if split_at is not None:
        halves = range(split_at), range(split_at, len(runs))
        for half in halves:
            _refuse_twice([runs[place].name for place in half])
        return [named_group(runs, half) for half in halves]
    if len(runs) == 2:
        return [named_group(runs, (0,)), named_group(runs, (1,))]
    _refuse_twice([run.name for run in runs])
    return groups_by_recipe(runs)


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)} is named more than once",
            why="One network counted as several would hide how far seeds vary",
            remedy="Name each run once.",
        )
