"""A smaller draw from a split: a target prevalence for one finding, a limit on the images."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from core.data.study.part_draw import PartDraw
from core.data.study.split import Rows, Split
from core.data.study.stratify import largest_remainder
from core.data.study.study_index import StudyIndex
from core.data.tables.text_file import count_of
from core.errors import DataError
from core.findings import ABSENT, PRESENT
from core.recipe import PARTS, SubsetSettings


@dataclasses.dataclass(frozen=True, eq=False)
class _Pool:
    """One part's rows in drawing order: the first k are a draw of k.

    ``others`` are the negatives, and in a part that is not drawn also those with unknown labels.
    """

    positives: Rows
    others: Rows

    def __len__(self) -> int:
        return len(self.positives) + len(self.others)


def draw_subset(index: StudyIndex, split: Split, settings: SubsetSettings) -> Split:
    """Reduce the split to fewer images.

    ``finding`` and ``prevalence`` apply only to ``settings.parts``. In these, images whose label of
    the finding is unknown are dropped and counted; it may be any finding of the table. If
    ``prevalence`` is set, each of them keeps every positive, and negatives are drawn until the
    prevalence holds, to the nearest image. If a part has too few negatives (or no positive) for
    that, it keeps all of them and a warning says so. The other parts keep all their images,
    including unknown labels, which loss and figures mask.

    ``max_images`` then limits all parts together, drawn or not: parts shrink in proportion, and so
    do positives and negatives within each, so that a part that is not drawn keeps its own
    prevalence.

    If a prevalence is set, ``draws`` of the result describes each part.

    With nothing set the split is returned unchanged. Rows stay in ascending order. The draw depends
    on the images, their names and the seed, not on the order of the table's rows.

    Raises:
        DataError: the table lacks the finding, or a part has no image left.
    """
    if settings.finding is None and settings.max_images is None:
        return split
    pools, unknown = _pools(index, split, settings)
    counts = list(split.counts)
    if len(unknown):
        reason = f"image whose label of {settings.finding} is unknown, left out by the subset"
        counts.append(count_of(reason, index.images[unknown]))
    before = pools
    pools, warnings = _with_prevalence(pools, settings)
    drawn = [part for part, pool in pools.items() if len(pool) < len(before[part])]
    if settings.max_images is not None:
        pools = _capped(pools, settings.max_images)
    rows = {
        part: np.sort(np.concatenate([pool.positives, pool.others])) for part, pool in pools.items()
    }
    empty = [part for part in rows if not len(rows[part])]
    if empty:
        raise DataError(
            f"the subset leaves no image in {' and '.join(empty)}",
            where="subset",
            remedy="Choose another finding or a larger max_images.",
        )
    smaller = dataclasses.replace(
        split, rows=rows, counts=tuple(counts), warnings=(*split.warnings, *warnings)
    )
    if settings.finding is None or settings.prevalence is None:
        return smaller
    draws = {
        part: _described(index, whole, rows[part], settings.finding, is_drawn=part in drawn)
        for part, whole in split.rows.items()
    }
    return dataclasses.replace(smaller, draws=draws)


def _described(
    index: StudyIndex, whole: Rows, left: Rows, finding: str, *, is_drawn: bool
) -> PartDraw:
    labels_N = index.table.labels_of(finding)
    counts_of = {
        label: (int((labels_N[whole] == label).sum()), int((labels_N[left] == label).sum()))
        for label in (PRESENT, ABSENT)
    }
    shares = {
        label: after / before if before else None for label, (before, after) in counts_of.items()
    }
    return PartDraw(
        finding=finding,
        is_drawn=is_drawn,
        prevalence=prevalence_of(labels_N[left]),
        natural_prevalence=_natural_prevalence(index, whole, finding),
        positive_share=shares[PRESENT],
        negative_share=shares[ABSENT],
    )


def _natural_prevalence(index: StudyIndex, whole: Rows, finding: str) -> dict[str, float]:
    """Prevalence of each finding of the recipe, and the subset's, with a known label in the
    part."""
    shares = {
        name: prevalence_of(index.labels_NF[whole, column])
        for column, name in enumerate(index.findings)
    } | {finding: prevalence_of(index.table.labels_of(finding)[whole])}
    return {name: share for name, share in shares.items() if share is not None}


def prevalence_of(labels_N: npt.NDArray[np.float32]) -> float | None:
    """Positives / known; None if none is known."""
    known = int((~np.isnan(labels_N)).sum())
    return int((labels_N == PRESENT).sum()) / known if known else None


def _pools(
    index: StudyIndex, split: Split, settings: SubsetSettings
) -> tuple[dict[str, _Pool], Rows]:
    """Each part's rows, shuffled; and the rows left out because their label is unknown."""
    labels_N = None if settings.finding is None else index.table.labels_of(settings.finding)
    pools: dict[str, _Pool] = {}
    unknown: list[Rows] = []
    for part, rows in split.rows.items():
        # Each part has its own random stream, so one part's size doesn't change another's draw.
        rng = np.random.default_rng([settings.seed, PARTS.index(part)])
        shuffled = rng.permutation(index.rows_by_name(rows))
        if labels_N is None:
            pools[part] = _Pool(shuffled[:0], shuffled)
            continue
        labels_R = labels_N[shuffled]
        is_drawn = part in settings.parts
        others_R = labels_R == ABSENT if is_drawn else labels_R != PRESENT
        pools[part] = _Pool(shuffled[labels_R == PRESENT], shuffled[others_R])
        unknown.extend([shuffled[np.isnan(labels_R)]] if is_drawn else [])
    return pools, np.sort(np.concatenate(unknown)) if unknown else np.empty(0, dtype=np.int64)


