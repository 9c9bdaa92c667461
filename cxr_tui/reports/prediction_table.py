"""A prediction's summary and, for a few images, their rows; as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.words import number_of
from cxr_tui.terminal.stdout import print_table

if TYPE_CHECKING:
    from core.data.images.given_images import GivenImages
    from core.evaluation.predicting.predictor import Predictor
    from core.evaluation.predicting.rows import PredictedImage, Totals

_MOST_IN_FULL = 3
_REASONS = 5
_PATH_CELLS = 36


@dataclass(frozen=True, eq=False)
class Told:
    """What a summary tells of.

    Attributes:
        totals: of all rows, ``before`` of which an earlier start wrote.
        out: the file of rows.
        maps: pictures saved in ``map_folder``.
    """

    predictor: Predictor
    images: GivenImages
    totals: Totals
    before: int
    out: Path | None
    map_folder: Path | None
    maps: int


def print_images(images: Sequence[PredictedImage], predictor: Predictor) -> None:
    """One table an image, or, for more than a few, one row each."""
    if not is_shown_in_full(images):
        print_table(None, ["file", "called"], [_row(image, predictor) for image in images], left=2)
        return
    for image in images:
        _print_image(image, predictor)


def _print_image(image: PredictedImage, predictor: Predictor) -> None:
    if image.scores_F is None:
        print_table(image.file, (), (), notes=[image.error])
        return
    rows = []
    called = image.called(predictor.findings, predictor.thresholds)
    for finding, score, call in zip(predictor.findings, image.scores_F, called, strict=True):
        point = predictor.points[finding]
        worth = point.ppv if call else point.npv
        rows.append(
            [
                finding,
                f"{score:.3f}",
                _share(point.threshold),
                "–" if call is None else ("called" if call else "no"),
                "–" if call is None or worth is None else f"{'PPV' if call else 'NPV'} {worth:.2f}",
            ]
        )
    notes = [f"flags: {', '.join(image.flags)}"] if image.flags else []
    head = ["finding", "probability", "threshold", "call", "worth"]
    print_table(image.file, head, rows, notes=notes)


def _row(image: PredictedImage, predictor: Predictor) -> list[str]:
    flags = f" [{', '.join(image.flags)}]" if image.flags else ""
    return [_end_of(image.file) + flags, _in_words(image, predictor)]


def _in_words(image: PredictedImage, predictor: Predictor) -> str:
    """What is called, the most probable first; else the highest probability."""
    if image.scores_F is None:
        return image.error
    called = image.called(predictor.findings, predictor.thresholds)
    scored = sorted(zip(image.scores_F.tolist(), predictor.findings, called, strict=True))[::-1]
    yes = [f"{name} {score:.2f}" for score, name, call in scored if call]
    return ", ".join(yes) or f"none; highest {scored[0][1]} {scored[0][0]:.2f}"


def _end_of(file: str) -> str:
    """The end of a path, which tells images apart."""
    return file if len(file) <= _PATH_CELLS else f"…{file[1 - _PATH_CELLS :]}"


def print_notes(told: Told) -> None:
    """What to know about images that were shown in full."""
    print_table(None, (), (), notes=list(_notes(told)))


def is_shown_in_full(shown: Sequence[PredictedImage]) -> bool:
    """Whether each image has a table of its own."""
    return len(shown) <= _MOST_IN_FULL


def print_prediction(told: Told) -> None:
    """The calls of all rows, and what they are worth."""
    predictor, totals, rows = told.predictor, told.totals, []
    for finding in predictor.findings:
        point = predictor.points[finding]
        has = point.threshold is not None
        rows.append(
            [
                finding,
                f"{totals.called[finding]:,}" if has else "–",
                _share(point.threshold),
                _share(point.prevalence),
                _share(point.ppv),
                _share(point.npv),
            ]
        )
    title = f"{number_of(totals.scored, 'image')} scored by {predictor.checkpoint}"
    head = ["finding", "called", "threshold", "prevalence", "PPV", "NPV"]
    print_table(title, head, rows, notes=list(_notes(told)))


def _notes(told: Told) -> Iterator[str]:
    predictor, totals = told.predictor, told.totals
    if told.out is not None:
        already = f", {told.before:,} of them from before" if told.before else ""
        yield f"{number_of(totals.images, 'row')} in {told.out}{already}"
    if told.map_folder is not None:
        yield f"{number_of(told.maps, 'map')} in {told.map_folder}, one for each call"
    rule = predictor.session.recipe.evaluate.operating_point
    yield (
        f"called: at or above the threshold that {rule} chose on val; PPV and NPV follow from "
        "sensitivity and specificity on test and the prevalence shown"
    )
    yield "change the prevalence to that of your own images: --prevalence FINDING=SHARE"
    for finding, point in predictor.points.items():
        if point.note:
            yield f"{finding}: {point.note}"
    yield from _troubles(told.images, totals)
    yield "for research and teaching, not for diagnosis"


def _troubles(images: GivenImages, totals: Totals) -> Iterator[str]:
    if totals.flagged:
        codes = ", ".join(f"{count:,} {code}" for code, count in totals.flags.most_common())
        yield f"{number_of(totals.flagged, 'image')} flagged: {codes}"
    if totals.unreadable:
        reasons = totals.errors.most_common()
        said = "; ".join(f"{count:,} × {reason}" for reason, count in reasons[:_REASONS])
        more = f"; {len(reasons) - _REASONS} other reasons" if len(reasons) > _REASONS else ""
        yield f"{number_of(totals.unreadable, 'file')} not scored: {said}{more}"
    if images.empty:
        yield f"without an image: {', '.join(images.empty[:_REASONS])}"
    for folder, reason in list(images.unreadable.items())[:_REASONS]:
        yield f"{folder} can't be listed: {reason}"
    if images.others:
        kinds = ", ".join(
            f"{count:,} {suffix or 'without ending'}"
            for suffix, count in images.others.most_common(_REASONS)
        )
        yield f"files that are no images were passed by: {kinds}"


def prediction_json(told: Told, shown: Sequence[PredictedImage] | None) -> dict[str, Any]:
    """The same for scripts; with each image where there is no file."""
    predictor, totals, images = told.predictor, told.totals, told.images
    found: dict[str, Any] = {
        "session": predictor.session.name,
        "checkpoint": predictor.checkpoint,
        "out": None if told.out is None else str(told.out),
        "images": totals.images,
        "scored": totals.scored,
        "not_scored": totals.unreadable,
        "from_before": told.before,
        "maps": None
        if told.map_folder is None
        else {"folder": str(told.map_folder), "saved": told.maps},
        "errors": dict(totals.errors.most_common()),
        "flagged": totals.flagged,
        "flags": dict(totals.flags.most_common()),
        "empty": images.empty,
        "unreadable_folders": images.unreadable,
        "passed_by": dict(images.others.most_common()),
        "operating_point": predictor.session.recipe.evaluate.operating_point,
        "findings": {
            finding: {"called": totals.called[finding], **predictor.points[finding].as_json()}
            for finding in predictor.findings
        },
        "warnings": list(predictor.notes),
    }
    if shown is not None:
        found["rows"] = [_image_json(image, predictor) for image in shown]
    return found


def _image_json(image: PredictedImage, predictor: Predictor) -> dict[str, Any]:
    called = image.called(predictor.findings, predictor.thresholds)
    scores = image.scores_F
    return {
        "file": image.file,
        "digest": image.digest,
        "findings": None
        if scores is None
        else {
            name: {"probability": score, "call": call}
            for name, score, call in zip(predictor.findings, scores.tolist(), called, strict=True)
        },
        "flags": list(image.flags),
        "error": image.error or None,
    }


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
