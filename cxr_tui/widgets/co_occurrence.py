"""Which findings come together: the share of one's images that have the other too."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.widgets import Static

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
_NAME_WIDTH = 14
_COUNT_WIDTH = 7
_CELL_WIDTH, _WIDE_CELL_WIDTH = 4, 5
_OFTEN, _SELDOM = 0.2, 0.05

Counts = Mapping[str, Mapping[str, int]]


class CoOccurrence(Static):
    """One row and one column a finding."""

    DEFAULT_CSS = """
    CoOccurrence { height: auto; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._counts: Counts = {}

    def show(self, counts: Counts) -> None:
        """Draw these counts from now on."""
        if counts != self._counts:
            self._counts = counts
            self._draw()

    def on_resize(self) -> None:
        """Columns get more room where there is more."""
        self._draw()

    def _draw(self) -> None:
        self.update(matrix_text(self._counts, self.size.width))


def matrix_text(counts: Counts, width: int) -> Text:
    """The matrix: of the images with the row's finding, the percentage with the column's too."""
    text = Text(no_wrap=True)
    if not counts:
        return text
    taken = _NAME_WIDTH + _COUNT_WIDTH
    roomy = width >= taken + _WIDE_CELL_WIDTH * len(counts)
    cell_width = _WIDE_CELL_WIDTH if roomy else _CELL_WIDTH
    text.append("Of the images with a row's finding, the % that has the column's too.\n", "dim")
    text.append(f"{'':<{_NAME_WIDTH}}{'images':>{_COUNT_WIDTH}}")
    text.append("".join(f"{_SHORT.get(name, name[:3]):>{cell_width}}" for name in counts), "bold")
    for name, together in counts.items():
        total = together[name]
        text.append(f"\n{name[:_NAME_WIDTH]:<{_NAME_WIDTH}}{total:>{_COUNT_WIDTH},}")
        for other, both in together.items():
            if other == name:
                text.append(f"{'·':>{cell_width}}", "dim")
                continue
            share = both / total if total else 0.0
            style = "bold reverse" if share >= _OFTEN else "dim" if share < _SELDOM else ""
            text.append(" " * (cell_width - 3))
            text.append(f"{100 * share:>3.0f}" if total else "  –", style)
    return text
