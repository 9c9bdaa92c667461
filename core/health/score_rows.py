"""Misaligned rows: scores that belong to other images of the file.

Names and scores were made in different orders, a row was dropped, or a loader shuffled: the network
is fine, but the AUROC is not. If a shift, a reversal or another common order repairs it, the labels
show that. Otherwise the scores alone show it. Images of one patient look alike, so any network
gives them similar scores. If scores are not similar within patients, yet columns correlate as
findings do, then a network made them, but for other images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.joining import FiledRows
from core.evaluation.placements import average_ranks
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.findings import PRESENT
from core.health.diagnosis import Diagnosis, Severity
from core.health.score_columns import codes_of_patients, standard_error, summed_by_patient

_SHIFTS = (1, 2, 3)
_WORTH_MOVING, _WORTH_BREAKING, _GOOD_ONCE_MOVED, _BEYOND_CHANCE = 0.02, 0.005, 0.6, 5.0
"""The last is in standard errors: enough for 40 orders tried and for the tails of few patients."""

_ENOUGH_PATIENTS, _ENOUGH_PAIRS = 60, 50
_UNLIKE, _RELATED = 0.25, 6.0
_STRANGERS, _OWN_SHARE = 0.03, 0.65
_REMEDY = (
    "Write each image's name beside its scores when they are computed: names from one list and "
    "scores from another (a loader that shuffles or drops rows, a sorted folder) become misaligned."
)


@dataclass(frozen=True)
class _Order:
    """Another alignment: row i holds the scores of the image in row ``owners_M[i]``."""

    owners_M: NDArray[np.intp]
    words: str


@dataclass(frozen=True)
class Signature:
    """Correlations of the scores that show misaligned rows without any label.

    Attributes:
        within_patients: rank correlation between two images of a patient, mean over columns.
        between_patients: the same between an image of one patient and one of the next, by name.
        pairs: number of patients with two images.
        between_columns: the largest rank correlation between two columns, in its standard errors
            under independence, over patients; None with one column.
    """

    within_patients: float
    between_patients: float
    pairs: int
    between_columns: float | None

    @property
    def is_of_other_images(self) -> bool:
        """Whether these are a network's scores for other images."""
        if self.pairs < _ENOUGH_PAIRS or self.between_columns is None:
            return False
        surely = self.within_patients + 2 / math.sqrt(self.pairs)
        return surely < _UNLIKE and self.between_columns > _RELATED

    @property
    def is_of_images_nearby(self) -> bool:
        """Whether these are a network's scores, shuffled among nearby rows.

        Patients then resemble their neighbours by name, which they don't in a correct file.
        """
        if self.pairs < _ENOUGH_PAIRS:
            return False
        surely = self.between_patients - 2 / math.sqrt(self.pairs)
        own = self.within_patients - self.between_patients
        return surely > _STRANGERS and own < _OWN_SHARE * self.within_patients


def ranks_of(rows: FiledRows) -> NDArray[np.float64]:
    """M rows × F columns: each score's rank in its column, shared by the checks of rows."""
    return average_ranks(rows.predictions.scores_NF)


def check_order(rows: FiledRows, ranks_MF: NDArray[np.float64]) -> Iterator[Diagnosis]:
    """A common order in which the same scores rank the images far better."""
    shares_MF, weights_MF, patients_M = _weighed(rows, ranks_MF)
    if not weights_MF.any() or len(np.unique(patients_M)) < _ENOUGH_PATIENTS:
        return
    given = _mean_area(shares_MF, weights_MF)
    best, order = _best(shares_MF, weights_MF, _orders(rows))
    broken, break_ = _best(shares_MF, weights_MF, _broken_orders(shares_MF, weights_MF))
    moved_M = break_.owners_M != np.arange(len(patients_M))
    # Of many break points, one is best by chance if few patients come after it.
    enough = len(np.unique(patients_M[moved_M])) >= _ENOUGH_PATIENTS
    if enough and broken > best + _WORTH_BREAKING:
        best, order = broken, break_
    if best - given < _WORTH_MOVING or best < _GOOD_ONCE_MOVED:
        return
    influence_M = _influence(shares_MF, weights_MF[order.owners_M])
    influence_M = influence_M - _influence(shares_MF, weights_MF)
    # A row's contribution depends on its patient and on the patient it is moved to.
    error = math.hypot(
        standard_error(summed_by_patient(patients_M, influence_M)),
        standard_error(summed_by_patient(patients_M[order.owners_M], influence_M)),
    )
    if best - given < _BEYOND_CHANCE * error:
        return
    yield Diagnosis(
        check="rows-misaligned",
        severity=Severity.WARNING,
        text=f"The network is fine, but the rows are misaligned: {order.words}. Realigned, the "
        "mean AUROC is far better.",
        evidence={"mean_auroc": round(given, 4), "mean_auroc_if_moved": round(best, 4)},
        remedy=_REMEDY,
    )


