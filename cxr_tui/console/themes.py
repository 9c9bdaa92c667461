"""Three dark and two light themes, one of high contrast, colour-blind safe (Okabe and Ito 2008)."""

from __future__ import annotations

from textual.theme import Theme

# Okabe and Ito's palette: distinguishable with all common kinds of colour blindness.
ORANGE, GREEN = "#E69F00", "#009E73"
DEEP_BLUE = "#004F9A"
"""White letters stand out from it in a terminal of 16 colours too; the palette's turns to cyan."""
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
    # Of so little colour that a terminal of 256 shows greys: others turn to black or navy.
    background="#111316",
    surface="#171A1E",
    panel="#20252A",
    dark=True,
)
LIGHT = Theme(
    name="light-box",
    primary=DEEP_BLUE,
    secondary=VERMILION,
    accent=DEEP_BLUE,
    success="#00664B",
    warning="#8A5A00",
    error="#A03E00",
    foreground="#1B1F23",
    background="#FAFAF7",
    surface="#F1F1EC",
    panel="#E4E4DD",
    dark=False,
)
CONTRAST = Theme(
    name="high-contrast",
    primary="#7FD4FF",
    secondary="#FFC233",
    accent="#FFF36B",
    success="#3DE6B0",
    warning="#FFC233",
    error="#FF8A4C",
    foreground="#FFFFFF",
    background="#000000",
    surface="#000000",
    panel="#1A1A1A",
    dark=True,
)
NIGHT = Theme(
    name="night-shift",
    primary="#C9A26B",
    secondary="#8FA9C4",
    accent="#D9B36C",
    success="#6FAE8C",
    warning="#D9A441",
    error="#DB7E55",
    foreground="#B9AFA3",
    background="#15110E",
    surface="#1B1613",
    panel="#241E19",
    dark=True,
)
PAPER = Theme(
    name="paper",
    primary="#24537A",
    secondary="#8F3F1F",
    accent="#24537A",
    success="#2F5D3A",
    warning="#7A5200",
    error="#96331A",
    foreground="#2B2620",
    background="#F4ECDD",
    surface="#F0EBDA",
    panel="#E0D4BE",
    dark=False,
)
THEMES = (DARK, LIGHT, CONTRAST, NIGHT, PAPER)
