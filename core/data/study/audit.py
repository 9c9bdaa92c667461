"""What to know before training: balance, leakage, missing files, lesion size at the input size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.data.study.audit_warnings import audit_warnings
from core.data.study.index import StudyIndex, distinct
from core.data.study.part_draw import as_json, draws_in_words
from core.data.study.sources import DataSources
from core.data.study.split import Rows, Split, shared_patients
from core.data.tables.boxes import Boxes, lesion_sizes
from core.data.tables.cells import MAX_AGE_YEARS
from core.data.tables.text_file import Count
from core.findings import ABSENT, FINDINGS, PRESENT, VIEW_POSITIONS
from core.recipe import Recipe

NIH_IMAGES = 112_120
"""Images that each version of NIH's label table names."""

LABELS_NOTE = "Labels were mined from radiology reports by text: some of them are wrong."


def audit(
    recipe: Recipe,
    sources: DataSources,
    index: StudyIndex,
    split: Split,
    boxes: Boxes | None,
    *,
    fingerprint: bool = True,
) -> dict[str, Any]:
    """What ``cxr-tui audit --json`` prints: plain numbers, texts, lists and tables of them.

    Args:
        recipe: for the input size.
        sources: where it was all read.
        index: the images, or each of the table's where only labels were asked for.
        split: the parts, after the subset's draw.
        boxes: in the pixels of any size; None: there is no box table.
        fingerprint: whether to say what the data set is; it goes over each image's name.

    The keys of ``images``, ``patients``, ``missing_images`` and ``extra_images`` are about the
    index; all that stands under ``parts``, ``co_occurrence`` and ``shift`` is about the split.
    ``missing_images`` and ``extra_images`` are null, and there is no ``fingerprint``, where
    only labels were asked for. ``prevalence`` is positives / known, null where none is known.
    ``age_decades`` counts images by their patient's age: 0 to 9 years, 10 to 19 and so on.
    ``split.note`` says on which version of NIH's label table the draw depends, or is null.
    ``shift`` is prevalence in test over prevalence in train. ``no_finding`` (images for which
    each of the 14 findings is absent) is null where the table lacks some of the 14. ``subset``
    says of each part whether negatives were drawn, and from what prevalence (see ``PartDraw``),
    ``subset_note`` in words; both are null where no prevalence was set.
    """
    labels_only = index.missing_images is None
    every_row = distinct(np.concatenate(list(split.rows.values())))
    parts = {part: _part(index, rows) for part, rows in split.rows.items()}
    report: dict[str, Any] = {
        "images": len(index.images),
        "patients": index.num_patients,
        "table_version": index.table_version,
        "label_table": str(sources.labels),
        "findings": list(index.findings),
        "split": {"by": split.by, "seed": split.seed, "note": _version_note(index, split)},
        "subset": as_json(split.draws),
        "subset_note": draws_in_words(split.draws) or None,
        "parts": parts,
        "images_in_parts": len(every_row),
        "shared_patients": len(shared_patients(index, split)),
        "missing_images": index.missing_images,
        "extra_images": index.extra_images,
        "partial": bool(index.missing_images),
        "num_table_images": index.num_table_images,
        "co_occurrence": _co_occurrence(index, every_row),
        "shift": _shift(index, parts),
        "input_size_px": recipe.image.size_px,
        "lesions": {} if boxes is None else _lesions(index, boxes, recipe.image.size_px),
        "counts": _counts(index.counts + split.counts + (boxes.counts if boxes else ())),
        "note": LABELS_NOTE,
    }
    if fingerprint and not labels_only:
        report["fingerprint"] = index.fingerprint()
    of_boxes = boxes.warnings if boxes else ()
    report["warnings"] = [*audit_warnings(report), *of_boxes, *split.warnings]
    return report


