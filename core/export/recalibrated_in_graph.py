"""Recalibration as a part of a graph: logits to probabilities through straight lines."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.evaluation.calibrating.recalibration import LogitMap, Recalibration

_AS_IT_IS = LogitMap((0.0,), (0.0,), 1.0, 1.0)


class RecalibratedProbabilities(nn.Module):
    """Logits [B, F] -> probabilities [B, F], as ``Recalibration.scores`` computes them.

    A piecewise linear map is a sum of clipped logits, one for each line: no lookup, so any runtime
    can do it.
    """

    start_FL: Tensor
    width_FL: Tensor
    slope_FL: Tensor
    first_F: Tensor
    last_F: Tensor
    to_F: Tensor
    below_F: Tensor
    above_F: Tensor

    def __init__(self, recalibration: Recalibration, findings: tuple[str, ...]) -> None:
        super().__init__()
        maps = [recalibration.maps.get(finding, _AS_IT_IS) for finding in findings]
        lines = max(1, *(len(one.at) - 1 for one in maps))
        start_FL, width_FL, slope_FL = (torch.zeros(len(maps), lines) for _ in range(3))
        for row, one in enumerate(maps):
            at, to = (torch.tensor(of, dtype=torch.float64) for of in (one.at, one.to))
            count = len(at) - 1
            start_FL[row, :count], width_FL[row, :count] = at[:-1].float(), at.diff().float()
            slope_FL[row, :count] = (to.diff() / at.diff()).float()

        def each(*values: float) -> Tensor:
            return torch.tensor(values, dtype=torch.float32)

        self.register_buffer("start_FL", start_FL)
        self.register_buffer("width_FL", width_FL)
        self.register_buffer("slope_FL", slope_FL)
        self.register_buffer("first_F", each(*(one.at[0] for one in maps)))
        self.register_buffer("last_F", each(*(one.at[-1] for one in maps)))
        self.register_buffer("to_F", each(*(one.to[0] for one in maps)))
        self.register_buffer("below_F", each(*(one.below for one in maps)))
        self.register_buffer("above_F", each(*(one.above for one in maps)))

    def forward(self, logits_BF: Tensor) -> Tensor:
        """Probabilities."""
        along_BFL = torch.clamp(logits_BF.unsqueeze(2) - self.start_FL, min=0.0)
        inside_BF = (torch.minimum(along_BFL, self.width_FL) * self.slope_FL).sum(dim=2)
        below_BF = torch.clamp(logits_BF - self.first_F, max=0.0) * self.below_F
        above_BF = torch.clamp(logits_BF - self.last_F, min=0.0) * self.above_F
        return torch.sigmoid(self.to_F + below_BF + inside_BF + above_BF)
