"""The label table joined with the images that were found."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.collections.reading import TableReading, read_labels
from core.data.study.found_images import with_images
from core.data.study.sources import DataSources
from core.data.study.study_index import StudyIndex
from core.data.study.together import table_of
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_columns import LabelTable
from core.data.tables.table_patients import refuse_unknown_patients
from core.data.tables.text_file import table_bytes
from core.recipe import Recipe


def build_index(
    recipe: Recipe,
    sources: DataSources,
    *,
    listings: Path | None = None,
    labels_only: bool = False,
    every_finding: bool = False,
    progress: Callable[[int], None] | None = None,
) -> StudyIndex:
    """Read the label table and find its images.

    Args:
        recipe: the findings, and whether some of the images are enough (``dataset.partial``).
        sources: see ``core.data.study.sources``.
        listings: folder for the listings of archives.
        labels_only: look for no image, and treat each as found.
        every_finding: use all findings of the table instead of the recipe's.
        progress: called with the number of images found so far.

    Raises:
        DataError: see ``read_labels`` and ``find_images``; also missing images if
            ``dataset.partial`` is false.
    """
    wanted = () if every_finding else recipe.dataset.findings
    if recipe.datasets:
        index = _together(recipe, sources, wanted)
    else:
        reading = TableReading(recipe.dataset, recipe.labels)
        table = read_labels(sources.labels, wanted, reading, with_others=sources.labels_found)
        others = {**_digests(recipe, sources), **table.other_digests}
        index = StudyIndex(
            table, wanted or table.findings, counts=table.counts, other_digests=others
        )
    if labels_only:
        return index
    return with_images(
        index, sources, partial=recipe.dataset.partial, listings=listings, progress=progress
    )


def _together(recipe: Recipe, sources: DataSources, wanted: Sequence[str]) -> StudyIndex:
    """The index of several data sets, each with its own tables and policy."""
    tables: dict[str, LabelTable] = {}
    others: dict[str, str] = {}
    for name, own in recipe.sources:
        at = sources.each[name]
        reading = TableReading(own.dataset, own.labels)
        has = own.dataset.findings if "findings" in own.dataset.model_fields_set else ()
        table = read_labels(at.labels, has, reading, with_others=at.labels_found)
        refuse_unknown_patients(table, own.dataset.patient_from)
        if own.split.by != "patient" and table.official_N is None and at.train_val_list:
            table = dataclasses.replace(table, official_N=official_of_lists(table, at))
        tables[name] = table
        others |= {f"{name}-{role}": digest for role, digest in _digests(own, at).items()}
    table = table_of(tables, wanted)
    index = StudyIndex(
        table,
        tuple(wanted) or table.findings,
        counts=table.counts,
        other_digests=others | dict(table.other_digests),
    )
    return dataclasses.replace(index, each=tables)


def official_of_lists(table: LabelTable, sources: DataSources) -> npt.NDArray[np.object_]:
    """``train``, ``test`` or '' of each image, from a data set's two lists."""
    official_N = np.full(len(table.images_N), "", dtype=object)
    row_of = {name: row for row, name in enumerate(table.images_N)}
    for part, path in (("train", sources.train_val_list), ("test", sources.test_list)):
        if path is not None:
            listed = read_image_list(path, row_of).line_of
            official_N[[row_of[name] for name in listed if name in row_of]] = part
    return official_N


def _digests(recipe: Recipe, sources: DataSources) -> dict[str, str]:
    """Digests of the other tables that determine what the run computes."""
    paths = {"boxes": sources.boxes}
    if recipe.split.by != "patient":
        paths |= {
            "train_val_list": sources.train_val_list,
            "test_list": sources.test_list,
            "val_list": sources.val_list,
        }
    digests = {}
    for role, path in paths.items():
        if path is not None:
            digests[role] = hashlib.sha256(table_bytes(path)).hexdigest()
    return digests
