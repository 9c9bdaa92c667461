"""A smaller draw from a split: a target prevalence for one finding, a cap on the images."""

from __future__ import annotations

import dataclasses

import numpy as np

from core.data.index import StudyIndex
from core.data.split import PARTS, Rows, Split
from core.data.stratify import largest_remainder
from core.data.text_file import count_of
from core.errors import DataError
from core.findings import ABSENT, PRESENT
from core.recipe import SubsetSettings


@dataclasses.dataclass(frozen=True, eq=False)
class _Pool:
    """One part's rows in the order in which they would be drawn: the first k are a draw of k."""

    positives: Rows
    negatives: Rows

    def __len__(self) -> int:
        return len(self.positives) + len(self.negatives)


def draw_subset(index: StudyIndex, split: Split, settings: SubsetSettings) -> Split:
    """The split with fewer images in each part.

    With ``finding``, images whose label of it is unknown are dropped and counted; it may be any
    finding of the table. With ``prevalence`` besides, each part keeps every positive, and
    negatives are drawn until the prevalence holds, to the nearest image. Where a part has too
    few negatives (or no positive) for that, it keeps all of them and a warning says so.
    ``max_images`` then caps all parts together: parts shrink alike, and in each of them
    positives and negatives do.

    Nothing set returns the split as it is. Rows stay in ascending order. The draw depends on
    the images, their names and the seed, not on the order of the table's rows.

    Raises:
        DataError: the table knows nothing of the finding, or a part has no image left.
    """
    if settings.finding is None and settings.max_images is None:
        return split
    pools, unknown = _pools(index, split, settings)
    counts, warnings = list(split.counts), list(split.warnings)
    if len(unknown):
        reason = f"image whose label of {settings.finding} is unknown, left out by the subset"
        counts.append(count_of(reason, index.images[unknown]))
    if settings.finding is not None and settings.prevalence is not None:
        for part, pool in pools.items():
            pools[part] = _at_prevalence(pool, settings.prevalence)
            warning = _prevalence_missed(part, pools[part], settings.finding, settings.prevalence)
            warnings.extend([warning] if warning else [])
    if settings.max_images is not None:
        pools = _capped(pools, settings.max_images)
    rows = {
        part: np.sort(np.concatenate([pool.positives, pool.negatives]))
        for part, pool in pools.items()
    }
    empty = [part for part in rows if not len(rows[part])]
    if empty:
        raise DataError(
            f"the subset leaves no image in {' and '.join(empty)}",
            where="subset",
            remedy="Choose another finding or a larger max_images.",
        )
    return dataclasses.replace(split, rows=rows, counts=tuple(counts), warnings=tuple(warnings))


def _pools(
    index: StudyIndex, split: Split, settings: SubsetSettings
) -> tuple[dict[str, _Pool], Rows]:
    """Each part's rows, shuffled; and the rows left out since their label is unknown."""
    labels_N = None if settings.finding is None else index.labels_of(settings.finding)
    pools: dict[str, _Pool] = {}
    unknown: list[Rows] = []
    for part, rows in split.rows.items():
        # Each part has its own stream, so that one part's size does not redraw another's.
        rng = np.random.default_rng([settings.seed, PARTS.index(part)])
        shuffled = rng.permutation(index.rows_by_name(rows))
        if labels_N is None:
            pools[part] = _Pool(shuffled[:0], shuffled)
            continue
        labels_R = labels_N[shuffled]
        pools[part] = _Pool(shuffled[labels_R == PRESENT], shuffled[labels_R == ABSENT])
        unknown.append(shuffled[np.isnan(labels_R)])
    return pools, np.sort(np.concatenate(unknown)) if unknown else np.empty(0, dtype=np.int64)


def _at_prevalence(pool: _Pool, prevalence: float) -> _Pool:
    if not len(pool.positives):
        return pool
    wanted = round(len(pool.positives) * (1 - prevalence) / prevalence)
    return _Pool(pool.positives, pool.negatives[:wanted])


def _prevalence_missed(part: str, pool: _Pool, finding: str, prevalence: float) -> str | None:
    num_positive = len(pool.positives)
    if not num_positive:
        return (
            f"{part} has no image with {finding}, so its prevalence can't be brought to "
            f"{prevalence:.1%}; all its {len(pool):,} images are kept."
        )
    wanted = round(num_positive * (1 - prevalence) / prevalence)
    if len(pool.negatives) >= wanted:
        return None
    return (
        f"{part} has {len(pool.negatives):,} images without {finding} where {wanted:,} are needed: "
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
    sizes = (len(pool.positives), len(pool.negatives))
    if not any(sizes):
        return pool
    num_positive, num_negative = largest_remainder(num_kept, sizes, at_least=np.minimum(sizes, 1))
    return _Pool(pool.positives[:num_positive], pool.negatives[:num_negative])
