"""Pictures by terminal graphics: Kitty's protocol or Sixel, only on request.

Neither is probed for: a terminal without them shows the sequence as text at worst. Kitty:
sw.kovidgoyal.net/kitty/graphics-protocol; Sixel: DEC VT330/VT340 Programmer Reference, chapter 14.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from core.evaluation.maps.overlay import Colours

KITTY, SIXEL = "kitty", "sixel"

_CHUNK = 4096
_COLOURS = 128
_BAND_PX = 6


def graphics(picture_HW3: Colours, protocol: str, environment: Mapping[str, str]) -> str:
    """The sequence to write to the terminal; wrapped for tmux if the program runs in it."""
    if protocol == SIXEL:
        return _sixel(picture_HW3)  # tmux 3.4 and newer handles it itself
    return "".join(
        _through_tmux(part) if "TMUX" in environment else part for part in _kitty(picture_HW3)
    )


def _kitty(picture_HW3: Colours) -> list[str]:
    encoded = io.BytesIO()
    Image.fromarray(picture_HW3).save(encoded, "PNG")
    text = base64.standard_b64encode(encoded.getvalue()).decode()
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    parts = []
    for place, chunk in enumerate(chunks):
        more = int(place < len(chunks) - 1)
        keys = f"a=T,f=100,q=2,m={more}" if place == 0 else f"m={more}"
        parts.append(f"\x1b_G{keys};{chunk}\x1b\\")
    return parts


def _through_tmux(sequence: str) -> str:
    """Wrap a sequence for tmux to pass through (with allow-passthrough on)."""
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\"


def _sixel(picture_HW3: Colours) -> str:
    quantised = Image.fromarray(picture_HW3).quantize(_COLOURS)
    palette = np.array(quantised.getpalette() or [], dtype=np.int64).reshape(-1, 3)
    indices_HW = np.asarray(quantised)
    height, width = indices_HW.shape
    parts = [f'\x1bP0;1q"1;1;{width};{height}']
    used = np.unique(indices_HW)
    for index in used.tolist():
        red, green, blue = (palette[index] * 100 // 255).tolist()
        parts.append(f"#{index};2;{red};{green};{blue}")
    for top in range(0, height, _BAND_PX):
        band = indices_HW[top : top + _BAND_PX]
        rows = [_band_row(band, index) for index in np.unique(band).tolist()]
        parts.append("$".join(rows) + "-")
    parts.append("\x1b\\")
    return "".join(parts)


def _band_row(band_hW: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], index: int) -> str:
    """One colour of a band of six pixel rows: one character per column, run-length encoded."""
    bits = 1 << np.arange(len(band_hW))
    signs_W = 63 + ((band_hW == index) * bits[:, None]).sum(axis=0)
    ends = np.flatnonzero(np.diff(signs_W)) + 1
    starts = np.concatenate([[0], ends])
    lengths = np.diff(np.concatenate([starts, [len(signs_W)]]))
    runs = (
        f"!{length}{chr(sign)}" if length > 3 else chr(sign) * length
        for sign, length in zip(signs_W[starts].tolist(), lengths.tolist(), strict=True)
    )
    return f"#{index}" + "".join(runs)
