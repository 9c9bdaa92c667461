"""A session's best network on another data set, from its tables to the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.cache.cache import IngestProgress
from core.evaluation.external.external_data import ExternalData, open_external
from core.evaluation.external.external_report import external_report
from core.evaluation.external.external_scores import DecodedData, decode_external, score_external
from core.evaluation.external.own_side import OwnSide, own_side
from core.evaluation.external.same_images import same_images
from core.evaluation.external.seen_before import (
    Seen,
    images_seen,
    names_seen_before,
    patients_seen_before,
    refuse_seen,
)
from core.evaluation.predicting.predictor import Predictor
from core.evaluation.predictions import Predictions
from core.model.provenance import PHANTOM
from core.recipe import Recipe

Progress = Callable[[str, int, int | None], None]
"""Called with what is done, how much of it, and of how much."""


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """The predictions on another data set, and their report."""

    predictions: Predictions
    report: dict[str, Any]


def evaluate_elsewhere(
    predictor: Predictor,
    recipe: Recipe,
    part: str,
    cache: Path,
    *,
    chosen: bool = False,
    insist: bool = False,
    progress: Progress = _silent,
) -> Elsewhere:
    """Score a part of another data set, and compare it with the session's own test.

    Args:
        predictor: the session's best network.
        recipe: the data, see ``external_recipe``.
        part: ``all``, or one of its own parts.
        cache: the user's cache folder.
        chosen: whether the recipe's findings were asked for.
        insist: score what the network was trained on too, and mark the figures.
        progress: see ``Progress``.

    Raises:
        DataError: the network was, or may have been, trained on some of it; see also
            ``open_external`` and ``decode_external``.
    """

    def looking(what: str, done: int) -> None:
        progress(what, done, None)

    def decoding(now: IngestProgress) -> None:
        progress("decoding", now.done, now.total)

    data = open_external(recipe, part, predictor.findings, cache, chosen=chosen, progress=looking)
    progress("reading the session", 0, None)
    own = own_side(predictor.session, cache)
    seen = patients_seen_before(predictor.provenance, own, data) | _by_name(own, data)
    if not insist:  # before anything is decoded
        refuse_seen(seen, data)
    decoded = decode_external(data, predictor, cache, decoding)
    progress("comparing images", 0, None)
    of_images, warnings = _by_image(decoded, own, cache, predictor)
    seen |= of_images
    if not insist:
        refuse_seen(seen, data)
    total = len(decoded.rows_N)
    predictions = score_external(decoded, predictor, lambda done: progress("scoring", done, total))
    report = external_report(predictions, decoded, own, predictor, seen, warnings)
    return Elsewhere(predictions, report)


def _by_name(own: OwnSide, data: ExternalData) -> Seen:
    """By the names of NIH's files, which synthetic images have too."""
    if own.study is None or PHANTOM in (own.known_as, data.study.patients_known_as):
        return Seen()
    images = own.study.index.images
    trained = [str(images[row]) for part in ("train", "val") for row in own.study.rows(part)]
    return names_seen_before(trained, data)


def _by_image(
    decoded: DecodedData, own: OwnSide, cache: Path, predictor: Predictor
) -> tuple[Seen, tuple[str, ...]]:
    """By bytes and pixels, with what is to be said."""
    same = same_images(decoded, own, cache, predictor.rule)
    warnings = [same.note] if same.note else []
    if same.tested:
        warnings.append(
            f"{len(same.tested):,} of {len(decoded.rows_N):,} images are among the session's own "
            "test images: the two samples share patients, so intervals of differences don't hold."
        )
    return images_seen(same.trained, decoded.data, "are among the images"), tuple(warnings)
