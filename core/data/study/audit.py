"""What to know before training: balance, leakage, missing files, lesion size at the input size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.data.study.audit_report import (
    AuditedCount,
    AuditedFinding,
    AuditedLesion,
    AuditedMove,
    AuditedPart,
    AuditedPolicy,
    AuditReport,
    NoFinding,
)
from core.data.study.audit_warnings import audit_warnings
from core.data.study.expected_widths import expected_intervals
from core.data.study.part_draw import as_json, draws_in_words
from core.data.study.sources import DataSources
from core.data.study.split import Rows, Split, shared_patients
from core.data.study.study_index import StudyIndex, distinct
from core.data.tables.boxes import Boxes, lesion_sizes
from core.data.tables.cells import MAX_AGE_YEARS
from core.data.tables.label_columns import LabelTable
from core.data.tables.states import Moved
from core.data.tables.text_file import Count
from core.findings import FINDINGS, PRESENT, VIEW_POSITIONS
from core.recipe import Recipe

NIH_IMAGES = 112_120
"""Number of images in each version of NIH's label table."""

_POSITIVE_ABOVE = 0.5
"""The policy ``smooth`` trains on values between 0 and 1."""


def audit(
    recipe: Recipe,
    sources: DataSources,
    index: StudyIndex,
    split: Split,
    boxes: Boxes | None,
    *,
    fingerprint: bool = True,
) -> AuditReport:
    """The report of ``cxr-tui audit --json``.

    Args:
        recipe: for the input size.
        sources: where everything was read from.
        index: the images, or the whole table if only labels were requested.
        split: the parts, after the subset's draw.
        boxes: in pixels of any size; None: there is no box table.
        fingerprint: whether to include the data set's fingerprint, which covers each image's name.
    """
    labels_only = index.missing_images is None
    every_row = distinct(np.concatenate(list(split.rows.values())))
    parts = {part: _part(index, part, rows) for part, rows in split.rows.items()}
    report: AuditReport = {
        "images": len(index.images),
        "patients": index.num_patients if index.table.patients_are_known else None,
        "kind": index.table.kind,
        "table_version": index.table.version,
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
        "expected_intervals": expected_intervals(
            index.labels_of_part("test")[split.rows["test"]],
            index.patients[split.rows["test"]],
            index.findings,
        ),
        "input_size_px": recipe.image.size_px,
        "lesions": {} if boxes is None else _lesions(index, boxes, recipe.image.size_px),
        "label_policy": policy_of(index),
        "notes": list(index.table.notes),
        "counts": _counts(index.counts + split.counts + (boxes.counts if boxes else ())),
        "note": index.table.labels_note,
        "warnings": [],
    }
    if fingerprint and not labels_only:
        report["fingerprint"] = index.fingerprint()
    of_boxes = boxes.warnings if boxes else ()
    report["warnings"] = [*audit_warnings(report), *of_boxes, *split.warnings]
    return report


def _part(index: StudyIndex, part: str, rows: Rows) -> AuditedPart:
    patients, patient_R = np.unique(index.patients[rows], return_inverse=True)
    labels_RF = index.labels_of_part(part)[rows]
    findings: dict[str, AuditedFinding] = {}
    for column, finding in enumerate(index.findings):
        is_positive_R = labels_RF[:, column] > _POSITIVE_ABOVE
        positives = int(is_positive_R.sum())
        known = len(rows) - int(np.isnan(labels_RF[:, column]).sum())
        findings[finding] = {
            "positives": positives,
            "known": known,
            "prevalence": positives / known if known else None,
            "positive_patients": int(np.count_nonzero(np.bincount(patient_R[is_positive_R]))),
        }
    return {
        "images": len(rows),
        "patients": len(patients) if index.table.patients_are_known else None,
        "findings": findings,
        "no_finding": _no_finding(index, rows),
        "views": _tally(index.table.view_N, rows, VIEW_POSITIONS),
        "sexes": _tally(index.table.sex_N, rows, ("F", "M")),
        "median_age_years": _median_age(index, rows),
        "age_decades": _age_decades(index, rows),
    }


