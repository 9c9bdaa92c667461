import math

import pytest

from cxr_tui.training.auroc_table import sparkline
from cxr_tui.widgets.line_chart import Chart, Line, draw


def chart(ys, **changes):
    return Chart((Line("a", tuple(range(len(ys))), tuple(ys), "blue"),), **changes)


@pytest.mark.parametrize("size", [(80, 10), (200, 40), (30, 5)])
def test_a_chart_fills_the_cells_it_is_given_whatever_the_terminal_is(size):
    width, height = size
    lines = draw(chart([0.1, 0.5, 0.3]), width, height).plain.split("\n")
    assert len(lines) == height
    assert width - 2 <= max(len(line) for line in lines) <= width


@pytest.mark.parametrize("values", [[math.nan] * 5, [], [math.inf, -math.inf]])
def test_without_a_finite_value_it_says_so(values):
    assert "nothing to draw yet" in draw(chart(values), 60, 10).plain


@pytest.mark.parametrize("log_scale", [False, True])
def test_values_that_a_scale_cannot_show_break_the_line_only(log_scale):
    values = [1.0, 0.5, math.nan, 0.0, -1.0, math.inf, 0.4, 0.3]
    text = draw(chart(values, log_scale=log_scale), 60, 10).plain
    assert any(0x2800 < ord(letter) < 0x2900 for letter in text)


def test_a_spike_is_seen_however_many_points_there_are():
    values = [1.0] * 100_000
    values[54_321] = 9.0
    top = draw(chart(values), 80, 12).plain.split("\n")[0]
    assert any(0x2800 < ord(letter) < 0x2900 for letter in top)


def test_the_base_rate_is_drawn_with_its_name():
    text = draw(chart([0.7, 0.6, 0.5], level=0.602, level_label="base rate 0.602"), 80, 12).plain
    assert "base rate 0.602" in text
    assert "┄" in text


def test_ascii_only_means_ascii_only():
    text = draw(chart([0.7, 0.6, 0.5], level=0.6, level_label="x"), 80, 12, ascii_only=True).plain
    assert text.isascii()


def test_a_sparkline_shows_chance_low_and_a_gap_where_undefined():
    assert sparkline([0.5, 1.0, math.nan, 0.75]) == "▁█ ▅"
    assert sparkline([0.5, 1.0], ascii_only=True).isascii()
    assert len(sparkline([0.6] * 50, width=6)) == 6


def test_a_log_scale_is_numbered_at_round_values():
    values = [2.0 / (step + 1) for step in range(40)]
    axis = [
        line.split("┤")[0].strip()
        for line in draw(chart(values, log_scale=True), 80, 14).plain.split("\n")
        if "┤" in line
    ]
    assert axis == ["2.00", "1.00", "0.50", "0.20", "0.10", "0.05"]


def test_a_large_chart_of_a_long_run_is_drawn_within_a_frame():
    import time

    noisy = chart([(step * 7919 % 1000) / 1000 for step in range(4096)])
    draw(noisy, 200, 35)
    began = time.process_time()
    draw(noisy, 200, 35)
    assert time.process_time() - began < 0.2  # plotext's own way of joining dots takes 0.4
