"""From the network and a part of the split to logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.batches import Part, read_ahead, scoring_batches, to_unit_range
from core.evaluation.predictions import Predictions
from core.model.densenet import ChestDenseNet
from core.model.memory import give_back_memory, is_out_of_memory, memory_errors_named
from core.model.precision import Precision, autocast, use_channels_last


@dataclass(frozen=True)
class Placement:
    """Where and how a network computes."""

    device: torch.device
    precision: Precision

    @property
    def is_exact(self) -> bool:
        """Whether it is already fp32 without shortcuts; on CUDA convolutions may use TF32."""
        return not self.precision.is_bf16 and self.device.type != "cuda"

    def exactly(self) -> Placement:
        """The same device in fp32; ``without_shortcuts`` disables TF32."""
        return replace(self, precision=Precision("fp32", "results are computed in fp32"))

    def pixels(self, pixels_BHW: Tensor) -> Tensor:
        """Bytes on the host or the device to floats [B, 1, H, W] in 0..1 on the device."""
        return to_unit_range(pixels_BHW.to(self.device, non_blocking=True))

    def pixels_of(self, pixels_BSS: NDArray[np.uint8]) -> Tensor:
        """The same of an array."""
        return self.pixels(torch.from_numpy(pixels_BSS))

    def place(self, model: ChestDenseNet) -> ChestDenseNet:
        """Move the network to the device, in the memory layout that is fast there."""
        model.to(self.device)
        if use_channels_last(self.device):
            # torch's stubs take memory_format for tensors only; modules have it too.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model


def predict_logits(
    model: ChestDenseNet,
    part: Part,
    placement: Placement,
    *,
    batch_size: int,
    progress: Callable[[int], bool] | None = None,
) -> Tensor | None:
    """Logits [N, F] in fp32 on the host, in the part's order; the model's mode is restored
    afterwards.

    ``progress`` is called with the number of images done after each batch; if it returns False,
    scoring stops and None is returned. A batch too large for the memory is halved.
    Raises:
        RunFailedError: memory doesn't suffice for a single image.
    """
    was_training = model.training
    model.eval()
    logits = torch.empty((len(part), len(model.findings)), dtype=torch.float32)
    batches = read_ahead(
        scoring_batches(part, batch_size), for_cuda=placement.device.type == "cuda"
    )
    try:
        done = 0
        for batch in batches:
            logits[done : done + len(batch)] = _within_memory(model, batch.pixels_BHW, placement)
            done += len(batch)
            if progress is not None and not progress(done):
                return None
    finally:
        batches.close()  # type: ignore[attr-defined]  # a generator: close ends its thread
        model.train(was_training)
    return logits


def _within_memory(model: ChestDenseNet, pixels_BHW: Tensor, placement: Placement) -> Tensor:
    """Logits [B, F] on the host."""

    def logits(pixels_BHW: Tensor) -> tuple[Tensor]:
        return (model(placement.pixels(pixels_BHW)).float().cpu(),)

    return _halved_if_needed(logits, pixels_BHW, placement)[0]


def logits_and_features(
    model: ChestDenseNet, pixels_BHW: Tensor, placement: Placement
) -> tuple[Tensor, Tensor]:
    """Logits [B, F] and the pooled features [B, C] that they are made of, on the host.

    Raises:
        RunFailedError: memory doesn't suffice for a single image.
    """

    def both(pixels_BHW: Tensor) -> tuple[Tensor, Tensor]:
        maps_BCHW = model.feature_maps(placement.pixels(pixels_BHW))
        pooled_BC = maps_BCHW.float().mean(dim=(2, 3))
        return model.classify(maps_BCHW).float().cpu(), pooled_BC.cpu()

    logits_BF, pooled_BC = _halved_if_needed(both, pixels_BHW, placement)
    return logits_BF, pooled_BC


def _halved_if_needed(
    work: Callable[[Tensor], tuple[Tensor, ...]], pixels_BHW: Tensor, placement: Placement
) -> tuple[Tensor, ...]:
    """What the work gives for the batch; one too large for the memory is halved."""
    try:
        with torch.inference_mode(), autocast(placement.precision, placement.device):
            return work(pixels_BHW)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(pixels_BHW) == 1:
            with memory_errors_named():
                raise
    # Only here does the error no longer reference the activations.
    give_back_memory(placement.device)
    halves = [_halved_if_needed(work, half, placement) for half in pixels_BHW.tensor_split(2)]
    return tuple(torch.cat(each) for each in zip(*halves, strict=True))


def part_predictions(part: Part, findings: tuple[str, ...], logits_NF: Tensor) -> Predictions:
    """The part's labels with the probabilities of its logits [N, F]."""
    # In float64: many float32 sigmoids are exactly 1, and ties reduce AUROC.
    return Predictions(
        images=part.images_N,
        patients=part.patients_N,
        findings=findings,
        labels_NF=part.labels_NF,
        scores_NF=torch.sigmoid(logits_NF.double()).numpy(),
        sources_N=part.sources_N,
    )
