"""DenseNet121, its head, its CAM layer."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.model.compiler_cache import name_own_folders
from core.model.input_spec import GREY, InputSpec
from core.model.torchvision_shim import declare_missing_operators

declare_missing_operators()
with contextlib.suppress(OSError):  # the error is raised again when something compiles
    name_own_folders()

from torchvision.models.densenet import DenseNet  # noqa: E402  (after the lines above)

_SEEDING = threading.Lock()

NUM_FEATURES = 1024
"""Channels of DenseNet121's last feature map."""


class ChestDenseNet(nn.Module):
    """DenseNet121 (Huang et al. 2017, arXiv 1608.06993) with a linear head that returns logits.

    Parameters carry torchvision's names (``features.…``, ``classifier.…``). The network itself
    normalises as its weights expect, so the input is always grey in 0 … 1.

    Attributes:
        findings: one for each logit, in order.
        input_spec: the normalisation that the weights expect.
        cam_layer: the last ReLU. Its output is pooled, so Grad-CAM there equals CAM up to a
            positive factor.
    """

    mean_1C11: Tensor
    std_1C11: Tensor

    def __init__(self, findings: Sequence[str], input_spec: InputSpec = GREY) -> None:
        super().__init__()
        self.findings = tuple(findings)
        self.input_spec = input_spec
        features = DenseNet(num_classes=1).features  # growth 32, blocks of 6, 12, 24, 16
        if input_spec.channels != 3:
            features.conv0 = nn.Conv2d(input_spec.channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(features.conv0.weight)
        self.features = features
        # torchvision applies this ReLU in place and outside `features`, so a hook on its last
        # module gets a tensor that is modified later.
        self.cam_layer = nn.ReLU(inplace=False)
        self.classifier = nn.Linear(NUM_FEATURES, len(self.findings))
        nn.init.zeros_(self.classifier.bias)
        shape = (1, input_spec.channels, 1, 1)
        # Not in the state dict: they belong to the spec, which is stored and loaded as a whole.
        self.register_buffer("mean_1C11", torch.tensor(input_spec.mean).view(shape), False)
        self.register_buffer("std_1C11", torch.tensor(input_spec.std).view(shape), False)

    def forward(self, pixels_B1HW: Tensor) -> Tensor:
        """Grey pixels in 0 … 1, shape (B, 1, H, W) -> logits, shape (B, F), always float32."""
        return self.classify(self.feature_maps(pixels_B1HW))

    def feature_maps(self, pixels_B1HW: Tensor) -> Tensor:
        """Grey pixels in 0 … 1 -> the feature maps before pooling, shape (B, 1024, H/32, W/32).

        Raises:
            ValueError: the pixels are not one grey channel of floating point.
        """
        maps_BCHW: Tensor = self.cam_layer(self.before_cam_layer(pixels_B1HW))
        return maps_BCHW

    def before_cam_layer(self, pixels_B1HW: Tensor) -> Tensor:
        """The input of ``cam_layer``: the same maps before the ReLU.

        Raises:
            ValueError: the pixels are not one grey channel of floating point.
        """
        if pixels_B1HW.ndim != 4 or pixels_B1HW.shape[1] != 1:
            raise ValueError(f"pixels must have shape (B, 1, H, W), got {tuple(pixels_B1HW.shape)}")
        if not pixels_B1HW.is_floating_point():
            raise ValueError(f"pixels must be floating point in 0 … 1, got {pixels_B1HW.dtype}")
        features_BCHW: Tensor = self.features(self.expected_of(pixels_B1HW))
        return features_BCHW

    def expected_of(self, pixels_B1HW: Tensor) -> Tensor:
        """Grey pixels in 0 … 1 -> the first convolution's input, shape (B, C, H, W)."""
        spec = self.input_spec
        values_B1HW = spec.low + pixels_B1HW * (spec.high - spec.low)
        return (values_B1HW - self.mean_1C11) / self.std_1C11

    def classify(self, maps_BCHW: Tensor) -> Tensor:
        """Feature maps -> logits (B, F), in float32 even under autocast (float64 if the network
        is).

        In bf16 the logits of a whole test set have a few hundred distinct values, and ties reduce
        AUROC.
        """
        with torch.autocast(device_type=maps_BCHW.device.type, enabled=False):
            at_least_fp32 = torch.promote_types(maps_BCHW.dtype, torch.float32)
            pooled_BC = maps_BCHW.to(at_least_fp32).mean(dim=(2, 3))
            logits_BF: Tensor = self.classifier(pooled_BC)
            return logits_BF


def build_model(
    findings: Sequence[str],
    *,
    seed: int,
    input_spec: InputSpec = GREY,
    prevalence: Sequence[float] | None = None,
) -> ChestDenseNet:
    """A network with random weights, reproducible by seed; global random state is restored.

    Args:
        findings: one for each logit.
        seed: for the initial weights.
        input_spec: the normalisation of the input.
        prevalence: one for each finding; sets the head's bias to its log-odds, so that the first
            steps needn't learn the base rate. It is clipped to 1e-4 … 1 - 1e-4.

    Raises:
        ValueError: no finding, or a different number of prevalences than findings.
    """
    if not findings:
        raise ValueError("a network needs at least one finding")
    if prevalence is not None and len(prevalence) != len(findings):
        raise ValueError(f"{len(findings)} findings, but {len(prevalence)} prevalences")
    # Random weights come from torch's global generator. Its state is saved and restored, by one
    # thread at a time (the viewer may build a network while a run builds its own).
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ChestDenseNet(findings, input_spec)
    if prevalence is not None:
        with torch.no_grad():
            model.classifier.bias.copy_(torch.tensor([_log_odds(share) for share in prevalence]))
    return model


def _log_odds(share: float) -> float:
    inside = min(max(share, 1e-4), 1 - 1e-4)
    return math.log(inside / (1 - inside))
