"""Two groups of runs compared, finding by finding and in the mean.

    runs = read_runs(["first", "second"], Path("sessions"))
    found = compare_groups(align(runs), [Group("first", (0,)), Group("second", (1,))])
    found[0].mean.differing.value, found[0].mean.p

p values and intervals of AUROC come from its placements, so they need no draws; AUPRC and the share
of draws in which A is ahead come from draws of patients, the same for all runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.evaluation.comparing.ahead import share_ahead
from core.evaluation.comparing.alignment import AlignedRuns
from core.evaluation.comparing.differing import (
    Differing,
    auroc_differing,
    drawn_differing,
    mean_auroc_differing,
)
from core.evaluation.comparing.run_figures import (
    RunFigures,
    common_sensitivities,
    run_figures,
)
from core.evaluation.comparing.significance import (
    CANT_TELL,
    Verdict,
    equivalence_p,
    holm,
    positives_needed,
    two_sided_p,
    verdict,
)
from core.evaluation.confidence import LEAST_PATIENTS
from core.evaluation.operating_points import parse_rule
from core.evaluation.placements import PlacedFinding
from core.findings import PRESENT


@dataclass(frozen=True)
class Group:
    """Runs of one recipe, by their places among the aligned ones; a single run is one too."""

    name: str
    runs: tuple[int, ...]


@dataclass(frozen=True)
class ComparisonSettings:
    """How to compare.

    Attributes:
        margin: difference in AUROC below which models count as equal; None: not asked.
        rule: how val chooses the sensitivity at which specificities are compared.
        draws, seed: draws of patients for AUPRC and the share in which A is ahead.
    """

    margin: float | None = None
    rule: str = "youden"
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Compared:
    """One finding, or the mean over findings; None where undefined.

    Attributes:
        differing: AUROC of A and B and its difference.
        p, p_holm: two-sided; by Holm over all findings compared.
        p_equal, p_equal_holm: of equivalence within the margin.
        positive_patients: patients with a positive image.
        needed: positive patients that a verdict would take; see ``positives_needed``.
        a_ahead: share of draws of patients and seeds in which A has the higher AUROC.
        auprc: the same of AUPRC.
        specificity: the same of specificity on test at ``sensitivity``, which is chosen on val;
            see ``common_sensitivities``.
        notes: what to know when reading it.
    """

    differing: Differing | None
    positive_patients: int
    p: float | None = None
    p_holm: float | None = None
    p_equal: float | None = None
    p_equal_holm: float | None = None
    needed: int | None = None
    a_ahead: float | None = None
    auprc: Differing | None = None
    specificity: Differing | None = None
    sensitivity: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """By the corrected p values."""
        if self.differing is None:
            return CANT_TELL
        return verdict(self.differing.value, self.p_holm, self.p_equal_holm)


@dataclass(frozen=True)
class Comparison:
    """B against A.

    Attributes:
        findings: each finding by name.
        mean: of the AUROC over the findings named in ``mean_over``, those with an interval.
    """

    a: Group
    b: Group
    findings: dict[str, Compared]
    mean: Compared
    mean_over: tuple[str, ...]


def compare_groups(
    aligned: AlignedRuns,
    groups: Sequence[Group],
    settings: ComparisonSettings = ComparisonSettings(),
) -> list[Comparison]:
    """Every group against the first; Holm's correction is over all findings of all of them.

    Raises:
        RecipeError: the rule is none.
    """
    rule = parse_rule(settings.rule)
    sensitivity_F = common_sensitivities(aligned, rule)
    figures_R = run_figures(aligned, sensitivity_F, draws=settings.draws, seed=settings.seed)
    pairs = [_Pair(aligned, groups[0], other, figures_R, settings) for other in groups[1:]]
    found = [pair.compared(sensitivity_F) for pair in pairs]
    corrected = _corrected([one for each in found for one in each.findings.values()], settings)
    of_mean = _corrected([each.mean for each in found], settings)
    return [
        replace(
            each,
            findings={name: next(rest) for name in each.findings},
            mean=mean,
        )
        for rest in [iter(corrected)]
        for each, mean in zip(found, of_mean, strict=True)
    ]


@dataclass(frozen=True)
class _Pair:
    """Groups A and B, with the figures of all R runs."""

    aligned: AlignedRuns
    a: Group
    b: Group
    figures_R: Sequence[RunFigures]
    settings: ComparisonSettings

    def compared(self, sensitivity_F: Sequence[float | None]) -> Comparison:
        """Before the correction for the number of findings."""
        names = self.aligned.findings
        findings = {
            name: self._finding(column, sensitivity_F[column]) for column, name in enumerate(names)
        }
        over = [
            column
            for column, one in enumerate(findings.values())
            if one.differing is not None and one.differing.chance is not None
        ]
        mean = self._mean(over)
        return Comparison(self.a, self.b, findings, mean, tuple(names[column] for column in over))

    def _finding(self, column: int, sensitivity: float | None) -> Compared:
        positive_N = self.aligned.labels_NF[:, column] == PRESENT
        patients = len(np.unique(self.aligned.patients_N[positive_N]))
        placed_A, placed_B = (self._placed(group, column) for group in (self.a, self.b))
        if not placed_A or not placed_B:
            kind = "negative" if positive_N.any() else "positive"
            note = f"no {kind} image in common: AUROC needs both"
            return Compared(None, patients, notes=(note,))
        is_same = self._ranks_alike([column])
        differing = auroc_differing(placed_A, placed_B, is_same=is_same)
        too_few = placed_A[0].why_no_interval
        found = self._tested(differing, patients)
        specificity = None
        if sensitivity is not None:
            specificity = self._drawn("specificity", [column], placed_A[0], is_same=is_same)
            if (1 - sensitivity) * patients < LEAST_PATIENTS:  # hangs on one or two positives
                specificity = replace(specificity, chance=None)
        return replace(
            found,
            a_ahead=self._ahead([column]),
            auprc=self._drawn("auprc", [column], placed_A[0], is_same=is_same),
            specificity=specificity,
            sensitivity=sensitivity,
            notes=(*found.notes, *((too_few,) if too_few else ())),
        )

    def _drawn(
        self,
        figure: Literal["auprc", "specificity"],
        columns: Sequence[int],
        placed: PlacedFinding,
        *,
        is_same: bool,
    ) -> Differing:
        """A figure's mean over these findings, of which ``placed`` has the fewest patients."""
        chosen = list(columns)
        values_A, values_B, drawn_AB, drawn_BB = (
            np.array([getattr(self.figures_R[run], name)[chosen].mean(0) for run in group.runs])
            for name in (f"{figure}_F", f"{figure}_FB")
            for group in (self.a, self.b)
        )
        return drawn_differing(values_A, values_B, drawn_AB, drawn_BB, placed, is_same=is_same)

    def _mean(self, over: Sequence[int]) -> Compared:
        positive_NF = self.aligned.labels_NF[:, list(over)] == PRESENT
        patients = len(np.unique(self.aligned.patients_N[positive_NF.any(axis=1)]))
        if not over:
            return Compared(None, patients, notes=("no finding has enough patients",))
        placed_AF, placed_BF = (
            [
                [one for column in over if (one := self.figures_R[run].placed_F[column])]
                for run in group.runs
            ]
            for group in (self.a, self.b)
        )
        differing = mean_auroc_differing(placed_AF, placed_BF, is_same=self._ranks_alike(over))
        fewest = min(placed_AF[0], key=lambda one: one.spread.effective)
        return replace(
            self._tested(differing, patients),
            a_ahead=self._ahead(over),
            auprc=self._drawn("auprc", over, fewest, is_same=differing.is_same),
        )

    def _tested(self, differing: Differing, patients: int) -> Compared:
        if differing.chance is None:
            return Compared(differing, patients)
        spread, margin = differing.chance.spread, self.settings.margin
        p_equal = None
        if margin is not None:
            p_equal = 0.0 if differing.is_same else equivalence_p(differing.value, spread, margin)
        p = two_sided_p(differing.value, spread)
        return Compared(differing, patients, p=p, p_equal=p_equal)

    def _placed(self, group: Group, column: int) -> list[PlacedFinding]:
        placed = [self.figures_R[run].placed_F[column] for run in group.runs]
        return [one for one in placed if one is not None]

    def _ahead(self, columns: Sequence[int]) -> float | None:
        drawn_A, drawn_B = (
            np.array([self.figures_R[run].auroc_FB[list(columns)].mean(axis=0)
                      for run in group.runs])
            for group in (self.a, self.b)
        )  # fmt: skip
        return share_ahead(drawn_A, drawn_B, self.settings.seed)

    def _ranks_alike(self, columns: Sequence[int]) -> bool:
        """Whether all runs of both groups rank the images of these findings alike."""
        first, *others = [
            self.aligned.scores_RNF[run][:, list(columns)] for run in (*self.a.runs, *self.b.runs)
        ]
        return all(
            other is first or np.array_equal(_ranks(first), _ranks(other)) for other in others
        )


def _ranks(scores_NF: NDArray[np.float64]) -> NDArray[np.intp]:
    columns = [np.unique(scores_N, return_inverse=True)[1].reshape(-1) for scores_N in scores_NF.T]
    return np.column_stack(columns)


def _corrected(found: Sequence[Compared], settings: ComparisonSettings) -> list[Compared]:
    """With Holm's p values, and the patients that a verdict would take where there is none."""
    p_holm, p_equal_holm = holm([one.p for one in found]), holm([one.p_equal for one in found])
    tests = sum(one.p is not None for one in found)
    corrected = []
    for one, p, p_equal in zip(found, p_holm, p_equal_holm, strict=True):
        with_p = replace(one, p_holm=p, p_equal_holm=p_equal)
        if with_p.verdict == CANT_TELL and one.differing and (chance := one.differing.chance):
            needed = positives_needed(
                one.positive_patients,
                of_patients=chance.of_patients,
                of_seeds=chance.of_seeds,
                difference=one.differing.value,
                margin=settings.margin,
                tests=tests,
            )
            with_p = replace(with_p, needed=needed)
        corrected.append(with_p)
    return corrected


__all__ = ["Compared", "Comparison", "ComparisonSettings", "Group", "compare_groups"]
