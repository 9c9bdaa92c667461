"""The rule from stored values to 8-bit grey: part of what a network's pixels mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.recipe import ImageSettings

WINDOW, RANGE, PERCENTILES = "window", "range", "percentiles"
GREYS = (WINDOW, RANGE, PERCENTILES)


@dataclass(frozen=True)
class GreyRule:
    """How values become grey; images of 8 bits that aren't DICOM are only equalised.

    Attributes:
        grey: ``window``: a DICOM's VOI table or first window, else its whole range; 16-bit PNG and
            TIFF by their depth. ``range``: minimum to maximum. ``percentiles``: the 0.5th to the
            99.5th percentile, what lies outside is clipped.
        equalize: whether the histogram of the 8-bit image is equalised.
    """

    grey: str = WINDOW
    equalize: bool = False

    def __post_init__(self) -> None:
        if self.grey not in GREYS:
            raise ValueError(f"grey must be one of {GREYS}, got {self.grey!r}")

    @staticmethod
    def of(settings: ImageSettings) -> GreyRule:
        """The rule of a recipe."""
        return GreyRule(settings.grey, settings.equalize)

    @property
    def as_settings(self) -> str:
        """The recipe's keys that give this rule."""
        return f"image.grey={self.grey} image.equalize={str(self.equalize).lower()}"

    @property
    def in_words(self) -> str:
        """Such as ``percentiles, equalised``."""
        return f"{self.grey}, equalised" if self.equalize else self.grey

    @property
    def suffix(self) -> str:
        """What a cache's folder name says of it; nothing by default."""
        return ("" if self.grey == WINDOW else f"-{self.grey}") + "-equalized" * self.equalize

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` reads; empty by default."""
        return {} if self == DEFAULT else {"grey": self.grey, "equalize": self.equalize}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> GreyRule:
        """Read a JSON object; keys that are missing have their defaults.

        Raises:
            ValueError: a value is not one of the rule's.
        """
        equalize = value.get("equalize", False)
        if not isinstance(equalize, bool):
            raise ValueError(f"equalize must be true or false, got {equalize!r}")
        return GreyRule(str(value.get("grey", WINDOW)), equalize)


DEFAULT = GreyRule()
"""What every image had before there was a choice."""