def _part(index: StudyIndex, rows: Rows) -> dict[str, Any]:
    patients, patient_R = np.unique(index.patients[rows], return_inverse=True)
    labels_RF = index.labels_NF[rows]
    findings = {}
    for column, finding in enumerate(index.findings):
        is_positive_R = labels_RF[:, column] == PRESENT
        positives = int(is_positive_R.sum())
        known = positives + int((labels_RF[:, column] == ABSENT).sum())
        findings[finding] = {
            "positives": positives,
            "known": known,
            "prevalence": positives / known if known else None,
            "positive_patients": int(np.count_nonzero(np.bincount(patient_R[is_positive_R]))),
        }
    return {
        "images": len(rows),
        "patients": len(patients),
        "findings": findings,
        "no_finding": _no_finding(index, rows),
        "views": _tally(index.view, rows, VIEW_POSITIONS),
        "sexes": _tally(index.sex, rows, ("F", "M")),
        "median_age_years": _median_age(index, rows),
        "age_decades": _age_decades(index, rows),
    }


def _no_finding(index: StudyIndex, rows: Rows) -> dict[str, Any] | None:
    if set(index.table_findings) != set(FINDINGS) or not len(rows):
        return None
    num_images = int(index.without_finding[rows].sum())
    return {"images": num_images, "share": num_images / len(rows)}


def _tally(values_N: Any, rows: Rows, known: Sequence[str]) -> dict[str, int] | None:
    """Images by value; None where the table has no such column."""
    if values_N is None:
        return None
    values_R = values_N[rows]
    tally = {value: int((values_R == value).sum()) for value in known}
    return tally | {"unknown": len(rows) - sum(tally.values())}


def _median_age(index: StudyIndex, rows: Rows) -> float | None:
    if index.age_years is None:
        return None
    ages_R = index.age_years[rows]
    known = ages_R[~np.isnan(ages_R)]
    return float(np.median(known)) if len(known) else None


def _age_decades(index: StudyIndex, rows: Rows) -> list[int] | None:
    if index.age_years is None:
        return None
    ages_R = index.age_years[rows]
    decades_R = (ages_R[~np.isnan(ages_R)] // 10).astype(np.int64)
    counts: list[int] = np.bincount(decades_R, minlength=MAX_AGE_YEARS // 10).tolist()
    return counts


def _co_occurrence(index: StudyIndex, rows: Rows) -> dict[str, dict[str, int]]:
    """Finding -> finding -> images with both; a finding with itself: images with it."""
    # float32 counts exactly up to 2**24 images, and its product is one fast call.
    positive_RF = (index.labels_NF[rows] == PRESENT).astype(np.float32)
    together_FF = positive_RF.T @ positive_RF
    return {
        finding: {
            other: int(together_FF[row, column]) for column, other in enumerate(index.findings)
        }
        for row, finding in enumerate(index.findings)
    }


def _shift(index: StudyIndex, parts: dict[str, Any]) -> dict[str, float | None]:
    shift: dict[str, float | None] = {}
    for finding in index.findings:
        train = parts["train"]["findings"][finding]["prevalence"]
        test = parts["test"]["findings"][finding]["prevalence"]
        shift[finding] = test / train if train and test is not None else None
    return shift


def _lesions(index: StudyIndex, boxes: Boxes, size_px: int) -> dict[str, Any]:
    return {
        finding: {
            "boxes": sizes.boxes,
            "median_px_at_input": [round(sizes.median_w_px, 2), round(sizes.median_h_px, 2)],
            "share_smaller_than_cell": sizes.share_smaller_than_cell,
            "share_under_8_px": sizes.share_under_8_px,
            "tenth_longer_px": round(sizes.tenth_longer_px, 2),
            "median_longer_px": round(sizes.median_longer_px, 2),
        }
        for finding, sizes in lesion_sizes(boxes, size_px).items()
        if finding in index.findings
    }


def _counts(counts: Sequence[Count]) -> list[dict[str, Any]]:
    return [
        {"reason": count.reason, "images": count.images, "examples": list(count.examples)}
        for count in counts
    ]


def _version_note(index: StudyIndex, split: Split) -> str | None:
    """NIH's two tables differ in 181 images' labels, and a stratified draw in a third of patients.

    The official lists are the same for both, and so is val drawn from them: all 181 images are in
    test.
    """
    version = index.table_version
    is_nih = version.startswith("NIH") and index.num_table_images == NIH_IMAGES
    if split.by != "patient" or not is_nih:
        return None
    return (
        f"Patients are drawn by the labels of {version}: from the table's other version, whose "
        "labels of 181 images differ, the same seed draws other patients."
    )
