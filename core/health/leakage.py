"""Checks of leakage into the test part: shared patients, copied images, pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.study.audit_report import AuditReport
from core.health.diagnosis import Diagnosis, Severity
from core.model.provenance import SeenReport

if TYPE_CHECKING:  # audits import this module too, without torch
    from core.data.batches import Part


def check_patients(report: AuditReport) -> Iterator[Diagnosis]:
    """Whether patients are in more than one part, from an audit's report."""
    shared = report["shared_patients"]
    if shared:
        subject = "1 patient is" if shared == 1 else f"{shared:,} patients are"
        yield Diagnosis(
            check="patients-shared",
            severity=Severity.STOP,
            text=f"{subject} in more than one part: the test figures would be too good, and a run "
            "on this split is refused.",
            evidence={"shared_patients": shared, "patients": report["patients"]},
            remedy="Correct the lists, or split by patient (split.by=patient).",
            changes=("split.by=patient",),
        )


def check_same_images(parts: Sequence[Part]) -> Iterator[Diagnosis]:
    """Whether identical files are in more than one part, by the digests in the cache.

    Args:
        parts: in the order of use; a file in a later part counts as the copy.
    """
    names_N = np.concatenate([part.images_N for part in parts])
    part_N = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    digests_N = np.concatenate([part.cache.digests(part.cache_rows_N) for part in parts])
    copies = _copies_in_a_later_part(digests_N, part_N)
    if not len(copies):
        return
    first, copy = (f"{names_N[row]} ({parts[part_N[row]].name})" for row in copies[0])
    counts = np.bincount(part_N[copies[:, 1]], minlength=len(parts))
    subject = "1 image file is a copy" if len(copies) == 1 else f"{len(copies):,} files are copies"
    yield Diagnosis(
        check="images-shared",
        severity=Severity.WARNING,
        text=f"{subject}, byte for byte, of an image in another part: {copy} is {first}.",
        evidence={
            f"copies_in_{part.name}": int(count)
            for part, count in zip(parts, counts, strict=True)
            if count
        },
        remedy="Remove the copies from the table, or give both the same patient, so that no split "
        "separates them.",
    )


def _copies_in_a_later_part(
    digests_N: NDArray[np.void], part_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows [C, 2]: an image of the earliest part with these bytes, and its copy in a later part."""
    _, first_K, group_N = np.unique(digests_N, return_index=True, return_inverse=True)
    earliest_N = first_K[group_N]  # the first of equal digests; parts are in order
    copies = np.flatnonzero(part_N > part_N[earliest_N])
    return np.column_stack([earliest_N[copies], copies])


def check_seen(seen: SeenReport, weights: str) -> Iterable[Diagnosis]:
    """Test patients that the weights were trained on, or may have been."""
    if seen.level != "none":
        yield Diagnosis(
            check="test-patients-seen",
            severity=Severity.WARNING,
            text=seen.message,
            evidence={"weights": weights, "patients": len(seen.patients) or None},
            remedy="Choose another split or other weights; until then the test figures are marked.",
        )