def policy_of(index: StudyIndex) -> AuditedPolicy:
    """What became of uncertain labels and blank cells, and how many there are."""
    table = index.table
    by_finding: dict[str, AuditedMove] = {}
    for finding in index.findings:
        uncertain, blank = _rules(table, finding)
        moved = table.moved.get(finding, Moved(0, 0))
        by_finding[finding] = {
            "uncertain": uncertain,
            "uncertain_labels": moved.uncertain,
            "blank": blank,
            "blank_labels": moved.blank,
        }
    return {"source": table.policy.source, "by_finding": by_finding}


def _rules(table: LabelTable, finding: str) -> tuple[str, str]:
    """What uncertain labels and blank cells become; of several data sets all that there are."""
    if not table.policies:
        return table.policy.of(finding)
    each = [policy.of(finding) for policy in table.policies.values()]
    uncertain, blank = (" / ".join(sorted(set(rules))) for rules in zip(*each, strict=True))
    return uncertain, blank


def _no_finding(index: StudyIndex, rows: Rows) -> NoFinding | None:
    if not set(FINDINGS) <= set(index.table.findings) or not len(rows):
        return None
    num_images = int(index.without_finding[rows].sum())
    return {"images": num_images, "share": num_images / len(rows)}


def _tally(values_N: Any, rows: Rows, known: Sequence[str]) -> dict[str, int] | None:
    """Images by value; None if the table has no such column."""
    if values_N is None:
        return None
    values_R = values_N[rows]
    tally = {value: int((values_R == value).sum()) for value in known}
    return tally | {"unknown": len(rows) - sum(tally.values())}


def _median_age(index: StudyIndex, rows: Rows) -> float | None:
    if index.table.age_years_N is None:
        return None
    ages_R = index.table.age_years_N[rows]
    known = ages_R[~np.isnan(ages_R)]
    return float(np.median(known)) if len(known) else None


def _age_decades(index: StudyIndex, rows: Rows) -> list[int] | None:
    if index.table.age_years_N is None:
        return None
    ages_R = index.table.age_years_N[rows]
    decades_R = (ages_R[~np.isnan(ages_R)] // 10).astype(np.int64)
    counts: list[int] = np.bincount(decades_R, minlength=MAX_AGE_YEARS // 10).tolist()
    return counts


def _co_occurrence(index: StudyIndex, rows: Rows) -> dict[str, dict[str, int]]:
    """Finding -> finding -> images with both; the diagonal has images with the finding."""
    # float32 counts exactly up to 2**24 images, and its product is one fast call.
    positive_RF = (index.labels_NF[rows] == PRESENT).astype(np.float32)
    together_FF = positive_RF.T @ positive_RF
    return {
        finding: {
            other: int(together_FF[row, column]) for column, other in enumerate(index.findings)
        }
        for row, finding in enumerate(index.findings)
    }


def _shift(index: StudyIndex, parts: dict[str, AuditedPart]) -> dict[str, float | None]:
    shift: dict[str, float | None] = {}
    for finding in index.findings:
        train = parts["train"]["findings"][finding]["prevalence"]
        test = parts["test"]["findings"][finding]["prevalence"]
        shift[finding] = test / train if train and test is not None else None
    return shift


def _lesions(index: StudyIndex, boxes: Boxes, size_px: int) -> dict[str, AuditedLesion]:
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


def _counts(counts: Sequence[Count]) -> list[AuditedCount]:
    return [
        {"reason": count.reason, "images": count.images, "examples": list(count.examples)}
        for count in counts
    ]


def _version_note(index: StudyIndex, split: Split) -> str | None:
    """NIH's two tables differ in 181 images' labels; stratified draws then differ in a third of
    patients.

    The official lists are the same for both, and so is val drawn from them: all 181 images are in
    test.
    """
    version = index.table.version
    is_nih = version.startswith("NIH") and index.num_table_images == NIH_IMAGES
    if split.by != "patient" or not is_nih:
        return None
    return (
        f"Patients are drawn by the labels of {version}: with the table's other version, whose "
        "labels of 181 images differ, the same seed draws other patients."
    )
