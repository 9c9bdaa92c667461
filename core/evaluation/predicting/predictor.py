"""A session's network, ready to score images that are in no table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.cache.ingest import usable_cores
from core.data.images.given_decoding import (
    DecodedImage,
    SquareRule,
    decoded_ahead,
    decoded_in_turns,
)
from core.data.images.given_images import GivenImage
from core.data.images.grey_rule import GreyRule
from core.errors import UntrainedError
from core.evaluation.calibrating.kept_recalibration import recalibration_of
from core.evaluation.calibrating.recalibration import LogitMap, Recalibration
from core.evaluation.predict import Placement, logits_and_features
from core.evaluation.predicting.guard.guard import Guard, flags_of_files
from core.evaluation.predicting.points import CallPoint, call_points
from core.evaluation.predicting.rows import PredictedImage
from core.model.densenet import ChestDenseNet
from core.model.device import choose_device
from core.model.memory import memory_errors_named
from core.model.precision import Precision, without_shortcuts
from core.model.provenance import Provenance
from core.model.weights import LoadedModel, load_weights
from core.store.checkpoint import BEST, checkpoint_faults
from core.store.session import Session

_CUDA_BATCHES = 4
"""On CUDA so many batches are scored at once, as a run does."""
_BATCHES_AHEAD = 4


@dataclass(frozen=True, eq=False)
class ScoredBatch:
    """Images that went through the network together: their rows, and what it saw of each."""

    rows: list[PredictedImage]
    decoded: list[DecodedImage]


@dataclass(frozen=True, eq=False)
class Predictor:
    """The best checkpoint of a session, in fp32, with its operating points.

    Attributes:
        checkpoint: its file's name.
        rule: from a file to the network's input, as in training.
        batch_size: that of the session's own scoring.
        provenance: whom it was trained on.
        guard: what is usual among the session's images; None if that isn't known.
        notes: what to know about the checkpoint, in sentences.
        recalibration: what probabilities go through; None if they are the network's own.
    """

    session: Session
    model: ChestDenseNet
    placement: Placement
    checkpoint: str
    rule: SquareRule
    batch_size: int
    points: Mapping[str, CallPoint]
    provenance: Provenance
    guard: Guard | None = None
    notes: tuple[str, ...] = ()
    recalibration: Recalibration | None = None

    @property
    def findings(self) -> tuple[str, ...]:
        """One for each probability."""
        return self.model.findings

    @property
    def thresholds(self) -> dict[str, float]:
        """Finding -> threshold, where there is one."""
        of = {name: point.threshold for name, point in self.points.items()}
        return {name: value for name, value in of.items() if value is not None}

    def recalibrated(self, finding: str) -> LogitMap | None:
        """The map of a finding's logits; None if they stay the network's own."""
        return None if self.recalibration is None else self.recalibration.maps.get(finding)

    def batches(
        self,
        images: Iterable[GivenImage],
        at_each: Callable[[], None] = lambda: None,
        *,
        keeps_content: bool = False,
    ) -> Iterator[ScoredBatch]:
        """The images in their order, as many at a time as go through the network together.

        Decoding goes on meanwhile, or takes turns with a network that needs the same cores.
        ``at_each`` is called several times a second while waiting for it; it may raise.
        ``keeps_content``: have the bytes of archives' members in ``decoded``.

        Raises:
            RunFailedError: memory doesn't suffice for a single image.
        """
        shares_cores = self.placement.device.type == "cpu"
        decoding = (decoded_in_turns if shares_cores else decoded_ahead)(
            images,
            self.rule,
            threads=usable_cores(),
            ahead=_BATCHES_AHEAD * self.batch_size,
            at_each=at_each,
            keeps_content=keeps_content,
        )
        waiting: list[DecodedImage] = []
        num_pixels = 0
        with closing(decoding):
            for image in decoding:
                waiting.append(image)
                # Images that can't be read take no place: batches are those of the session.
                num_pixels += image.pixels_SS is not None
                if num_pixels == self.batch_size or len(waiting) >= 4 * self.batch_size:
                    yield self.scored(waiting)
                    waiting, num_pixels = [], 0
        if waiting:
            yield self.scored(waiting)

    def scored(self, images: list[DecodedImage]) -> ScoredBatch:
        """Images through the network at once, in their order."""
        found = iter(self._found([image for image in images if image.pixels_SS is not None]))
        rows = [
            PredictedImage(image.file, image.digest, None, error=image.error)
            if image.pixels_SS is None
            else PredictedImage(image.file, image.digest, *next(found))
            for image in images
        ]
        return ScoredBatch(rows, images)

    def _found(
        self, images: list[DecodedImage]
    ) -> Iterable[tuple[NDArray[np.float64], tuple[str, ...]]]:
        """Probabilities and flags of images with pixels."""
        if not images:
            return ()
        pixels_BSS = np.stack([one.pixels_SS for one in images if one.pixels_SS is not None])
        scores_BF, features_BC = self.seen(pixels_BSS)
        looks, are_lateral = [one.look for one in images], [one.is_lateral for one in images]
        if self.guard is None:
            flags = flags_of_files(looks, are_lateral)
        else:
            flags = self.guard.flags(pixels_BSS, features_BC, looks, are_lateral)
        return zip(scores_BF, flags, strict=True)

    def seen(
        self, pixels_BSS: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Bytes [B, S, S] -> probabilities [B, F] in float64, recalibrated if the session is,
        and pooled features [B, C]."""
        with without_shortcuts(self.placement.device), _memory_named():
            logits_BF, pooled_BC = logits_and_features(
                self.model, torch.from_numpy(pixels_BSS), self.placement
            )
        scores_BF: NDArray[np.float64] = torch.sigmoid(logits_BF.double()).numpy()
        if self.recalibration is not None:
            scores_BF = self.recalibration.batch(self.findings, scores_BF)
        return scores_BF, pooled_BC.numpy()