def _with_prevalence(
    pools: dict[str, _Pool], settings: SubsetSettings
) -> tuple[dict[str, _Pool], list[str]]:
    """Draw negatives in the requested parts; also says where the prevalence is missed."""
    finding, prevalence = settings.finding, settings.prevalence
    if finding is None or prevalence is None:
        return pools, []
    drawn: dict[str, _Pool] = {
        part: _at_prevalence(pools[part], prevalence) for part in settings.parts
    }
    missed = (_prevalence_missed(part, pool, finding, prevalence) for part, pool in drawn.items())
    return pools | drawn, [warning for warning in missed if warning]


def _at_prevalence(pool: _Pool, prevalence: float) -> _Pool:
    if not len(pool.positives):
        return pool
    wanted = round(len(pool.positives) * (1 - prevalence) / prevalence)
    return _Pool(pool.positives, pool.others[:wanted])


def _prevalence_missed(part: str, pool: _Pool, finding: str, prevalence: float) -> str | None:
    num_positive = len(pool.positives)
    if not num_positive:
        return (
            f"{part} has no image with {finding}, so its prevalence can't be brought to "
            f"{prevalence:.1%}; all its {len(pool):,} images are kept."
        )
    wanted = round(num_positive * (1 - prevalence) / prevalence)
    if len(pool.others) >= wanted:
        return None
    return (
        f"{part} has {len(pool.others):,} images without {finding}, but {wanted:,} are needed: "
        f"its prevalence is {num_positive / len(pool):.1%} instead of {prevalence:.1%}."
    )


def _capped(pools: dict[str, _Pool], max_images: int) -> dict[str, _Pool]:
    sizes = [len(pool) for pool in pools.values()]
    if sum(sizes) <= max_images:
        return pools
    keep = largest_remainder(max_images, sizes, at_least=np.minimum(sizes, 1))
    return {
        part: _shrunk(pool, int(num_kept))
        for (part, pool), num_kept in zip(pools.items(), keep, strict=True)
    }


def _shrunk(pool: _Pool, num_kept: int) -> _Pool:
    sizes = (len(pool.positives), len(pool.others))
    if not any(sizes):
        return pool
    num_positive, num_other = largest_remainder(num_kept, sizes, at_least=np.minimum(sizes, 1))
    return _Pool(pool.positives[:num_positive], pool.others[:num_other])
