"""A share of tests/bench/subgroup_coverage.py, whose tables are in docs/subgroups.md."""

import subgroup_coverage


def test_intervals_of_gaps_hold_the_truth_and_equal_groups_seldom_differ():
    equal = subgroup_coverage.gaps(300, samples=60)
    for by in ("sex", "view"):
        for figure in subgroup_coverage._FIGURES:
            assert equal.share(by, figure) > 0.9, (by, figure)
    assert sum(equal.alarms) <= 9  # 3 are expected, and more than 9 come once in two hundred


def test_intervals_hold_a_true_gap_too_and_large_parts_tell_it():
    apart = subgroup_coverage.gaps(1_000, samples=15, lower=0.6)
    for by in ("sex", "view"):
        for figure in ("auroc", "sensitivity", "false_positive_rate"):
            assert apart.share(by, figure) > 0.85, (by, figure)
    assert sum(apart.alarms) > 12
