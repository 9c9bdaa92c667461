"""The same images of several runs in the same order, or a refusal that says what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluation.comparing.scored_runs import ScoredRun
from core.evaluation.finding_report import patients_or_images
from core.words import number_of

_EXAMPLES = 3


@dataclass(frozen=True)
class AlignedRuns:
    """The scores of R runs on the same N images.

    Attributes:
        runs: the runs, as read.
        findings: F findings that all of them have.
        images: N file names, sorted.
        patients_N: the patient of each image; an image of an unknown patient is its own.
        labels_NF: 1, 0 or NaN.
        scores_RNF: one array per run.
        left_out: images of any run that not all of them have.
        findings_left_out: findings of any run that not all of them have.
    """

    runs: tuple[ScoredRun, ...]
    findings: tuple[str, ...]
    images: NDArray[Any]
    patients_N: NDArray[np.int64]
    labels_NF: NDArray[np.float32]
    scores_RNF: tuple[NDArray[np.float64], ...]
    left_out: int
    findings_left_out: tuple[str, ...]


def align(runs: Sequence[ScoredRun], *, common: bool = False) -> AlignedRuns:
    """The images and findings of all runs, in one order.

    Args:
        common: whether images and findings that not all have are left out; otherwise they are
            refused.

    Raises:
        DataError: images or findings differ without ``common``, or none are common; labels or
            patients of the same images differ; a run has an image twice.
    """
    first, *others = runs
    rows_R = [_row_of(run) for run in runs]
    shared = set.intersection(*(set(rows) for rows in rows_R))
    findings = [name for name in first.test.findings if all(name in r.test.findings for r in runs)]
    _refuse_nothing_in_common(runs, shared, findings)
    images = sorted(shared)
    order_RN = [np.array([rows[name] for name in images], dtype=np.int64) for rows in rows_R]
    differing = []
    for run, rows, order_N in zip(others, rows_R[1:], order_RN[1:], strict=True):
        differing += _other_findings(first, run)
        differing += _other_images(first, run, rows_R[0], rows)
        if not common and differing:
            continue
        differing = [] if common else differing
        unlike = _other_labels(first, run, order_RN[0], order_N, findings)
        unlike += _other_patients(first, run, order_RN[0], order_N)
        _refuse(unlike, "Score both on the same label table.")
    _refuse([] if common else differing, "Add --common to compare what all of them have.")
    every = set.union(*(set(rows) for rows in rows_R))
    columns = [_columns(run, findings) for run in runs]
    return AlignedRuns(
        runs=tuple(runs),
        findings=tuple(findings),
        images=np.array(images, dtype=object),
        patients_N=patients_or_images(first.test)[order_RN[0]],
        labels_NF=first.test.labels_NF[order_RN[0]][:, columns[0]],
        scores_RNF=tuple(
            run.test.scores_NF[order_N][:, chosen].astype(np.float64)
            for run, order_N, chosen in zip(runs, order_RN, columns, strict=True)
        ),
        left_out=len(every) - len(images),
        findings_left_out=tuple(
            sorted({name for run in runs for name in run.test.findings} - set(findings))
        ),
    )


def _row_of(run: ScoredRun) -> dict[str, int]:
    rows = {str(name): row for row, name in enumerate(run.test.images)}
    if len(rows) < len(run.test.images):
        seen, twice = set[str](), ""
        for name in map(str, run.test.images):
            twice = twice or (name if name in seen else "")
            seen.add(name)
        raise DataError(
            f"has the image {twice[:80]!r} more than once",
            where=run.name,
            why="It would count more than once.",
            remedy="Keep one row for each image.",
        )
    return rows


def _refuse_nothing_in_common(
    runs: Sequence[ScoredRun], shared: set[str], findings: Sequence[str]
) -> None:
    names = ", ".join(dict.fromkeys(run.name for run in runs))
    if not shared:
        examples = "; ".join(f"{run.name} has {run.test.images[0]!s:.60}" for run in runs[:2]
                             if len(run.test.images))  # fmt: skip
        raise DataError(
            f"{names} have no image in common",
            why=examples or "One of them has no images at all",
            remedy="Compare runs that were scored on the same test part.",
        )
    if not findings:
        raise DataError(
            f"{names} have no finding in common",
            why="; ".join(f"{run.name} has {', '.join(run.test.findings)}" for run in runs[:2]),
            remedy="Compare runs of the same findings.",
        )


def _refuse(differing: Sequence[str], remedy: str) -> None:
    if differing:
        raise DataError(
            "; ".join(differing),
            why="A difference between the two would not be one of their networks.",
            remedy=remedy,
        )


def _other_findings(first: ScoredRun, run: ScoredRun) -> list[str]:
    missing = [name for name in first.test.findings if name not in run.test.findings]
    extra = [name for name in run.test.findings if name not in first.test.findings]
    told = [f"{run.name} lacks {', '.join(missing)}, which {first.name} has"] if missing else []
    return told + (
        [f"{run.name} has {', '.join(extra)}, which {first.name} lacks"] if extra else []
    )


def _other_images(
    first: ScoredRun, run: ScoredRun, rows: dict[str, int], others: dict[str, int]
) -> list[str]:
    missing = [name for name in rows if name not in others]
    extra = [name for name in others if name not in rows]
    told = []
    if missing:
        told.append(
            f"{run.name} lacks {number_of(len(missing), 'image')} of the {len(rows):,} of "
            f"{first.name}, such as {_examples(missing)}"
        )
    if extra:
        told.append(
            f"{run.name} has {number_of(len(extra), 'image')} that {first.name} lacks, "
            f"such as {_examples(extra)}"
        )
    return told


def _other_labels(
    first: ScoredRun,
    run: ScoredRun,
    order_N: NDArray[np.int64],
    other_N: NDArray[np.int64],
    findings: Sequence[str],
) -> list[str]:
    told = []
    for name, one, other in zip(
        findings, _columns(first, findings), _columns(run, findings), strict=True
    ):
        labels_N, labels_of_other_N = (
            first.test.labels_NF[order_N, one],
            run.test.labels_NF[other_N, other],
        )
        unlike_N = (labels_N != labels_of_other_N) & ~(
            np.isnan(labels_N) & np.isnan(labels_of_other_N)
        )
        if unlike_N.any():
            image = first.test.images[order_N[np.flatnonzero(unlike_N)[0]]]
            told.append(
                f"labels of {name} differ on {number_of(int(unlike_N.sum()), 'image')} between "
                f"{first.name} and {run.name}, such as {str(image)[:60]!r}"
            )
    return told


def _other_patients(
    first: ScoredRun, run: ScoredRun, order_N: NDArray[np.int64], other_N: NDArray[np.int64]
) -> list[str]:
    """Numbers may differ, as long as the same images are of one patient."""
    _, code_N = np.unique(patients_or_images(first.test)[order_N], return_inverse=True)
    _, other_code_N = np.unique(patients_or_images(run.test)[other_N], return_inverse=True)
    pairs: dict[tuple[int, int], int] = {}
    for image, (code, other) in enumerate(zip(code_N.tolist(), other_code_N.tolist(), strict=True)):
        pairs.setdefault((code, other), image)
    ones, others = len({code for code, _ in pairs}), len({other for _, other in pairs})
    if len(pairs) == ones == others:
        return []
    met: dict[tuple[int, int], int] = {}
    for (code, other), image in pairs.items():
        for side in ((0, code), (1, other)):
            if side in met:
                names = first.test.images[order_N[[met[side], image]]]
                whose, not_whose = (first, run) if side[0] == 0 else (run, first)
                return [
                    f"patients differ: {_examples(list(names))} are of one patient in "
                    f"{whose.name}, but not in {not_whose.name}"
                ]
            met[side] = image
    return []


def _columns(run: ScoredRun, findings: Sequence[str]) -> list[int]:
    return [run.test.findings.index(name) for name in findings]


def _examples(names: Sequence[object]) -> str:
    return ", ".join(repr(str(name)[:60]) for name in names[:_EXAMPLES])


__all__ = ["AlignedRuns", "align"]
