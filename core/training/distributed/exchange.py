"""What ranks exchange at each step: loss, gradients and batch-norm statistics, in one sum.

Not by torch's DistributedDataParallel: its exchange is part of the last backward pass, where a rank
that runs out of memory, or has no image of a short last batch, leaves the others waiting. Here
every rank has finished its backward passes, and all have agreed on that, before any gradient is
sent. The loss of each piece is first divided by the known labels of the *whole* batch, so the sum
is the gradient of the batch's mean however uneven the pieces and the unknown labels are. The price
is that communication does not overlap with the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.data.batches import in_pieces
from core.training.distributed.ranks import Ranks

_Tensors = list[Tensor] | tuple[Tensor, ...]


def pieces_of(num_images: int, batch_size: int, size: int) -> list[slice]:
    """Each rank's contiguous piece of a batch; a short batch leaves the last ones empty.

    A full batch has as many pieces as there are ranks. A shorter one has pieces of the same size,
    so N ranks always compute what one process does that accumulates ``batch_size / N`` at a time.
    """
    count = min(size, math.ceil(num_images / max(1, batch_size // size)))
    return in_pieces(num_images, count) + [slice(num_images, num_images)] * (size - count)


class Exchange:
    """Sums over all ranks, for one network."""

    def __init__(self, network: nn.Module, ranks: Ranks) -> None:
        self._ranks = ranks
        self._parameters = [item for item in network.parameters() if item.requires_grad]
        self._norms = [
            item
            for item in network.modules()
            if isinstance(item, nn.BatchNorm2d) and item.running_mean is not None
        ]
        self._keeps = [1.0 - (norm.momentum or 0.0) for norm in self._norms for _ in range(2)]
        self._before: _Tensors = ()
        self._sent: Tensor | None = None

    @property
    def _statistics(self) -> list[Tensor]:
        found = [(norm.running_mean, norm.running_var) for norm in self._norms]
        return [item for pair in found for item in pair if item is not None]

    def begin(self) -> None:
        """Before the forward passes of a step: save the batch norms' statistics."""
        if self._ranks.size > 1:
            # A copy by one kernel; _foreach_clone is newer than the oldest torch we support.
            self._before = torch._foreach_mul(self._statistics, 1.0)

    def summed(self, loss: Tensor, passes: Sequence[int]) -> Tensor:
        """Loss summed over all ranks; afterwards gradients and statistics are those of all ranks.

        ``passes`` is the number of micro-batches that each rank put through the network. Statistics
        come out as if one network had seen them all, in the order of ranks: with s the statistics
        of a micro-batch, each pass does r <- keep r + (1 - keep) s, which is linear in r.
        """
        if self._ranks.size == 1:
            return loss
        rank = self._ranks.rank
        later, total = sum(passes[rank + 1 :]), sum(passes)
        gradients, statistics = self._gradients(), self._statistics
        sent = self._room(loss, gradients)
        views = _views(sent, [loss, *gradients, *statistics])
        # A few kernels for all tensors instead of thousands: launching them is slow on the host.
        ours = self._scaled(self._before, passes[rank])
        ours = self._scaled(torch._foreach_sub(statistics, ours), later)
        torch._foreach_copy_(views, [loss, *gradients, *ours])
        self._ranks.add_up(sent)
        earlier = self._scaled(self._before, total)
        of_gradients, of_statistics = views[1 : 1 + len(gradients)], views[1 + len(gradients) :]
        torch._foreach_copy_(gradients, of_gradients)
        torch._foreach_copy_(statistics, torch._foreach_add(of_statistics, earlier))
        counters = [norm.num_batches_tracked for norm in self._norms]
        torch._foreach_add_([item for item in counters if item is not None], total - passes[rank])
        return views[0].clone()

    def _scaled(self, tensors: _Tensors, passes: int) -> tuple[Tensor, ...]:
        """What is left of each after this many passes."""
        return torch._foreach_mul(tensors, [keep**passes for keep in self._keeps])

    def _gradients(self) -> list[Tensor]:
        """One for each parameter; zeros if this rank had no image."""
        gradients = []
        for item in self._parameters:
            if item.grad is None:
                item.grad = torch.zeros_like(item)
            gradients.append(item.grad)
        return gradients

    def _room(self, loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """One tensor for everything that is sent, allocated once."""
        if self._sent is None:
            length = sum(item.numel() for item in (loss, *gradients, *self._statistics))
            self._sent = torch.empty(length, dtype=torch.float32, device=loss.device)
        return self._sent


def _views(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of the flat tensor with the shapes and memory layouts of ``like``."""
    views, start = [], 0
    for item in like:
        views.append(torch.as_strided(flat, item.shape, item.stride(), start))
        start += item.numel()
    return views
