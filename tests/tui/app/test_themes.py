"""Colours that can be read: contrast after WCAG 2.2 (1.4.3, 1.4.6), lightness apart."""

import pytest
from textual.color import Color

from cxr_tui.console.themes import THEMES


def luminance(color):
    def linear(value):
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(value) for value in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", ["background", "surface", "panel"])
def test_text_and_signs_stand_out_from_what_is_behind_them(theme, ground):
    behind = getattr(theme, ground)
    assert contrast(theme.foreground, behind) >= 7
    for name in ("primary", "secondary", "accent", "success", "warning", "error"):
        assert contrast(getattr(theme, name), behind) >= 3, name


def test_the_theme_of_high_contrast_has_it():
    theme = next(theme for theme in THEMES if theme.name == "high-contrast")
    assert contrast(theme.foreground, theme.background) == pytest.approx(21)
    for name in ("primary", "secondary", "accent", "success", "warning", "error"):
        assert contrast(getattr(theme, name), theme.background) >= 7, name


def test_there_are_five_themes_dark_and_light():
    assert len({theme.name for theme in THEMES}) == 5
    assert {theme.dark for theme in THEMES} == {True, False}
