"""The network on a part of the split -> logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
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
        """Whether it is fp32 without shortcuts as it is; on CUDA convolutions may be in TF32."""
        return not self.precision.is_bf16 and self.device.type != "cuda"

    def exactly(self) -> Placement:
        """The same device in fp32; TF32 is ``without_shortcuts``'s to forbid."""
        return replace(self, precision=Precision("fp32", "figures are of fp32"))

    def pixels(self, pixels_BHW: Tensor) -> Tensor:
        """Bytes on the host or the device -> floats [B, 1, H, W] in 0..1 on the device."""
        return to_unit_range(pixels_BHW.to(self.device, non_blocking=True))

    def place(self, model: ChestDenseNet) -> ChestDenseNet:
        """The network on the device, in the memory layout that is fast there."""
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
    """Logits [N, F] in fp32 on the host, in the part's order; the mode is as it was afterwards.

    ``progress`` is told the images done after each batch; where it answers False scoring
    ends at once and None is returned. A batch that is too large for the memory goes in halves.

    Raises:
        RunFailedError: memory is too small for a single image.
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
        batches.close()  # type: ignore[attr-defined]  # it is a generator: close ends its thread
        model.train(was_training)
    return logits


def _within_memory(model: ChestDenseNet, pixels_BHW: Tensor, placement: Placement) -> Tensor:
    """Logits [B, F] on the host."""
    try:
        with torch.inference_mode(), autocast(placement.precision, placement.device):
            logits_BF: Tensor = model(placement.pixels(pixels_BHW))
            return logits_BF.float().cpu()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or len(pixels_BHW) == 1:
            with memory_errors_named():
                raise
    # Only here does the error no longer hold on to the activations.
    give_back_memory(placement.device)
    halves = torch.tensor_split(pixels_BHW, 2)
    return torch.cat([_within_memory(model, half, placement) for half in halves])


def part_predictions(part: Part, findings: tuple[str, ...], logits_NF: Tensor) -> Predictions:
    """The part's labels beside the probabilities of its logits [N, F]."""
    # In float64: many a float32 sigmoid is exactly 1, and ties cost AUROC.
    return Predictions(
        images=part.images_N,
        patients=part.patients_N,
        findings=findings,
        labels_NF=part.labels_NF,
        scores_NF=torch.sigmoid(logits_NF.double()).numpy(),
    )
