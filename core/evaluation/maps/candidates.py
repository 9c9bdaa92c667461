"""Which images are worth a map: first those with a box to compare with, then by outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.errors import UsageError
from core.evaluation.maps.map_geometry import Floats
from core.evaluation.maps.map_source import MapSource
from core.findings import PRESENT, canonical_finding, did_you_mean

Kind = Literal[
    "boxed",
    "true positive",
    "false negative",
    "false positive",
    "true negative",
    "seen in training",
    "unlabelled",
]

_CALLED_FROM = 0.5
"""Threshold used if no operating point was chosen on val."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One finding in one image.

    Attributes:
        label: 1, 0 or NaN.
        probability: from test.csv; None if the image was not scored.
        boxes_K4: x, y, w, h in the box table's pixels; K is 0 if there are none.
        outcome: the network's outcome; None without a prediction or label.
        seen: whether the image was in the train or val part, so that its map proves nothing.
    """

    image: str
    patient: int
    finding: str
    label: float
    probability: float | None
    boxes_K4: Floats
    kind: Kind
    outcome: Kind | None = None
    seen: bool = False

    @property
    def has_boxes(self) -> bool:
        """Whether there is a box to compare the map with."""
        return len(self.boxes_K4) > 0


def known_finding(source: MapSource, name: str) -> str:
    """The finding as the network names it.

    Raises:
        UsageError: there is no such finding, or the network was not trained on it.
    """
    finding = canonical_finding(name)
    if finding in source.model.findings:
        return str(finding)
    known = ", ".join(source.model.findings)
    raise UsageError(
        f"this network was not trained on {name!r}",
        where="--finding",
        why="It has no output for it, so there is no map.",
        remedy=did_you_mean(name, source.model.findings) or f"It knows {known}.",
    )


def boxed(source: MapSource, finding: str) -> list[Candidate]:
    """Every image of the test part that has a box of the finding, by name."""
    return _with_boxes(source, finding, ("test",))


def boxed_in_training(source: MapSource, finding: str) -> list[Candidate]:
    """Those of the train and val parts: marked, and excluded from all figures."""
    return _with_boxes(source, finding, ("train", "val"))


def draw(source: MapSource, finding: str, count: int, seed: int) -> list[Candidate]:
    """``count`` images of the finding, the same for the same seed.

    Boxed ones first; then true positives of the test part, then missed positives; if that is not
    enough, boxed images that the network has seen in training.
    """
    rng = np.random.default_rng([seed, source.model.findings.index(finding)])
    first = boxed(source, finding)
    with_boxes = {candidate.image for candidate in first}
    positives = [
        candidate
        for candidate in outcomes(source, finding)
        if candidate.kind in ("true positive", "false negative")
        and candidate.image not in with_boxes
    ]
    groups = (
        first,
        [candidate for candidate in positives if candidate.kind == "true positive"],
        [candidate for candidate in positives if candidate.kind == "false negative"],
        boxed_in_training(source, finding),
    )
    drawn: list[Candidate] = []
    for group in groups:
        drawn += [group[place] for place in rng.permutation(len(group))]
    return drawn[:count]


def candidate_of(source: MapSource, image: str, finding: str) -> Candidate | None:
    """That image, whatever its outcome; None if it is gone or was not scored."""
    if image not in source.part_of:
        return None
    score = _scores(source, finding).get(image)
    with_boxes = _images_with_boxes(source, finding)
    one = _candidate(source, image, finding, score, "seen in training", with_boxes)
    if one.seen:
        return one
    if score is None:
        return None
    return replace(one, kind="boxed" if one.has_boxes else one.outcome or "true negative")


def outcomes(source: MapSource, finding: str) -> list[Candidate]:
    """Images of the test part by outcome, true negatives left out.

    The most certain first within each kind: of false positives the highest probability, of false
    negatives the lowest.
    """
    predictions = source.predictions
    if predictions is None:
        return []
    column = predictions.findings.index(finding)
    threshold = source.thresholds.get(finding, _CALLED_FROM)
    with_boxes = _images_with_boxes(source, finding)
    found = []
    for image, label, score in zip(
        predictions.images.tolist(),
        predictions.labels_NF[:, column].tolist(),
        predictions.scores_NF[:, column].tolist(),
        strict=True,
    ):
        if image not in source.row_of or np.isnan(label):
            continue
        is_called, is_present = score >= threshold, label == PRESENT
        if is_called or is_present:
            kind = _outcome(is_called, is_present)
            found.append(_candidate(source, image, finding, score, kind, with_boxes))
    return sorted(found, key=_sureness, reverse=True)


def _outcome(is_called: bool, is_present: bool) -> Kind:
    if is_called:
        return "true positive" if is_present else "false positive"
    return "false negative"


def _sureness(candidate: Candidate) -> float:
    probability = candidate.probability or 0.0
    return -probability if candidate.kind == "false negative" else probability


def _with_boxes(source: MapSource, finding: str, parts: Sequence[str]) -> list[Candidate]:
    boxes = source.boxes
    if boxes is None:
        return []
    images = _images_with_boxes(source, finding)
    scores = _scores(source, finding)
    kind: Kind = "boxed" if "test" in parts else "seen in training"
    return [
        _candidate(source, image, finding, scores.get(image), kind, images)
        for image in sorted(images)
        if source.part_of.get(image) in parts
    ]


def _images_with_boxes(source: MapSource, finding: str) -> set[str]:
    if source.boxes is None:
        return set()
    return {str(name) for name in source.boxes.image[source.boxes.finding == finding]}


def _candidate(
    source: MapSource,
    image: str,
    finding: str,
    probability: float | None,
    kind: Kind,
    with_boxes: set[str],
) -> Candidate:
    boxes_K4 = np.zeros((0, 4))
    if source.boxes is not None and image in with_boxes:
        boxes_K4 = source.boxes.of(image, finding)
    label, outcome = source.label(image, finding), None
    if probability is not None and not np.isnan(label):
        is_called = probability >= source.thresholds.get(finding, _CALLED_FROM)
        if is_called or label == PRESENT:
            outcome = _outcome(is_called, label == PRESENT)
    return Candidate(
        image=image,
        patient=source.patient(image),
        finding=finding,
        label=label,
        probability=probability,
        boxes_K4=boxes_K4,
        kind=kind,
        outcome=outcome,
        seen=source.part_of[image] != "test",
    )


def _scores(source: MapSource, finding: str) -> dict[str, float]:
    predictions = source.predictions
    if predictions is None:
        return {}
    column = predictions.findings.index(finding)
    images, scores = predictions.images.tolist(), predictions.scores_NF[:, column].tolist()
    return dict(zip(images, scores, strict=True))


def boxes_outside(source: MapSource) -> int:
    """Number of boxes of the network's findings on images that are in no part."""
    if source.boxes is None:
        return 0
    return sum(str(image) not in source.part_of for image in source.boxes.image)
