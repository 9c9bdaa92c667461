"""Another data set for a session's network: its table and images, and the findings in common."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.data.collections.registry import header_of
from core.data.study.found_images import with_images
from core.data.study.index import build_index
from core.data.study.sources import DataSources, locate_sources
from core.data.study.split import Split, make_split
from core.data.study.study import Study
from core.data.study.study_index import StudyIndex, with_findings
from core.data.tables.label_version import label_table_name
from core.errors import DataError, UsageError
from core.findings import canonical_finding
from core.recipe import DatasetSettings, LabelSettings, Recipe, SplitSettings, SubsetSettings
from core.recipe_toml import changed_recipe

ExternalPart = Literal["all", "train", "val", "test"]
EXTERNAL_PARTS: tuple[str, ...] = get_args(ExternalPart)
WHOLE = "all"

_SECTIONS = ("dataset", "labels", "split")
_FINDINGS_KEY = "dataset.findings"


@dataclass(frozen=True, eq=False)
class ExternalData:
    """A data set of which N images are scored.

    Attributes:
        recipe: how it is read; its image settings are the session's.
        study: its tables and images; the part is the one that is scored.
        part: ``all``, or one of its own parts.
        rows_N: rows of the study's index.
        findings: those that both the session and the table have, in the session's order.
        spelt: finding -> the table's own word for it, where that is another.
        without_counterpart: the session's findings that the table has no labels of.
        not_learnt: the table's findings that the session didn't learn.
    """

    recipe: Recipe
    study: Study
    part: str
    rows_N: NDArray[np.int64]
    findings: tuple[str, ...]
    spelt: Mapping[str, str]
    without_counterpart: tuple[str, ...]
    not_learnt: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def index(self) -> StudyIndex:
        """Its labels, patients and files."""
        return self.study.index

    @property
    def label_table(self) -> str:
        """Its label table's version and file."""
        return label_table_name(self.index.table.label_version, self.study.sources.labels)

    def row_of(self) -> dict[str, int]:
        """Image -> its row in the index."""
        return {str(self.index.images[row]): int(row) for row in self.rows_N}

    def columns_of(self, findings: Sequence[str]) -> list[int]:
        """Where these findings stand among others, in the order of ours."""
        return [findings.index(finding) for finding in self.findings]


def external_recipe(own: Recipe, changes: Sequence[str], of: Recipe | None = None) -> Recipe:
    """The session's recipe on other data: ``KEY=VALUE`` of ``dataset``, ``labels``, ``split``.

    ``of`` says where these keys begin; its findings are left out, since the network has its own.

    Raises:
        UsageError: another key, or no data set.
        RecipeError: an unknown key or a wrong value.
    """
    if of is not None and of.datasets:
        raise UsageError(
            "has several data sets",
            where=f"recipe {of.name}",
            remedy="One is scored at a time: name the folder of each with --on.",
        )
    if not changes and of is None:
        raise UsageError(
            "name the data set",
            where="--set",
            remedy="For example --set dataset.images=/data/chexpert; for a table of your own also "
            "--set dataset.labels=FILE.csv.",
        )
    _refuse_own_keys(changes)
    dataset = DatasetSettings() if of is None else of.dataset
    bare = Recipe(
        name=own.name,
        dataset=dataset.model_copy(update={"findings": own.dataset.findings}),
        labels=LabelSettings() if of is None else of.labels,
        split=SplitSettings() if of is None else of.split,
        subset=SubsetSettings(),
        image=own.image,
        train=own.train,
        evaluate=own.evaluate,
    )
    return changed_recipe(bare, changes)


def _refuse_own_keys(changes: Sequence[str]) -> None:
    for change in changes:
        key = change.partition("=")[0].strip()
        section = key.partition(".")[0]
        if section == "datasets":
            raise UsageError(
                "one data set is scored at a time",
                where=f"--set {key}",
                remedy="Give its keys as dataset.… and labels.…; several sets are named with --on.",
            )
        if section not in _SECTIONS:
            raise UsageError(
                "is the session's own",
                where=f"--set {key}",
                why="The network gets other images exactly as it was trained, or figures would "
                "differ for that reason alone.",
                remedy="Only keys of dataset, labels and split say which data are scored.",
            )


