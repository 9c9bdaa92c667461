"""A screen as a picture, cell by cell, with the colours that a terminal of fewer colours has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image, ImageDraw, ImageFont
from rich.color import Color, ColorSystem
from rich.style import Style
from rich.terminal_theme import TerminalTheme

CELL_PX = (8, 16)

XTERM = TerminalTheme(
    (0, 0, 0),
    (229, 229, 229),
    [
        *((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0)),
        *((0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229)),
    ],
    [
        *((127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0)),
        *((92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255)),
    ],
)
"""What xterm shows of its 16 colours."""

_BLOCKS = {"█": (0, 8), "▀": (0, 4), **{sign: (8 - n, 8) for n, sign in enumerate(" ▁▂▃▄▅▆▇") if n}}
"""Sign -> eighths from which and to which its cell is filled, from above."""

_LEFT = {sign: n for n, sign in enumerate(" ▏▎▍▌▋▊▉") if n}
"""Sign -> eighths of its cell that are filled, from the left."""


_DOTS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
"""Column and row of a Braille sign's dots, by its bits."""


def picture_of(app: Any, colours: ColorSystem, theme: TerminalTheme = XTERM) -> Image.Image:
    """The screen, dialogs over what is behind them."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    lines = [[part for strip in chops for part in strip] for chops in update.strips]
    across, down = CELL_PX
    image = Image.new("RGB", (app.size.width * across, app.size.height * down))
    draw = ImageDraw.Draw(image)
    for y, line in enumerate(lines):
        x = 0
        for segment in line:
            for sign in segment.text:
                _draw_cell(
                    draw, (x * across, y * down), sign, segment.style or Style(), colours, theme
                )
                x += 1
    return image


def sheet_of(
    rows: Sequence[Sequence[Image.Image]], heads: Sequence[str], width: int
) -> Image.Image:
    """Pictures in rows, each so wide, under heads."""
    first = rows[0][0]
    height = round(first.height * width / first.width)
    gap, top = 8, 20
    sheet = Image.new("RGB", (len(heads) * (width + gap), top + len(rows) * (height + gap)), "#555")
    draw = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        draw.text(
            (column * (width + gap) + 4, 2), head, "white", font=_font(bold=True, italic=False)
        )
    for row, pictures in enumerate(rows):
        for column, one in enumerate(pictures):
            small = one.resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * (width + gap), top + row * (height + gap)))
    return sheet


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    sign: str,
    style: Style,
    colours: ColorSystem,
    theme: TerminalTheme,
) -> None:
    ink = _shown(style.color, colours, theme, is_ink=True)
    paper = _shown(style.bgcolor, colours, theme, is_ink=False)
    if style.reverse:
        ink, paper = paper, ink
    if style.dim:
        ink = tuple((2 * one + other) // 3 for one, other in zip(ink, paper, strict=True))  # type: ignore[assignment]
    x, y = at
    across, down = CELL_PX
    draw.rectangle((x, y, x + across - 1, y + down - 1), fill=paper)
    if sign in _BLOCKS:
        start, end = (down * eighth // 8 for eighth in _BLOCKS[sign])
        draw.rectangle((x, y + start, x + across - 1, y + end - 1), fill=ink)
    elif sign in _LEFT:
        draw.rectangle((x, y, x + across * _LEFT[sign] // 8 - 1, y + down - 1), fill=ink)
    elif "\u2800" <= sign <= "\u28ff":  # eight dots, which fonts rarely have
        for bit, (column, row) in enumerate(_DOTS):
            if (ord(sign) - 0x2800) >> bit & 1:
                dot = (x + 1 + 4 * column, y + 1 + 4 * row)
                draw.rectangle((*dot, dot[0] + 1, dot[1] + 1), fill=ink)
    elif not sign.isspace():
        draw.text((x, y), sign, ink, font=_font(bold=bool(style.bold), italic=bool(style.italic)))
    if style.underline:
        draw.line((x, y + down - 2, x + across - 1, y + down - 2), fill=ink)


def _shown(
    colour: Color | None, colours: ColorSystem, theme: TerminalTheme, *, is_ink: bool
) -> tuple[int, int, int]:
    if colour is None:
        return tuple(theme.foreground_color if is_ink else theme.background_color)  # type: ignore[return-value]
    return tuple(colour.downgrade(colours).get_truecolor(theme, foreground=is_ink))  # type: ignore[return-value]


@lru_cache
def _font(*, bold: bool, italic: bool) -> ImageFont.FreeTypeFont:
    kind = {(True, True): "-BoldOblique", (True, False): "-Bold", (False, True): "-Oblique"}
    name = f"DejaVuSansMono{kind.get((bold, italic), '')}.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, 13)
