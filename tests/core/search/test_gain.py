"""The gain of the best recipe over the first one, against an independent paired t interval."""

import pytest
from scipy import stats

pytest.importorskip("optuna")

from core.search.report import _paired_interval


def rows(values):
    return [{"session": "", "seed": seed, "val_auroc": one} for seed, one in enumerate(values)]


def test_the_gains_interval_is_that_of_a_paired_t_test():
    best, first = [0.81, 0.79, 0.84], [0.78, 0.80, 0.79]
    expected = stats.ttest_rel(best, first).confidence_interval(0.95)
    assert _paired_interval(rows(best), rows(first)) == pytest.approx(expected, abs=1e-6)
    assert _paired_interval(rows(best[:1]), rows(first[:1])) is None
    assert _paired_interval(rows(best), []) is None
    assert _paired_interval(rows([*best[:2], None]), rows(first)) is None