def open_external(
    recipe: Recipe,
    part: str,
    learnt: Sequence[str],
    cache: Path,
    *,
    chosen: bool,
    progress: Callable[[str, int], None] = lambda _what, _done: None,
) -> ExternalData:
    """Read the tables, match the findings, find the images, and draw the part.

    Args:
        recipe: see ``external_recipe``.
        part: one of ``EXTERNAL_PARTS``.
        learnt: the network's findings.
        cache: for listings and synthetic sets.
        chosen: whether the recipe's findings were asked for, rather than being the session's.
        progress: called with what is done, and how much of it.

    Raises:
        DataError: no finding in common, no image, a single image, labels of one class; see also
            ``build_index`` and ``make_split``.
        RecipeError: no data set is named, or a list of the split is missing.
    """
    sources = locate_sources(recipe, cache=cache)
    index = build_index(recipe, sources, labels_only=True, every_finding=True)
    there = index.table.findings
    wanted = [name for name in learnt if not chosen or name in recipe.dataset.findings]
    counterpart = {name: found for name in wanted if (found := _counterpart(name, there))}
    _refuse_strangers(recipe, learnt, there, counterpart, sources, chosen=chosen)
    index = with_findings(index, tuple(counterpart.values()))
    index = with_images(
        index,
        sources,
        partial=recipe.dataset.partial,
        listings=cache / "listings",
        progress=lambda done: progress("looking for images", done),
    )
    rows_N, warnings, split = _rows_of(index, recipe, sources, part)
    study = Study(recipe, sources, index, split, split)
    data = ExternalData(
        recipe=recipe,
        study=study,
        part=part,
        rows_N=rows_N,
        findings=tuple(counterpart),
        spelt=_spelt(sources.labels, counterpart),
        without_counterpart=tuple(name for name in learnt if name not in counterpart),
        not_learnt=tuple(name for name in there if name not in counterpart.values()),
        warnings=warnings,
    )
    refuse_nothing_to_measure(data, rows_N)
    return data


def _counterpart(name: str, there: Sequence[str]) -> str | None:
    """The table's name of a finding: the same, or another spelling in the vocabulary."""
    if name in there:
        return name
    known = canonical_finding(name)
    return next((one for one in there if known and canonical_finding(one) == known), None)


def _refuse_strangers(
    recipe: Recipe,
    learnt: Sequence[str],
    there: Sequence[str],
    counterpart: Mapping[str, str],
    sources: DataSources,
    *,
    chosen: bool,
) -> None:
    if chosen:
        unknown = [name for name in recipe.dataset.findings if name not in counterpart]
        if unknown:
            lacks = "the network" if unknown[0] not in learnt else "the table"
            raise DataError(
                f"{lacks} has no {', '.join(unknown)}",
                where=f"--set {_FINDINGS_KEY}",
                remedy=f"The network knows {', '.join(learnt)}; the table {', '.join(there)}.",
            )
    if not counterpart:
        raise DataError(
            "has none of the findings that this network was trained on",
            where=sources.labels,
            why=f"The network knows {', '.join(learnt)}; the table {', '.join(there)}",
            remedy="Rename a column if it means one of them, or name a data set that has some.",
        )


def _rows_of(
    index: StudyIndex, recipe: Recipe, sources: DataSources, part: str
) -> tuple[NDArray[np.int64], tuple[str, ...], Split]:
    if part == WHOLE:
        every = np.arange(len(index.images), dtype=np.int64)
        split = Split(rows={WHOLE: every}, by=recipe.split.by, seed=recipe.split.seed)
        return every, (), split
    split = make_split(index, recipe.split, sources)
    return split.rows[part], split.warnings, split


def refuse_nothing_to_measure(data: ExternalData, rows_N: NDArray[np.int64]) -> None:
    """Check that some finding has images with it and without it.

    Raises:
        DataError: no image or a single one, or labels of one class.
    """
    where = data.study.sources.labels
    if len(rows_N) < 2:
        what = "no image" if not len(rows_N) else "a single image"
        raise DataError(
            f"{what} of part {data.part} can be scored",
            where=where,
            why="An AUROC ranks images with a finding against images without it",
            remedy="Name a larger set; for single images there is cxr-tui predict.",
        )
    labels_NF = data.index.labels_NF[rows_N]
    has_both = ((labels_NF == 1).any(axis=0) & (labels_NF == 0).any(axis=0)).any()
    if not has_both:
        said = []
        for column, finding in enumerate(data.findings):
            present, absent = (int((labels_NF[:, column] == label).sum()) for label in (1, 0))
            said.append(f"{finding} {present:,} present, {absent:,} absent")
        raise DataError(
            f"labels of one class alone: {'; '.join(said)}",
            where=where,
            why="An AUROC ranks images with a finding against images without it",
            remedy="Use a part that has both, or say with labels.blank=absent that what is not "
            "mentioned is absent.",
        )


def _spelt(labels: Path, counterpart: Mapping[str, str]) -> dict[str, str]:
    """Finding -> the word in the table's header, where it is another one."""
    try:
        header = header_of(labels)
    except (OSError, csv.Error):
        return {}
    spelt = {}
    for finding, found in counterpart.items():
        words = [word for word in header if found in (word, canonical_finding(word))]
        if words and finding not in words:
            spelt[finding] = words[0]
    return spelt
