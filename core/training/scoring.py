"""A part scored by all ranks, each with its share.

Epochs are judged in the run's own precision, which is fast. The saved predictions, test.csv and the
val.csv that thresholds are chosen on, are scored in fp32: bf16 moves a probability by up to 0.03,
and a map of the same image would show another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core.data.batches import Part
from core.evaluation.predict import Placement, predict_logits
from core.model.precision import without_shortcuts
from core.training.distributed.ranks import Score
from core.training.trainer import Trainer


def score(
    trainer: Trainer,
    part: Part,
    progress: Callable[[int], bool] | None = None,
    *,
    exactly: bool = False,
) -> Tensor | None:
    """Logits [N, F] in the part's order; see ``predict_logits``. On rank 0, or with a single
    process.

    ``exactly``: in fp32 without shortcuts, whatever the run's precision.
    """
    trainer.ranks.broadcast(Score(part.name, exactly))
    return score_share(trainer, part, progress, exactly=exactly)


def score_share(
    trainer: Trainer,
    part: Part,
    progress: Callable[[int], bool] | None = None,
    *,
    exactly: bool = False,
) -> Tensor | None:
    """The same, for every rank: each scores some whole batches, and all get all logits.

    The batches are those of a single process, so the logits are identical.
    """
    if not exactly:
        return _score_share(trainer, part, trainer.placement, progress)
    with without_shortcuts(trainer.placement.device):
        return _score_share(trainer, part, trainer.placement.exactly(), progress)


def _score_share(
    trainer: Trainer, part: Part, placement: Placement, progress: Callable[[int], bool] | None
) -> Tensor | None:
    ranks, batch_size = trainer.ranks, trainer.scoring_batch_size
    if ranks.size == 1:
        return predict_logits(
            trainer.model, part, placement, batch_size=batch_size, progress=progress
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
            placement,
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