def open_predictor(
    session: Session, device: str = "auto", prevalence: Mapping[str, float] | None = None
) -> Predictor:
    """Read the session's best network; its data set and tables are not needed.

    Raises:
        UntrainedError: it has no undamaged checkpoint yet.
        DataError: the checkpoint is of another version, or its predictions are damaged.
        UsageError: no such device.
    """
    recipe = session.recipe
    loaded = _network(session)
    chosen = choose_device(device).device
    placement = Placement(chosen, Precision("fp32", "predictions are computed in fp32"))
    with _memory_named():
        model = placement.place(loaded.model).eval()
    train = recipe.train
    is_cuda = chosen.type == "cuda"
    at_once = min(train.micro_batch_size or train.batch_size, train.batch_size)
    path = loaded.report.path
    checkpoint = "" if path is None else path.stem
    recalibration = recalibration_of(session)
    return Predictor(
        session=session,
        model=model,
        placement=placement,
        checkpoint=checkpoint,
        rule=SquareRule(
            recipe.image.size_px,
            model.input_spec.resize,
            loaded.grey or GreyRule.of(recipe.image),
        ),
        batch_size=_CUDA_BATCHES * at_once if is_cuda else train.batch_size,
        points=call_points(session, model.findings, prevalence or {}, recalibration),
        provenance=loaded.provenance,
        notes=tuple(_notes(session, checkpoint)),
        recalibration=recalibration,
    )


def _network(session: Session) -> LoadedModel:
    recipe = session.recipe
    try:
        loaded = load_weights(str(session.path), recipe.dataset.findings, seed=recipe.train.seed)
    except UntrainedError as error:
        faults = checkpoint_faults(session.checkpoints)
        if faults:
            raise UntrainedError(
                f"there is no undamaged checkpoint, so no network to predict with: {faults[0]}",
                where=session.checkpoints,
                remedy="Restore the files from a copy; if another version of cxr-tui wrote them, "
                "use that one (environment.json names it).",
            ) from error
        raise UntrainedError(
            "there is no undamaged checkpoint, so no network to predict with",
            where=session.checkpoints,
            remedy="The first one is written after epoch 1. If no process runs it: "
            f"cxr-tui --resume {session.name}",
        ) from error
    random = [name for name, row in loaded.report.head_rows.items() if row is None]
    if random:
        raise UntrainedError(
            f"the checkpoint was not trained on {', '.join(random)}",
            where=loaded.report.path,
            why="Their probabilities would be random",
            remedy="Its recipe.toml was changed: restore dataset.findings",
        )
    return loaded


def _notes(session: Session, checkpoint: str) -> Iterator[str]:
    if session.is_being_written():
        yield f"the session is still running: {checkpoint} is its best checkpoint so far"
    if not checkpoint.startswith(BEST):
        yield f"there is no best checkpoint: {checkpoint} is used, the last that was saved"


def _memory_named() -> AbstractContextManager[None]:
    return memory_errors_named(
        why="The network doesn't fit beside what runs on the device.",
        remedy="Wait until the device is free, or predict with --device cpu.",
    )
