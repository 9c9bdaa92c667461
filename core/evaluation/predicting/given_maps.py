"""One image by its path, beside the maps of a session: probabilities, calls, flags, and its map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from core.data.images.decode import decode_grey
from core.data.images.given_decoding import DecodedImage, SquareRule, decode_given
from core.data.images.given_images import GivenImage
from core.data.images.grey_rule import GreyRule
from core.data.images.refusal import UndecodableImage
from core.errors import DataError
from core.evaluation.maps.candidates import Candidate
from core.evaluation.maps.found_maps import FoundMap, OnDevice, at_once
from core.evaluation.maps.map_source import MapSource
from core.evaluation.maps.methods import Method
from core.evaluation.maps.overlay import Grey
from core.evaluation.predict import Placement
from core.evaluation.predicting.called_maps import found_in, given_candidate
from core.evaluation.predicting.guard.guard_source import with_guard
from core.evaluation.predicting.points import call_points
from core.evaluation.predicting.predictor import Predictor, ScoredBatch
from core.evaluation.predicting.rows import PredictedImage
from core.model.precision import Precision


@dataclass(frozen=True, eq=False)
class SeenImage:
    """An image as the network saw it, with the row that a prediction would have."""

    predictor: Predictor
    decoded: DecodedImage
    row: PredictedImage

    def candidates(self) -> dict[str, Candidate]:
        """Finding -> this image with that finding."""
        each = zip(self.predictor.findings, self._scores(), strict=True)
        return {name: given_candidate(self.decoded.file, name, score) for name, score in each}

    def words(self, finding: str) -> list[str]:
        """Whether the finding is called, what that is worth, and what is odd about the image."""
        place = self.predictor.findings.index(finding)
        call = self.row.called(self.predictor.findings, self.predictor.thresholds)[place]
        point = self.predictor.points[finding]
        said = []
        if call is not None:
            worth = point.ppv if call else point.npv
            said.append(f"{'called' if call else 'not called'} at {point.threshold:.3f}")
            if worth is not None:
                at = f"at a prevalence of {point.prevalence:.3f}"
                said.append(f"{'PPV' if call else 'NPV'} {worth:.2f} {at}")
        if self.row.flags:
            said.append(f"flags: {', '.join(self.row.flags)}")
        return said

    def _scores(self) -> Iterator[float]:
        assert self.row.scores_F is not None
        yield from map(float, self.row.scores_F)


def see_image(
    source: MapSource, path: Path, *, on_device: OnDevice = at_once, may_learn: bool = True
) -> SeenImage:
    """Score one image with the network of the maps; flags, too.

    Args:
        source: of the session's maps.
        path: an image file.
        on_device: runs short work on the network's device.
        may_learn: whether what is usual may be learnt now, which takes a while; see ``with_guard``.

    Raises:
        DataError: it can't be read.
        RunFailedError: the device has too little memory.
    """
    predictor = _beside(source)
    decoded = decode_given(GivenImage(str(path), path), predictor.rule)
    if decoded.error:
        raise DataError(decoded.error, where=path)
    with source.network():
        predictor = with_guard(predictor, source.cache_folder, may_learn=may_learn)
    batch = on_device(partial(_scored, source, predictor, decoded))
    return SeenImage(predictor, decoded, batch.rows[0])


def given_maps(
    source: MapSource,
    pairs: Sequence[tuple[SeenImage, str]],
    method: Method,
    on_device: OnDevice = at_once,
) -> list[FoundMap]:
    """The map of each finding in its image.

    Raises:
        RunFailedError: the device has too little memory.
    """
    return [
        found
        for seen, finding in pairs
        for found in on_device(partial(_mapped, source, seen, finding, method))
    ]


def given_grey(seen: SeenImage) -> Grey:
    """The whole image in grey.

    Raises:
        DataError: it is gone, or can no longer be read.
    """
    path = Path(seen.decoded.file)
    try:
        grey_HW: Grey = np.asarray(decode_grey(path, str(path), seen.predictor.rule.grey).pixels_HW)
    except UndecodableImage as error:
        raise DataError(f"can no longer be read ({error.reason})", where=path) from error
    except OSError as error:
        raise DataError(f"can no longer be read ({error.strerror})", where=path) from error
    return grey_HW


def _beside(source: MapSource) -> Predictor:
    """A predictor with the network that the maps are made of."""
    recipe, findings = source.session.recipe, source.model.findings
    return Predictor(
        session=source.session,
        model=source.model,
        placement=Placement(source.device, Precision("fp32", "as predictions are computed")),
        checkpoint=source.checkpoint,
        rule=SquareRule(
            source.size_px, source.model.input_spec.resize, GreyRule.of(source.study.recipe.image)
        ),
        batch_size=recipe.train.batch_size,
        points=call_points(source.session, findings, {}, source.recalibration),
        provenance=source.provenance,
        recalibration=source.recalibration,
    )


def _scored(source: MapSource, predictor: Predictor, decoded: DecodedImage) -> ScoredBatch:
    with source.network():
        return predictor.scored([decoded])


def _mapped(source: MapSource, seen: SeenImage, finding: str, method: Method) -> list[FoundMap]:
    with source.network():
        return found_in(seen.predictor, [(seen.decoded, finding)], method)
