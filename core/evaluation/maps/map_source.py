"""What maps of a session are made from: its best network, its images, its boxes."""

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
from core.data.study.study import PARTS, Study, prepare_study
from core.data.tables.boxes import Boxes, read_boxes
from core.data.tables.text_file import Count
from core.errors import DataError, UntrainedError
from core.evaluation.part_report import refuse_another_table
from core.evaluation.predictions import Predictions, read_predictions
from core.model.densenet import ChestDenseNet
from core.model.device import choose_device
from core.model.memory import memory_errors_named
from core.model.precision import use_channels_last
from core.model.weights import LoadedModel, load_weights
from core.report_shape import fault_of_report
from core.store.checkpoint import state_beside
from core.store.session import Session


@dataclass(frozen=True, eq=False)
class MapSource:
    """A session, ready for maps.

    Attributes:
        study: its images and parts, those that are still there.
        model: the best checkpoint's network, on ``device``, in evaluation mode.
        checkpoint: its file's name, such as best-000005: the fifth that was kept.
        epoch: the epoch in which it was kept; None where that can't be read.
        boxes: of the findings that the network knows; None where no box table is given.
        predictions: the test part's; None before the run has scored it.
        thresholds: finding -> operating point chosen on val, where there is one.
        warnings: what a reader of the maps should know, in sentences.
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
    warnings: tuple[str, ...] = ()
    _in_use: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size_px(self) -> int:
        """Side of the network's input."""
        return self.study.recipe.image.size_px

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
        """Whose image it is."""
        return int(self.study.index.patients[self.row_of[image]])

    def cache(
        self,
        images: Sequence[str],
        progress: Callable[[IngestProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> ImageCache:
        """These images as bytes at the input's size; decoded now where they weren't yet.

        One that can't be decoded is in the cache's ``quarantined``, with the reason.

        Raises:
            DataError, StoppedError: see ``core.data.cache.cache.open_cache``.
        """
        return open_cache(
            self.cache_folder,
            self.study.index.files,
            images,
            size_px=self.size_px,
            resize=self.model.input_spec.resize,
            max_quarantined_share=1.0,
            progress=progress,
            should_stop=should_stop,
        )

    @contextlib.contextmanager
    def network(self) -> Iterator[ChestDenseNet]:
        """The network for one thread at a time: hooks and modes are its own, not the caller's.

        Raises:
            RunFailedError: the device has too little memory.
        """
        with self._in_use, _memory_named():
            yield self.model

    def pixels(self, pixels_BSS: NDArray[np.uint8]) -> torch.Tensor:
        """Bytes -> grey in 0 … 1, float32 [B, 1, S, S], on the network's device."""
        pixels = torch.from_numpy(np.ascontiguousarray(pixels_BSS)).to(self.device)
        return pixels.unsqueeze(1).to(torch.float32).div_(255)


def open_map_source(session: Session, cache_folder: Path, device: str = "auto") -> MapSource:
    """Read the session's network, tables and boxes; no image yet.

    Raises:
        UntrainedError: it has no split or no whole checkpoint yet.
        DataError: the data set is gone or changed.
        UsageError: no such device.
    """
    recipe = session.recipe
    split_file = session.path / "split.csv"
    if not split_file.is_file():
        raise UntrainedError(
            "there is no split yet, so nothing has been trained here",
            where=split_file,
            remedy=f"Let the run begin: cxr-tui --resume {session.name}.",
        )
    loaded = _best_network(session)
    chosen = choose_device(device).device
    with _memory_named():
        model = loaded.model.to(chosen).eval()
    if use_channels_last(chosen):
        # torch's stubs take memory_format for tensors only; modules have it too.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Who only looks back does without an image that has gone since.
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
    checkpoint = "" if loaded.report.path is None else loaded.report.path.stem
    return MapSource(
        session=session,
        study=study,
        model=model,
        device=chosen,
        checkpoint=checkpoint,
        epoch=_epoch_of(loaded.report.path),
        boxes=boxes,
        predictions=read_predictions(test_file) if test_file.is_file() else None,
        thresholds=_thresholds(session),
        cache_folder=cache_folder,
        warnings=(*gone, *warnings),
    )


def _best_network(session: Session) -> LoadedModel:
    recipe = session.recipe
    try:
        return load_weights(str(session.path), recipe.dataset.findings, seed=recipe.train.seed)
    except UntrainedError as error:
        raise UntrainedError(
            "there is no whole checkpoint, so no network to make maps of",
            where=session.checkpoints,
            remedy="The first one comes with epoch 1. Where no process runs it: "
            f"cxr-tui --resume {session.name}",
        ) from error


def _epoch_of(checkpoint: Path | None) -> int | None:
    """The epoch that the weights are of, by what was kept with them."""
    state = None if checkpoint is None else state_beside(checkpoint)
    progress = (state or {}).get("progress")
    epoch = progress.get("epoch") if isinstance(progress, dict) else None
    return epoch if type(epoch) is int else None


def _memory_named() -> contextlib.AbstractContextManager[None]:
    return memory_errors_named(
        why="Maps need a network of their own on the device, beside what runs there.",
        remedy="Wait until the device is free, or make maps with --device cpu.",
    )


def _boxes(study: Study, findings: Sequence[str]) -> tuple[Boxes | None, list[str]]:
    """Boxes of findings and images that are here, and what was left out."""
    if study.sources.boxes is None:
        return None, ["no box table is given (dataset.boxes): maps have nothing to be compared to"]
    boxes = read_boxes(study.sources.boxes, {*study.index.images, *study.index.absent})
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
    report = session.read_json("evaluation/test.json") or {}
    fault = fault_of_report(report)
    if fault is not None:
        raise DataError(
            f"holds no figures as they were written ({fault})",
            where=session.path / "evaluation" / "test.json",
            remedy=f"Make it again: cxr-tui evaluate {session.name} --json > FILE",
        )
    found = {}
    for finding, figures in (report.get("findings") or {}).items():
        threshold = (figures.get("operating_point") or {}).get("threshold")
        if threshold is not None:
            found[finding] = float(threshold)
    return found
