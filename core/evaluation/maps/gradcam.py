"""The map of one finding in one image: where the network's evidence is.

All methods use ``ChestDenseNet.cam_layer``, the very tensor that is pooled into the logit. There
Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) equals CAM (Zhou et al. 2016, arXiv 1512.04150)
up to a positive factor, rectified: the gradient of a finding's logit with respect to each value of
channel k is w_k / (cells), the same everywhere. For the same reason Grad-CAM++ (Chattopadhyay et
al. 2018, arXiv 1710.11063) has a closed form there: see ``_multipliers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.evaluation.maps.methods import Method
from core.model.densenet import ChestDenseNet

_NO_EVIDENCE = 1e-6
"""A map's peak below this share of the sum of its channels is rounding, not evidence."""


@dataclass(frozen=True)
class FindingMaps:
    """B maps, each of one finding in one image.

    Attributes:
        maps_BMM: evidence for the finding in each cell of the last map, float32, at least 0; all
            zero if nothing supports it. Not normalised: each map has its own scale.
        logits_B: the finding's logit, float32, in full precision.
    """

    maps_BMM: NDArray[np.float32]
    logits_B: NDArray[np.float32]


def finding_maps(
    model: ChestDenseNet,
    pixels_B1SS: Tensor,
    findings: Sequence[str],
    method: Method = "grad-cam",
) -> FindingMaps:
    """The maps of a batch, one finding per image; the network is left unchanged.

    Args:
        model: in any mode; its running statistics are used and not changed.
        pixels_B1SS: grey in 0 … 1, float32, on the model's device.
        findings: B names, each of a finding that the network knows.
        method: see ``METHODS``; ``cam`` is the weighted sum itself, rectified.

    Raises:
        ValueError: a finding that the network was not trained on, or the number of findings differs
            from that of images.
    """
    if len(findings) != len(pixels_B1SS):
        raise ValueError(f"{len(pixels_B1SS)} images, but {len(findings)} findings")
    columns = [_column(model, finding) for finding in findings]
    with _scoring(model):
        by = _in_closed_form if method in ("cam", "grad-cam++") else _by_torchcam
        found_BMM, logits_BF, maps_BCMM = by(model, pixels_B1SS, columns, method)
        found_BMM = found_BMM * _has_evidence(model, maps_BCMM, columns, found_BMM, method)
    rows = torch.arange(len(columns), device=logits_BF.device)
    chosen_B = logits_BF[rows, torch.tensor(columns, device=logits_BF.device)]
    return FindingMaps(
        found_BMM.detach().float().cpu().numpy(), chosen_B.detach().float().cpu().numpy()
    )


def finding_logits(
    model: ChestDenseNet, pixels_B1SS: Tensor, findings: Sequence[str]
) -> NDArray[np.float32]:
    """The logit of each image's own finding, without a map; B values."""
    with _scoring(model), torch.inference_mode():
        logits_BF = model(pixels_B1SS).float().cpu()
    columns = [_column(model, finding) for finding in findings]
    chosen_B: NDArray[np.float32] = logits_BF[torch.arange(len(columns)), columns].numpy()
    return chosen_B


def _column(model: ChestDenseNet, finding: str) -> int:
    if finding not in model.findings:
        raise ValueError(f"the network was not trained on {finding}: {', '.join(model.findings)}")
    return model.findings.index(finding)


def _in_closed_form(
    model: ChestDenseNet, pixels_B1SS: Tensor, columns: list[int], method: Method
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps [B, M, M], logits [B, F] and the layer's maps, from the head's weights alone."""
    with torch.no_grad():
        maps_BCMM = model.feature_maps(pixels_B1SS)
        multipliers_BC = _multipliers(model.classifier.weight[columns], maps_BCMM, method)
        found_BMM = _added_up(multipliers_BC, maps_BCMM).clamp(min=0)
        return found_BMM, model.classify(maps_BCMM), maps_BCMM


def _by_torchcam(
    model: ChestDenseNet, pixels_B1SS: Tensor, columns: list[int], method: Method
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by gradients; torchcam's hooks are removed afterwards.

    Not its Grad-CAM++: ``GradCAMpp`` of torchcam 0.5.0 divides ``alpha[mask]``, which is a copy, so
    its alphas stay squared gradients and it draws the sum of relu(g)³·A.
    """
    from torchcam.methods import GradCAM, LayerCAM  # brings matplotlib: when wanted

    extractors: dict[str, Any] = {"grad-cam": GradCAM, "layer-cam": LayerCAM}
    with extractors[method](model, target_layer=model.cam_layer) as extractor:
        # No gradient is needed below the layer: without that graph a batch costs one forward pass.
        with torch.no_grad():
            before_BCMM = model.before_cam_layer(pixels_B1SS)
        with torch.enable_grad():
            maps_BCMM = model.cam_layer(before_BCMM.requires_grad_())
            logits_BF = model.classify(maps_BCMM)
            (found_BMM,) = extractor(columns, logits_BF, normalized=False)
    return found_BMM, logits_BF.detach(), maps_BCMM.detach()


def _multipliers(weights_BC: Tensor, maps_BCMM: Tensor, method: Method) -> Tensor:
    """The factor on each channel's map, before cells are rectified; B × C.

    Grad-CAM++ weights channel k by the sum over cells of alpha·relu(g), with (its equation 19, for
    the exponential of the logit) alpha = g² / (2g² + g³·ΣA). Here g = w_k / (cells) in each cell,
    so that g·ΣA is w_k times the mean of A, and the sum is w_k / (2 + w_k·mean A), or 0 where w_k
    is negative.

    Args:
        weights_BC: the head's weights w of each image's finding.
        maps_BCMM: the layer's maps A, at least 0.
    """
    if method == "cam":
        return weights_BC
    if method == "grad-cam++":
        positive_BC = weights_BC.clamp(min=0)
        return positive_BC / (2 + positive_BC * maps_BCMM.float().mean(dim=(2, 3)))
    return weights_BC / maps_BCMM[0, 0].numel()  # a gradient of a mean


def _added_up(multipliers_BC: Tensor, maps_BCMM: Tensor) -> Tensor:
    return torch.einsum("bc,bcij->bij", multipliers_BC, maps_BCMM.float())


def _has_evidence(
    model: ChestDenseNet,
    maps_BCMM: Tensor,
    columns: list[int],
    found_BMM: Tensor,
    method: Method,
) -> Tensor:
    """1 or 0 for each image [B, 1, 1]: whether the peak is more than rounding."""
    with torch.no_grad():
        # The sum of the channels if all of them supported the finding.
        weights_BC = model.classifier.weight[columns].abs()
        whole_BMM = _added_up(_multipliers(weights_BC, maps_BCMM, method), maps_BCMM)
        whole_B = whole_BMM.amax(dim=(1, 2))
        peak_B = found_BMM.amax(dim=(1, 2))
        return (peak_B > _NO_EVIDENCE * whole_B).float()[:, None, None]


@contextmanager
def _scoring(model: ChestDenseNet) -> Iterator[None]:
    """The network in evaluation mode and fp32; restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.autocast(device_type=model.mean_1C11.device.type, enabled=False):
            yield
    finally:
        model.train(was_training)
