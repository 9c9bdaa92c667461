"""What a session's maps are made from: its best network, images and boxes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.cache.cache import ImageCache, IngestProgress, open_cache
from core.data.images.grey_rule import GreyRule
from core.data.study.study import Study, prepare_study
from core.data.study.study_boxes import study_boxes
from core.data.tables.boxes import Boxes
from core.data.tables.text_file import Count
from core.errors import DataError, UntrainedError
from core.evaluation.calibrating.kept_recalibration import recalibration_of
from core.evaluation.calibrating.recalibration import LogitMap, Recalibration
from core.evaluation.part_report import refuse_another_table
from core.evaluation.predictions import Predictions, read_predictions
from core.model.densenet import ChestDenseNet
from core.model.device import choose_device
from core.model.memory import memory_errors_named
from core.model.precision import use_channels_last
from core.model.provenance import Provenance
from core.model.weights import LoadedModel, load_weights
from core.recipe import PARTS
from core.report_shape import PartReport
from core.store.checkpoint import state_beside
from core.store.session import Session


@dataclass(frozen=True, eq=False)
class MapSource:
    """A session, ready for maps.

    Attributes:
        study: its images and parts, as far as they still exist.
        model: the best checkpoint's network, on ``device``, in evaluation mode.
        checkpoint: its file's name, such as best-000005: the fifth that was saved.
        epoch: the epoch in which it was saved; None if that can't be read.
        boxes: of the findings that the network knows; None without a box table.
        predictions: the test part's, recalibrated if the session is; None before the run has
            scored it.
        thresholds: finding -> operating point chosen on val, if there is one.
        provenance: whom the network was trained on.
        warnings: what a reader of the maps should know, in sentences.
        recalibration: what probabilities go through; None if they are the network's own.
    """

    session: Session
    study: Study
    model: ChestDenseNet
    device: torch.device
    checkpoint: str
    epoch: int | None
    boxes: Boxes | None
    predictions: Predictions | None
    thresholds: dict[str, float]
    cache_folder: Path
    provenance: Provenance
    warnings: tuple[str, ...] = ()
    recalibration: Recalibration | None = None
    _in_use: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size_px(self) -> int:
        """Side of the network's input."""
        return self.study.recipe.image.size_px

    def recalibrated(self, finding: str) -> LogitMap | None:
        """The map of a finding's logits; None if they stay the network's own."""
        return None if self.recalibration is None else self.recalibration.maps.get(finding)

    @cached_property
    def part_of(self) -> dict[str, str]:
        """Image -> train, val or test."""
        images = self.study.index.images
        return {str(images[row]): part for part in PARTS for row in self.study.rows(part)}

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Image -> its row in the study's index."""
        return {str(name): row for row, name in enumerate(self.study.index.images)}

    def label(self, image: str, finding: str) -> float:
        """1, 0 or NaN."""
        column = self.study.index.findings.index(finding)
        return float(self.study.index.labels_NF[self.row_of[image], column])

    def patient(self, image: str) -> int:
        """The patient of the image."""
        return int(self.study.index.patients[self.row_of[image]])

    def cache(
        self,
        images: Sequence[str],
        progress: Callable[[IngestProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> ImageCache:
        """These images as bytes at the input's size, decoded now if necessary.

        Images that can't be decoded are in the cache's ``quarantined``, with the reason.

        Raises:
            DataError, StoppedError: see ``core.data.cache.cache.open_cache``.
        """
        return open_cache(
            self.cache_folder,
            self.study.index.files,
            images,
            size_px=self.size_px,
            resize=self.model.input_spec.resize,
            rule=GreyRule.of(self.study.recipe.image),
            max_quarantined_share=1.0,
            progress=progress,
            should_stop=should_stop,
        )

    @contextlib.contextmanager
    def network(self) -> Iterator[ChestDenseNet]:
        """The network, for one thread at a time, with its own hooks and modes.

        Raises:
            RunFailedError: the device has too little memory.
        """
        with self._in_use, _memory_named():
            yield self.model

    def pixels(self, pixels_BSS: NDArray[np.uint8]) -> torch.Tensor:
        """Bytes to grey in 0 … 1, float32 [B, 1, S, S], on the network's device."""
        pixels = torch.from_numpy(np.ascontiguousarray(pixels_BSS)).to(self.device)
        return pixels.unsqueeze(1).to(torch.float32).div_(255)


def open_map_source(session: Session, cache_folder: Path, device: str = "auto") -> MapSource:
    """Read the session's network, tables and boxes, without images.

    Raises:
        UntrainedError: it has no split or no undamaged checkpoint yet.
        DataError: the data set is gone or changed.
        UsageError: no such device.
    """
    recipe = session.recipe
    split_file = session.path / "split.csv"
    if not split_file.is_file():
        raise UntrainedError(
            "there is no split yet, so nothing has been trained here",
            where=split_file,
            remedy=f"Let the run start: cxr-tui --resume {session.name}.",
        )
    loaded = _best_network(session)
    chosen = choose_device(device).device
    with _memory_named():
        model = loaded.model.to(chosen).eval()
    if use_channels_last(chosen):
        # torch's stubs take memory_format for tensors only; modules have it too.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Maps of a past run don't need images that have gone since.
    partial = recipe.dataset.model_copy(update={"partial": True})
    study = prepare_study(
        recipe.model_copy(update={"dataset": partial}),
        cache_folder,
        recorded_split=split_file,
        without_gone=True,
    )
    refuse_another_table(session, study)
    boxes, warnings = _boxes(study, model.findings)
    gone = _told(study.drawn.counts)
    test_file = session.predictions / "test.csv"
    predictions = read_predictions(test_file) if test_file.is_file() else None
    recalibration = recalibration_of(session)
    if predictions is not None and recalibration is not None:
        predictions = recalibration.predictions(predictions)
    checkpoint = "" if loaded.report.path is None else loaded.report.path.stem
    return MapSource(
        session=session,
        study=study,
        model=model,
        device=chosen,
        checkpoint=checkpoint,
        epoch=_epoch_of(loaded.report.path),
        boxes=boxes,
        predictions=predictions,
        thresholds=_thresholds(session),
        cache_folder=cache_folder,
        provenance=loaded.provenance,
        warnings=(*gone, *warnings),
        recalibration=recalibration,
    )


def _best_network(session: Session) -> LoadedModel:
    recipe = session.recipe
    try:
        return load_weights(str(session.path), recipe.dataset.findings, seed=recipe.train.seed)
    except UntrainedError as error:
        raise UntrainedError(
            "there is no undamaged checkpoint, so no network to make maps with",
            where=session.checkpoints,
            remedy="The first one is written after epoch 1. If no process runs it: "
            f"cxr-tui --resume {session.name}",
        ) from error


def _epoch_of(checkpoint: Path | None) -> int | None:
    """The epoch of the weights, from the state saved with them."""
    state = None if checkpoint is None else state_beside(checkpoint)
    progress = (state or {}).get("progress")
    epoch = progress.get("epoch") if isinstance(progress, dict) else None
    return epoch if type(epoch) is int else None


def _memory_named() -> contextlib.AbstractContextManager[None]:
    return memory_errors_named(
        why="Maps need their own network on the device, besides what runs there.",
        remedy="Wait until the device is free, or make maps with --device cpu.",
    )


def _boxes(study: Study, findings: Sequence[str]) -> tuple[Boxes | None, list[str]]:
    """Boxes of findings and images in use, and what was left out."""
    boxes = study_boxes(study.index, study.sources)
    if boxes is None:
        return None, ["no box table is given (dataset.boxes): maps can't be compared with boxes"]
    warnings = [*boxes.warnings, *_told(boxes.counts)]
    known_B = np.isin(boxes.finding.astype(str), list(findings))
    if not known_B.all():
        others = sorted(set(boxes.finding[~known_B]))
        warnings.append(
            f"{int((~known_B).sum()):,} boxes of findings that this network was not trained on "
            f"({', '.join(others)}) are left out"
        )
    return boxes.take(known_B), warnings


def _told(counts: Iterable[Count]) -> list[str]:
    return [f"{count.images:,} × {count.reason}" for count in counts if count.images]


def _thresholds(session: Session) -> dict[str, float]:
    try:
        report = PartReport.of(session.read_json("evaluation/test.json") or {})
    except ValueError as fault:
        raise DataError(
            f"is damaged or was edited ({fault})",
            where=session.path / "evaluation" / "test.json",
            remedy=f"Create it again: cxr-tui evaluate {session.name} --json > FILE",
        ) from None
    thresholds = {name: of.operating_point.threshold for name, of in report.findings.items()}
    return {name: value for name, value in thresholds.items() if value is not None}
