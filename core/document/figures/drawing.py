"""One style for all charts, and a figure as an SVG element that asks for nothing from outside."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 7.2
"""The text width of a printed page."""

INK, FAINT, GRID = "#1f2933", "#6b7785", "#e3e8ee"
BLUE, ORANGE, GREEN, RED = "#1f5f99", "#c8641b", "#2f7d5b", "#a8324a"
PALETTE = (
    *("#1f5f99", "#c8641b", "#2f7d5b", "#a8324a", "#6a51a3", "#8c6d1f", "#2b8a9d"),
    *("#d0699a", "#56606b", "#7aa63c", "#b08ad1", "#e0a030", "#5b8def", "#8a4b2a"),
)
"""Of findings; 14 of them can be told apart with their names beside them."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, to search and to copy
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "path.simplify": True,
}
_ID = re.compile(r'(\bid="|href="#|url\(#)')


def styled() -> AbstractContextManager[None]:
    """The charts' style, for as long as one is drawn."""
    from matplotlib import rc_context

    return rc_context(_STYLE)  # type: ignore[arg-type]  # its stubs know names, not texts


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure of the page's width."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def svg_of(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        name: part of every id in it, so that no two charts of a page share one.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    written = io.StringIO()
    nobody = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # Text stays text: the reader's font draws it, whatever ours lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        FigureCanvasSVG(figure)  # its text is measured as it will be drawn
        _lay_out(figure)
        figure.savefig(written, format="svg", metadata=nobody, transparent=True)
    text = written.getvalue()
    element = text[text.index("<svg") :]
    return _ID.sub(rf"\g<1>{name}-", element)


def _lay_out(figure: Figure) -> None:
    """Lay the figure out once: ``savefig`` alone does it twice, and draws it twice."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # "none" leaves a placeholder, which also draws twice


def unit_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Both axes from 0 to 1, square."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_aspect("equal")
    if title:
        axes.set_title(title)
