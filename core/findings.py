"""The vocabulary: findings and their other spellings, view positions, label states."""

from __future__ import annotations

import difflib
import re
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

OTHER_FINDINGS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Lung Opacity",
    "Lung Lesion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "Nodule or Mass",
    "Aortic Enlargement",
    "Calcification",
    "ILD",
    "Other Lesion",
    "COPD",
    "Lung Tumor",
    "Tuberculosis",
    *("Clavicle Fracture", "Rib Fracture", "Enlarged PA", "Lung Cavity", "Lung Cyst"),
    *("Mediastinal Shift", "Other Disease"),
)
"""Findings of other collections, spelled as by the first that published them. A wider word than
NIH's, such as ``Nodule or Mass``, is a finding of its own and is never merged with it."""

VOCABULARY: tuple[str, ...] = FINDINGS + OTHER_FINDINGS

NO_FINDING = "No Finding"
VIEW_POSITIONS: tuple[str, ...] = ("PA", "AP")
VIEW_CLASSES: tuple[str, ...] = (
    *VIEW_POSITIONS,
    *("frontal", "lateral", "oblique", "decubitus", "other", "unknown"),
)
"""``frontal`` is PA or AP, not said which; ``decubitus`` is lying on a side."""

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
    "enlargedheart": "Cardiomegaly",
    "heartenlargement": "Cardiomegaly",
    "pulmonaryedema": "Edema",
    "pulmonaryfibrosis": "Fibrosis",
    "airspaceopacity": "Lung Opacity",  # the experts, MIMIC's test table, CheXlocalize
    "enlargedcardiom": "Enlarged Cardiomediastinum",
    "nodulemass": "Nodule or Mass",
    "interstitiallungdisease": "ILD",
    "lungtumour": "Lung Tumor",
    "otherdiseases": "Other Disease",
}


# The same words in German, Spanish and French tables; wider or narrower ones are left to the table.
_TRANSLATIONS = {
    "Atelectasis": ("Atelektase", "Atelektasen", "Atelectasia", "Atélectasie"),
    "Cardiomegaly": ("Kardiomegalie", "Cardiomegalia", "Cardiomégalie"),
    "Effusion": ("Erguss", "Pleuraerguss", "Derrame pleural", "Épanchement pleural"),
    "Infiltration": ("Infiltrat", "Infiltrado", "Infiltración"),
    "Mass": ("Masa", "Masse"),
    "Nodule": ("Rundherd", "Nódulo", "Nodulo"),
    "Pneumonia": ("Pneumonie", "Neumonía", "Neumonia"),
    "Pneumothorax": ("Neumotórax", "Neumotorax"),
    "Consolidation": ("Konsolidierung", "Konsolidation", "Consolidación", "Consolidacion"),
    "Edema": ("Ödem", "Lungenödem", "Edema pulmonar", "Œdème"),
    "Emphysema": ("Emphysem", "Enfisema", "Emphysème"),
    "Fibrosis": ("Fibrose", "Lungenfibrose"),
    "Fracture": ("Fraktur", "Fractura"),
}


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


_BY_FOLDED = {
    **{_folded(word): finding for finding, words in _TRANSLATIONS.items() for word in words},
    **{_folded(finding): finding for finding in VOCABULARY},
    **_OTHER_SPELLINGS,
}
_NO_FINDING_FOLDED = frozenset({"nofinding", "normal"})


def canonical_finding(name: str) -> str | None:
    """The vocabulary's spelling of a finding, or None if ``name`` isn't in it.

    NIH's for its 14. Case, blanks, underscores and hyphens don't matter: ``pleural thickening`` is
    ``Pleural_Thickening``; the box table's ``Infiltrate`` is ``Infiltration``.
    """
    return _BY_FOLDED.get(_folded(name))


_OWN_NAME = re.compile(r"[^\W_][\w /().+&-]{0,79}")
_PREFIXES = ("prob_", "label_", "call_")


def may_be_finding(name: str) -> bool:
    """Whether a table's own name can name a finding: predictions have columns such as
    ``prob_<Finding>``."""
    return bool(_OWN_NAME.fullmatch(name)) and not name.casefold().startswith(_PREFIXES)


def is_no_finding(name: str) -> bool:
    """Whether this is a spelling of ``No Finding``."""
    return _folded(name) in _NO_FINDING_FOLDED


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The most similar known name; None if none reaches the similarity ``cutoff``."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[nearest[0]] if nearest else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question such as ``Did you mean 'Mass'?``, or '' if no known name is similar."""
    nearest = nearest_name(name, known)
    return "" if nearest is None else f"Did you mean {nearest!r}?"


def finding_columns(findings: Sequence[str]) -> dict[str, int]:
    """Finding -> its column in an array whose last axis is ``findings``."""
    return {finding: column for column, finding in enumerate(findings)}
