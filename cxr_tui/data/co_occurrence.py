"""Which findings occur together: the share of one's images that also have the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.widgets import Static

from cxr_tui.terminal.safe_text import shortened, visible

_SHORT = {
    "Atelectasis": "Ate",
    "Cardiomegaly": "Car",
    "Effusion": "Eff",
    "Infiltration": "Inf",
    "Mass": "Mas",
    "Nodule": "Nod",
    "Pneumonia": "Pna",
    "Pneumothorax": "Ptx",
    "Consolidation": "Con",
    "Edema": "Ede",
    "Emphysema": "Emp",
    "Fibrosis": "Fib",
    "Pleural_Thickening": "Plt",
    "Hernia": "Her",
}
_NAME_WIDTH, _LONGEST_NAME = 14, 30
_COUNT_WIDTH = 7
_CELL_WIDTH, _WIDE_CELL_WIDTH = 4, 5
_OFTEN, _SELDOM = 0.2, 0.05

Counts = Mapping[str, Mapping[str, int]]


class CoOccurrence(Static):
    """One row and one column per finding."""

    DEFAULT_CSS = """
    CoOccurrence { height: auto; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._counts: Counts = {}

    def show(self, counts: Counts) -> None:
        """Draw these counts."""
        if counts != self._counts:
            self._counts = counts
            self._draw()

    def on_resize(self) -> None:
        """Widen the columns if there is space."""
        self._draw()

    def _draw(self) -> None:
        self.update(matrix_text(self._counts, self.size.width))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Three letters for each: NIH's by convention, others from their words, all distinct."""
    heads: dict[str, str] = {}
    for name in names:
        first, *others = re.findall(r"[^\W_]+", name) or ["?"]
        by_words = f"{first[0]}{others[0][:2]}" if others else first[:3]
        tries = [_SHORT.get(name, by_words), *(f"{first[:2]}{number}" for number in range(2, 10))]
        heads[name] = next((head for head in tries if head not in heads.values()), "…")
    return heads


def matrix_text(counts: Counts, width: int) -> Text:
    """The matrix: percentage of the images with the row's finding that also have the column's."""
    text = Text(no_wrap=True)
    if not counts:
        return text
    names = {name: visible(name) for name in counts}
    longest = min(_LONGEST_NAME, max(len(shown) for shown in names.values()) + 1)
    room = width - _COUNT_WIDTH - len(counts) * _CELL_WIDTH
    name_width = max(_NAME_WIDTH, min(longest, room))
    roomy = width >= name_width + _COUNT_WIDTH + _WIDE_CELL_WIDTH * len(counts)
    cell_width = _WIDE_CELL_WIDTH if roomy else _CELL_WIDTH
    heads = short_names(list(counts))
    text.append("Of the images with a row's finding, the % that also has the column's.\n", "dim")
    text.append(f"{'':<{name_width}}{'images':>{_COUNT_WIDTH}}")
    text.append("".join(f"{heads[name]:>{cell_width}}" for name in counts), "bold")
    for name, together in counts.items():
        total = together[name]
        shown = shortened(names[name], name_width - 1)
        text.append(f"\n{shown:<{name_width}}{total:>{_COUNT_WIDTH},}")
        for other, both in together.items():
            if other == name:
                text.append(f"{'·':>{cell_width}}", "dim")
                continue
            share = both / total if total else 0.0
            style = "bold reverse" if share >= _OFTEN else "dim" if share < _SELDOM else ""
            text.append(" " * (cell_width - 3))
            text.append(f"{100 * share:>3.0f}" if total else "  –", style)
    return text
