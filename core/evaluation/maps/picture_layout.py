"""Composed pictures: side by side, with words, a colour scale, as a sheet; imports no torch."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from core.evaluation.maps.overlay import Colours, Grey, blended

SHEET_MOST = 64
TILE_PX, TILE_LETTER_PX = 400, 13
_SHEET_COLUMNS = 4
_BACKGROUND, _INK = (15, 18, 22), (225, 230, 235)
_MIDDLE_GREY = 110


def resized(grey_HW: Grey, size: tuple[int, int]) -> Grey:
    """The image at a width and height, resampled smoothly."""
    if size == grey_HW.shape[::-1]:
        return grey_HW
    return np.asarray(Image.fromarray(grey_HW).resize(size, Image.Resampling.BICUBIC))


def tile(picture_HW3: Colours, lines: Sequence[str]) -> Colours:
    """A picture of at most ``TILE_PX`` a side with words below; all tiles are equally wide."""
    square = np.full((TILE_PX, TILE_PX, 3), _BACKGROUND, dtype=np.uint8)
    height, width = picture_HW3.shape[:2]
    top, left = (TILE_PX - height) // 2, (TILE_PX - width) // 2
    square[top : top + height, left : left + width] = picture_HW3
    return np.concatenate([square, words_strip(lines, TILE_PX, TILE_LETTER_PX)], axis=0)


def sheet(
    groups: Sequence[tuple[str, Sequence[Colours]]], *, title: str = "", with_scale: bool = False
) -> Colours:
    """Tiles of one size in rows, below their group's heading where it has one.

    Args:
        title: a line above all.
        with_scale: the maps' colours beside the first row.
    """
    columns = min(_SHEET_COLUMNS, max(len(tiles) for _, tiles in groups))
    rows: list[Colours] = []
    for heading, tiles in groups:
        blank = np.full_like(tiles[0], _BACKGROUND)
        filled = [*tiles, *[blank] * (-len(tiles) % columns)]
        starts = range(0, len(filled), columns)
        added = [beside(filled[start : start + columns], TILE_LETTER_PX) for start in starts]
        if heading:
            rows.append(words_strip([heading], added[0].shape[1], TILE_LETTER_PX + 3))
        rows += added
    if with_scale:
        bar = scale_bar(TILE_PX, TILE_LETTER_PX)
        bars = [np.full_like(bar, _BACKGROUND, shape=(len(row), *bar.shape[1:])) for row in rows]
        bars[0][: len(bar)] = bar
        pairs = zip(rows, bars, strict=True)
        rows = [beside([row, below], TILE_LETTER_PX) for row, below in pairs]
    if title:
        rows.insert(0, words_strip([title], rows[0].shape[1], TILE_LETTER_PX + 7))
    return framed(rows, TILE_LETTER_PX)


def png_bytes(picture: Colours, parameters: Mapping[str, object]) -> bytes:
    """A PNG with its parameters in its text chunks: each alone, and all as JSON."""
    chunks = PngInfo()
    chunks.add_itxt("cxr-tui", json.dumps(parameters, ensure_ascii=False))
    for name, value in parameters.items():
        chunks.add_itxt(name, str(value))
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "PNG", pnginfo=chunks)
    return encoded.getvalue()


def scale_bar(
    height_px: int, letter_px: int, *, opacity: float = 0.6, threshold: float = 0.0
) -> Colours:
    """The map's colours as they look on a middle grey, from none to the map's peak."""
    font = _font(letter_px)
    bar_px, gap_px, words_px = round(1.4 * letter_px), letter_px // 2, math.ceil(1.4 * letter_px)
    marks = {0.0: "0", 0.5: "0.5", 1.0: "1"}
    if threshold:
        marks = {share: text for share, text in marks.items() if abs(share - threshold) > 0.04}
        marks[threshold] = f"{threshold:.2g}"
    label_px = math.ceil(max(font.getlength(text) for text in marks.values()))
    width_px = bar_px + 3 * gap_px + label_px + words_px
    image = Image.new("RGB", (width_px, height_px), _BACKGROUND)
    strength = np.linspace(1, 0, height_px)[:, None].repeat(bar_px, axis=1)
    grey = np.full(strength.shape, _MIDDLE_GREY, dtype=np.uint8)
    image.paste(Image.fromarray(blended(grey, strength, opacity=opacity, threshold=threshold)))
    drawing = ImageDraw.Draw(image)
    for share, text in marks.items():
        y = (1 - share) * (height_px - 1)
        drawing.line([bar_px, y, bar_px + gap_px, y], fill=_INK, width=max(1, letter_px // 12))
        anchor = {0.0: "ls", 1.0: "lt"}.get(share, "lm")
        drawing.text((bar_px + 2 * gap_px, y), text, fill=_INK, font=font, anchor=anchor)
    words = Image.new("RGB", (height_px, words_px), _BACKGROUND)
    middle = (height_px / 2, words_px / 2)
    words_of = "share of the map's peak"
    ImageDraw.Draw(words).text(middle, words_of, fill=_INK, font=font, anchor="mm")
    image.paste(words.rotate(90, expand=True), (width_px - words_px, 0))
    return np.asarray(image)


def beside(parts: Sequence[Colours], gap_px: int) -> Colours:
    """Pictures of one height in a row."""
    gap = np.full((len(parts[0]), gap_px, 3), _BACKGROUND, dtype=np.uint8)
    row = [piece for part in parts for piece in (part, gap)]
    return np.concatenate(row[:-1], axis=1)


def framed(parts: Sequence[Colours], margin_px: int) -> Colours:
    """Pictures of equal width, one above the other, with margins between and around them."""
    width = parts[0].shape[1]
    gap = np.full((margin_px, width, 3), _BACKGROUND, dtype=np.uint8)
    inner = np.concatenate([gap, *(piece for part in parts for piece in (part, gap))], axis=0)
    whole = np.full((len(inner), width + 2 * margin_px, 3), _BACKGROUND, dtype=np.uint8)
    whole[:, margin_px:-margin_px] = inner
    return whole


def words_strip(lines: Sequence[str], width_px: int, letter_px: int) -> Colours:
    """Lines of text on the background; in smaller letters if they would not fit."""
    height_px = round(1.45 * letter_px) * len(lines) + letter_px // 2
    strip = Image.new("RGB", (width_px, height_px), _BACKGROUND)
    drawing = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        size = letter_px
        while size > 7 and _font(size).getlength(line) > width_px:
            size -= 1
        place = (0, round((number + 1) * 1.45 * letter_px))
        drawing.text(place, line, fill=_INK, font=_font(size), anchor="ls")
    return np.asarray(strip)


@cache
def _font(letter_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(letter_px)