def signature(rows: FiledRows, ranks_MF: NDArray[np.float64]) -> Signature:
    """See ``Signature``."""
    predictions = rows.predictions
    ranks_MF = ranks_MF - ranks_MF.mean(axis=0)
    spread_F = ranks_MF.std(axis=0)
    ranks_MF = ranks_MF[:, spread_F > 0] / spread_F[spread_F > 0]
    by_name_M = np.argsort(predictions.images.astype(str), kind="stable")
    patients_M = predictions.patients[by_name_M]
    is_known = patients_M != UNKNOWN_PATIENT
    by_name_M, patients_M = by_name_M[is_known], patients_M[is_known]
    order = np.argsort(patients_M, kind="stable")
    patients_P, first_P, images_P = np.unique(
        patients_M[order], return_index=True, return_counts=True
    )
    several_P = images_P > 1
    rows_M = by_name_M[order]
    last_P = first_P + images_P - 1
    columns = combinations(range(ranks_MF.shape[1]), 2)
    between = [abs(float((ranks_MF[:, one] * ranks_MF[:, other]).mean())) for one, other in columns]
    return Signature(
        within_patients=_correlation(
            ranks_MF[rows_M[first_P[several_P]]], ranks_MF[rows_M[first_P[several_P] + 1]]
        ),
        between_patients=_correlation(ranks_MF[rows_M[last_P[:-1]]], ranks_MF[rows_M[first_P[1:]]]),
        pairs=int(several_P.sum()),
        between_columns=max(between) * math.sqrt(len(patients_P)) if between else None,
    )


def check_signature(
    rows: FiledRows, ranks_MF: NDArray[np.float64], mean_auroc: float, *, at_chance: bool
) -> Iterator[Diagnosis]:
    """Scores that a network made, but for other images."""
    found = signature(rows, ranks_MF)
    if found.is_of_images_nearby:
        text = (
            "The network is fine, but scores are shuffled among nearby rows, as by a loader that "
            "shuffles within batches: a patient's scores are hardly more similar to each other "
            "than to the next patient's."
        )
    elif at_chance and found.is_of_other_images:
        text = (
            "The scores are at chance, yet a network made them: the columns correlate, but scores "
            "of one patient's images are not similar. The network is fine, but the rows are "
            "misaligned, and no shift or reversal repairs it."
        )
    else:
        return
    yield Diagnosis(
        check="rows-misaligned",
        severity=Severity.WARNING,
        text=text,
        evidence={
            "mean_auroc": round(mean_auroc, 4),
            "correlation_within_patients": round(found.within_patients, 4),
            "correlation_with_the_next_patient": round(found.between_patients, 4),
            "patients_with_two_images": found.pairs,
        },
        remedy=_REMEDY,
    )


