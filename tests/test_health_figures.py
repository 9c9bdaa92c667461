"""Figures that the label table alone could reach, or the view position, are told as such."""

import pytest

from core.health.figures import check_figures


def report(
    mean=0.8, interval=(0.78, 0.82), table=0.62, overall=0.85, within=(0.83, 0.8), few=False
):
    return {
        "mean_auroc": mean,
        "mean_auroc_ci": list(interval) if interval else None,
        "table_alone": {"mean_auroc": table},
        "findings": {
            "Edema": {
                "auroc": overall,
                "positive_patients": 5 if few else 100,
                "auroc_by_view": dict(zip(("PA", "AP"), within, strict=True)),
            }
        },
    }


def test_a_network_that_sees_more_than_the_table_is_not_complained_of():
    assert check_figures(report()) == []


def test_a_network_no_better_than_the_table_is_told_beyond_chance():
    (found,) = check_figures(report(mean=0.58, interval=(0.55, 0.61)))
    assert found.check == "reads-the-table"
    assert found.evidence["table_alone"] == 0.62
    assert check_figures(report(mean=0.6, interval=(0.5, 0.7))) == []


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
    assert check_figures(report(table=None, interval=None, overall=None)) == []
