"""Figures that the label table alone could reach, or the view position, are told as such."""

import pytest

from core.health.figures import check_figures


def report(above=(0.15, 0.2), edema_above=(0.2, 0.3), overall=0.85, within=(0.83, 0.8), few=False):
    def middle(interval):
        return None if interval is None else sum(interval) / 2

    return {
        "mean_auroc": 0.8,
        "table_alone": {
            "mean_auroc": 0.62,
            "mean_auroc_above": middle(above),
            "mean_auroc_above_ci": above,
        },
        "findings": {
            "Edema": {
                "auroc": overall,
                "table_alone_auroc": 0.6,
                "auroc_above_table": middle(edema_above),
                "auroc_above_table_ci": edema_above,
                "positive_patients": 5 if few else 100,
                "auroc_by_view": dict(zip(("PA", "AP"), within, strict=True)),
            }
        },
    }


def test_a_network_that_sees_more_than_the_table_is_not_complained_of():
    assert check_figures(report()) == []


@pytest.mark.parametrize("above", [(-0.03, 0.01), (-0.02, 0.03), (-0.001, 0.09), (-0.4, -0.1)])
def test_a_network_that_gains_nothing_over_the_table_is_told(above):
    (found,) = check_figures(report(above=above))
    assert found.check == "reads-the-table"
    assert found.evidence["table_alone"] == 0.62
    assert found.evidence["interval_low"] == above[0]
    assert found.text.startswith("The network does no better than the label table's age")


def test_too_wide_an_interval_says_nothing_of_the_table():
    assert check_figures(report(above=(-0.06, 0.06), edema_above=(-0.01, 0.2))) == []


def test_a_finding_that_gains_nothing_over_the_table_is_named():
    (found,) = check_figures(report(edema_above=(-0.02, 0.06)))
    assert found.check == "reads-the-table"
    assert found.text.startswith("On Edema the network does no better")
    assert found.evidence["finding"] == "Edema"


def test_a_finding_that_is_the_view_position_is_told():
    (found,) = check_figures(report(within=(0.51, 0.53)))
    assert found.check == "collapses-within-view"
    assert "Edema" in found.text


def test_what_is_left_within_a_view_is_measured_by_what_there_was():
    assert check_figures(report(overall=0.8, within=(0.47, 0.59))) != []
    assert check_figures(report(overall=0.7, within=(0.47, 0.59))) == [], "weak, and weak within"
    assert check_figures(report(overall=0.894, within=(0.78, 0.817))) == [], "as published ones"


@pytest.mark.parametrize(
    "silent", [{"few": True}, {"within": (0.51, 0.7)}, {"within": (0.51, None)}]
)
def test_few_patients_or_one_good_view_say_nothing(silent):
    assert check_figures(report(**({"within": (0.51, 0.53)} | silent))) == []


def test_figures_that_are_not_there_say_nothing():
    assert check_figures(report(above=None, edema_above=None, overall=None)) == []
