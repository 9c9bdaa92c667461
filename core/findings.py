"""The vocabulary: the 14 findings and their other spellings, view positions, label states."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

FINDINGS: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""NIH ChestX-ray14's findings, in the order of Wang et al. 2017."""

NO_FINDING = "No Finding"
VIEW_POSITIONS: tuple[str, ...] = ("PA", "AP")

ABSENT, PRESENT = 0.0, 1.0
"""Label states; a third one, unknown, is NaN and is masked in the loss."""

_OTHER_SPELLINGS = {
    "infiltrate": "Infiltration",  # NIH's own box table
    "infiltrates": "Infiltration",
    "pleuralthickening": "Pleural_Thickening",
    "pleuraleffusion": "Effusion",
    "hiatalhernia": "Hernia",
    "oedema": "Edema",
    "cardiacenlargement": "Cardiomegaly",
}


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_BY_FOLDED = {_folded(finding): finding for finding in FINDINGS} | _OTHER_SPELLINGS


def canonical_finding(name: str) -> str | None:
    """NIH's spelling of a finding, or None where ``name`` is none of the 14.

    Case, blanks, underscores and hyphens don't matter: ``pleural thickening`` is
    ``Pleural_Thickening``; the box table's ``Infiltrate`` is ``Infiltration``.
    """
    return _BY_FOLDED.get(_folded(name))


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like this one; None where none is as like as ``cutoff``."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[nearest[0]] if nearest else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question such as ``Did you mean 'Mass'?``, or nothing where no known name is near."""
    nearest = nearest_name(name, known)
    return "" if nearest is None else f"Did you mean {nearest!r}?"


def finding_columns(findings: Sequence[str]) -> dict[str, int]:
    """Finding -> its column in an array whose last axis is ``findings``."""
    return {finding: column for column, finding in enumerate(findings)}
