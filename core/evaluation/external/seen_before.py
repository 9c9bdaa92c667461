"""Images and patients of another data set that the network was trained on, or may have been.

Patients are compared where their numbers mean the same people in both sets; images by the bytes of
their files, by their pixels at the network's size, and by the names of NIH's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from core.data.study.together import IMAGES_OF_NIH, OF_NIH, number_together, patient_space
from core.errors import DataError
from core.evaluation.external.external_data import ExternalData
from core.evaluation.external.own_side import OwnSide
from core.model.provenance import (
    FRESH,
    NIH_RANDOM_SPLIT,
    ON_IMAGENET,
    OWN,
    PHANTOM,
    UNKNOWN,
    XRV_NIH,
    XRV_OTHER,
    Provenance,
)

NONE, POSSIBLE, NAMED = "none", "possible", "named"
_LEVELS = (NONE, POSSIBLE, NAMED)

_NIH_NAME = re.compile(r"\d{8}_\d{3}\.png")
_XRV_NAMES = {"chexpert": "chex", "mimic-cxr": "mimic", "padchest": "pc", "rsna": "rsna"}
_PUBLIC = frozenset({OF_NIH, "chexpert", "mimic-cxr", "padchest"})
"""Collections whose patient numbers mean nobody elsewhere."""
_EXAMPLES = 5


@dataclass(frozen=True)
class Seen:
    """What of a data set the network has seen.

    Attributes:
        level: ``none``, ``possible`` (some may be, it is unknown which) or ``named``.
        messages: for display, a sentence or two each.
        patients, images: known to have been seen.
    """

    level: str = NONE
    messages: tuple[str, ...] = ()
    patients: int = 0
    images: int = 0

    def __or__(self, other: Seen) -> Seen:
        return Seen(
            max(self.level, other.level, key=_LEVELS.index),
            tuple(dict.fromkeys((*self.messages, *other.messages))),
            max(self.patients, other.patients),
            max(self.images, other.images),
        )

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "level": self.level,
            "patients": self.patients,
            "images": self.images,
            "messages": list(self.messages),
        }


def refuse_seen(seen: Seen, data: ExternalData) -> None:
    """Raises DataError if anything was, or may have been, trained on."""
    if seen.level == NONE:
        return
    raise DataError(
        " ".join(seen.messages),
        where=data.study.sources.images or data.study.sources.labels,
        why="A network recognises what it was trained on, so its figures there are too good.",
        remedy="Score another data set, or a part without them (--part); --insist scores them all "
        "the same and marks the figures.",
    )


def patients_seen_before(provenance: Provenance, own: OwnSide, data: ExternalData) -> Seen:
    """By whom the weights were trained on, at each stage, and by what the data sets are made of."""
    seen = _images_of_nih(own, data)
    stage: Provenance | None = provenance
    is_last = True
    while stage is not None:
        seen |= _seen_by(stage, own if is_last else None, data)
        stage, is_last = stage.started_from, False
    return seen


def names_seen_before(trained: Iterable[str], data: ExternalData) -> Seen:
    """Images of NIH, by the names that its files have in every copy of it."""
    known = {base for name in trained if _NIH_NAME.fullmatch(base := PurePosixPath(name).name)}
    bases = (PurePosixPath(str(name)).name for name in data.index.images[data.rows_N])
    return images_seen((base for base in bases if base in known), data, "have names of images")


def images_seen(shared: Iterable[str], data: ExternalData, how: str) -> Seen:
    """These images are among those that the session was trained on."""
    names = sorted(set(shared))
    if not names:
        return Seen()
    listed = ", ".join(names[:_EXAMPLES]) + (", …" if len(names) > _EXAMPLES else "")
    return Seen(
        NAMED,
        (
            f"{len(names):,} of {len(data.rows_N):,} images {how} that the session was trained on "
            f"({listed}).",
        ),
        images=len(names),
    )


def _seen_by(stage: Provenance, own: OwnSide | None, data: ExternalData) -> Seen:
    if stage.kind in (FRESH, ON_IMAGENET):
        return Seen()
    kind, space = data.index.table.kind, data.study.patients_known_as
    if stage.kind == OWN:
        return _seen_by_session(stage, own, data)
    is_nihs = kind in IMAGES_OF_NIH or space == OF_NIH
    if stage.kind in (NIH_RANDOM_SPLIT, XRV_NIH) and is_nihs:
        return _perhaps(f"The weights it started from ({stage.text}) were trained on NIH's images")
    if stage.kind in (XRV_NIH, XRV_OTHER):
        name = _XRV_NAMES.get(kind)
        if name and (name in re.split(r"[ ,]+", stage.text) or "doesn't say" in stage.text):
            return _perhaps(f"The weights it started from are of {stage.text}")
    if stage.kind == UNKNOWN and space != PHANTOM:
        return _unknown(f"the weights it started from ({stage.text}) were")
    return Seen()


def _perhaps(what: str) -> Seen:
    return Seen(POSSIBLE, (f"{what}; which of these they include is unknown.",))


def _unknown(what: str) -> Seen:
    return Seen(
        POSSIBLE, (f"Whom {what} trained on is unknown; these patients may be among them.",)
    )


def _seen_by_session(stage: Provenance, own: OwnSide | None, data: ExternalData) -> Seen:
    """Patients by their numbers; synthetic patients have the same in every set."""
    table, space = data.index.table, data.study.patients_known_as
    if PHANTOM in (space, stage.dataset) or not table.patients_are_known:
        return Seen()
    spaces = {stage.dataset, *_spaces_of(own)}
    is_same = space in spaces
    if not is_same and (space in _PUBLIC or spaces & _PUBLIC):
        return Seen()
    patients = {int(number) for number in table.patients_N[data.rows_N]}
    numbers = {number: number for number in patients}
    if is_same and space != OF_NIH:  # as they were numbered among several data sets
        numbers |= {number_together(space, table.patient_text(one)): one for one in patients}
    trained = stage.trained_patients
    if trained is None:
        return _unknown(f"{stage.text} was") if is_same else Seen()
    shared = trained & numbers.keys() if isinstance(trained, frozenset) else trained.among(numbers)
    if shared is None:
        if not is_same:
            return Seen()
        return Seen(
            POSSIBLE,
            (
                f"The patients that {stage.text} was trained on can't be recognised without its "
                "key, patients.key, and both data sets are of the same patients.",
            ),
        )
    found = {numbers[number] for number in shared}
    if not found:
        return Seen()
    listed = ", ".join(table.patient_text(one) for one in sorted(found)[:_EXAMPLES])
    listed += ", …" if len(found) > _EXAMPLES else ""
    count = f"{len(found):,} of {len(patients):,} patients"
    if is_same:
        message = f"{count} are among those that {stage.text} was trained on ({listed})."
        return Seen(NAMED, (message,), patients=len(found))
    return Seen(
        POSSIBLE,
        (
            f"{count} have the same numbers as patients that {stage.text} was trained on "
            f"({listed}): if both data sets are of one hospital, they are the same people.",
        ),
    )


def _spaces_of(own: OwnSide | None) -> Iterator[str]:
    """Whose patients a session's data sets are of."""
    for table in () if own is None else own.tables():
        if space := patient_space(table):
            yield space


def _images_of_nih(own: OwnSide, data: ExternalData) -> Seen:
    """Collections made of NIH's images, of patients who are not known on one side."""
    table = data.index.table
    if table.kind not in IMAGES_OF_NIH or PHANTOM in (own.known_as, data.study.patients_known_as):
        return Seen()
    of_nih = [one for one in own.tables() if one.kind in IMAGES_OF_NIH]
    known = all(patient_space(one) == OF_NIH for one in (*of_nih, table))
    if known or not (of_nih or own.kind in IMAGES_OF_NIH):
        return Seen()
    return Seen(
        POSSIBLE,
        (
            f"The images of {table.version} are NIH's, and so are those that the session was "
            "trained on; which patients they share is not known.",
        ),
    )