def _weighed(
    rows: FiledRows, ranks_MF: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Scores as shares of rows below; the weight of each row's label; and each row's patient.

    The sum of scores times weights is the mean AUROC minus one half: exactly if every label is
    known, approximately if some are not.
    """
    predictions = rows.predictions
    labels_MF = predictions.labels_NF
    present_MF, absent_MF = labels_MF == PRESENT, labels_MF == 1 - PRESENT
    positives_F, negatives_F = present_MF.sum(axis=0), absent_MF.sum(axis=0)
    judged_F = (positives_F > 0) & (negatives_F > 0)
    shares_MF = (ranks_MF[:, judged_F] - 0.5) / max(1, len(labels_MF)) - 0.5
    weights_MF = present_MF[:, judged_F] / positives_F[judged_F]
    weights_MF = weights_MF - absent_MF[:, judged_F] / negatives_F[judged_F]
    patients_M, _ = codes_of_patients(predictions.patients)
    return shares_MF, weights_MF / max(1, int(judged_F.sum())), patients_M


def _mean_area(shares_MF: NDArray[np.float64], weights_MF: NDArray[np.float64]) -> float:
    return 0.5 + float(np.vdot(shares_MF, weights_MF))


def _best(
    shares_MF: NDArray[np.float64], weights_MF: NDArray[np.float64], orders: Iterable[_Order]
) -> tuple[float, _Order]:
    """The highest mean AUROC, and the order that gives it."""
    areas = ((_mean_area(shares_MF, weights_MF[order.owners_M]), order) for order in orders)
    return max(areas, key=lambda found: found[0])


def _influence(
    shares_MF: NDArray[np.float64], weights_MF: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each row's influence on the mean AUROC: its share minus the mean of its class."""
    means_MF = np.zeros_like(shares_MF)
    for of_class_MF in (weights_MF > 0, weights_MF < 0):
        rows_F = np.maximum(1, of_class_MF.sum(axis=0))
        means_MF += of_class_MF * ((shares_MF * of_class_MF).sum(axis=0) / rows_F)
    return np.asarray((weights_MF * (shares_MF - means_MF)).sum(axis=1))


def _orders(rows: FiledRows) -> Iterator[_Order]:
    """Every alignment that is tried, except the file's own."""
    names_M = rows.predictions.images.astype(str)
    own = np.arange(len(names_M))
    lists = {
        "the file's order": own,
        "the order of sorted names": np.argsort(names_M, kind="stable"),
    }
    if (rows.table_rows >= 0).all():
        lists["the label table's order"] = np.argsort(rows.table_rows, kind="stable")
    seen: list[NDArray[np.intp]] = []
    for name, listed_M in lists.items():
        if any(np.array_equal(listed_M, known) for known in seen):
            continue
        seen.append(listed_M)
        is_own = np.array_equal(listed_M, own)
        if not is_own:
            yield _Order(listed_M, f"the scores are in {name}, the names in another")
        for turned_M, how in _turns(len(names_M)):
            # Names from this list beside scores from the loader.
            yield _Order(listed_M[turned_M], f"{how} in {name}")
            if not is_own:  # rows that were reordered later
                owners_M = np.empty_like(own)
                owners_M[listed_M] = listed_M[turned_M]
                yield _Order(owners_M, f"{how} in {name}")


def _broken_orders(
    shares_MF: NDArray[np.float64], weights_MF: NDArray[np.float64]
) -> Iterator[_Order]:
    """Shifts from some row onwards, as after a missing or duplicated row."""
    own = np.arange(len(shares_MF))
    as_given_M = (shares_MF * weights_MF).sum(axis=1)
    for owners_M, how in _shifts(len(own)):
        gain_M = (shares_MF * weights_MF[owners_M]).sum(axis=1) - as_given_M
        gain_from_M = np.cumsum(gain_M[::-1])[::-1]
        first = int(np.argmax(gain_from_M))
        yield _Order(
            np.where(own < first, own, owners_M),
            f"from row {first + 1:,} on, {how} in the file's order",
        )


def _turns(num_rows: int) -> Iterator[tuple[NDArray[np.intp], str]]:
    own = np.arange(num_rows)
    yield own[::-1], "the scores are in reverse order"
    yield from _shifts(num_rows)


def _shifts(num_rows: int) -> Iterator[tuple[NDArray[np.intp], str]]:
    own = np.arange(num_rows)
    for shift in _SHIFTS:
        rows = "row" if shift == 1 else "rows"
        yield np.roll(own, shift), f"the scores are {shift} {rows} too low"
        yield np.roll(own, -shift), f"the scores are {shift} {rows} too high"


def _correlation(one_PF: NDArray[np.float64], other_PF: NDArray[np.float64]) -> float:
    """Pearson correlation of the ranks, mean over columns."""
    if len(one_PF) < 2 or not one_PF.shape[1]:
        return 0.0
    one_PF, other_PF = one_PF - one_PF.mean(axis=0), other_PF - other_PF.mean(axis=0)
    scale_F = np.sqrt((one_PF**2).sum(axis=0) * (other_PF**2).sum(axis=0))
    return float(((one_PF * other_PF).sum(axis=0)[scale_F > 0] / scale_F[scale_F > 0]).mean())
