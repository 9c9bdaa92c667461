"""Colours: a dark and a light theme, safe for colour-blind eyes (after Okabe and Ito 2008)."""

from __future__ import annotations

from textual.theme import Theme

# Okabe and Ito's palette: hues that people with any of the common colour-blindnesses tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
SKY, VERMILION, YELLOW = "#56B4E9", "#D55E00", "#F0E442"

DARK = Theme(
    name="reading-room",
    primary=SKY,
    secondary=ORANGE,
    accent=YELLOW,
    success=GREEN,
    warning=ORANGE,
    error=VERMILION,
    foreground="#D8DEE4",
    background="#0F1216",
    surface="#161B20",
    panel="#1E252C",
    dark=True,
)
LIGHT = Theme(
    name="light-box",
    primary=BLUE,
    secondary=VERMILION,
    accent=BLUE,
    success="#00664B",
    warning="#8A5A00",
    error="#A03E00",
    foreground="#1B1F23",
    background="#FAFAF7",
    surface="#F1F1EC",
    panel="#E4E4DD",
    dark=False,
)
THEMES = (DARK, LIGHT)
