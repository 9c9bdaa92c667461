"""A part scored by all ranks, each its share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core.data.batches import Part
from core.evaluation.predict import predict_logits
from core.training.ranks import Score
from core.training.trainer import Trainer


def score(
    trainer: Trainer, part: Part, progress: Callable[[int], bool] | None = None
) -> Tensor | None:
    """Logits [N, F] in the part's order; see ``predict_logits``. On rank 0, or alone."""
    trainer.ranks.tell(Score(part.name))
    return score_share(trainer, part, progress)


def score_share(
    trainer: Trainer, part: Part, progress: Callable[[int], bool] | None = None
) -> Tensor | None:
    """The same on every rank: each scores a run of whole batches, and all get the whole.

    Batches are those of a run that is alone, so the logits are the same ones.
    """
    ranks, batch_size = trainer.ranks, trainer.scoring_batch_size
    if ranks.size == 1:
        return predict_logits(
            trainer.model, part, trainer.placement, batch_size=batch_size, progress=progress
        )
    batches = math.ceil(len(part) / batch_size)
    first, last = (batches * place // ranks.size for place in (ranks.rank, ranks.rank + 1))
    share = slice(first * batch_size, min(len(part), last * batch_size))
    length = share.stop - share.start

    def on_share(done: int) -> bool:
        return progress is None or progress(done * len(part) // length)

    logits_NF = torch.zeros((len(part), len(trainer.model.findings)), dtype=torch.float32)
    is_left = False
    if length > 0:
        ours_KF = predict_logits(
            trainer.model,
            part.only(share),
            trainer.placement,
            batch_size=batch_size,
            progress=on_share,
        )
        is_left = ours_KF is None
        if ours_KF is not None:
            logits_NF[share] = ours_KF
    if is_left and ranks.rank == 0:
        ranks.leave_early(True)
    is_left = ranks.any(is_left)
    if ranks.rank == 0:
        ranks.leave_early(False)
    if is_left:
        return None
    ranks.add_up(logits_NF)
    return logits_NF
