"""What limits a run, in a sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from core.bench.training import TrainingRates
from core.evaluation.predict import Placement
from core.model.precision import does_bf16_well
from core.recipe import NETWORK_STRIDE_PX, Recipe

_NEAR_THE_CEILING = 0.9
_MUCH_WAITING = 0.05
_INGEST_DOMINATES = 0.5


@dataclass(frozen=True)
class Limit:
    """``part`` is ``ingest``, ``cache``, ``augmentation``, ``loop`` or ``network``."""

    part: str
    text: str
    remedy: str


def find_limit(
    recipe: Recipe, placement: Placement, rates: TrainingRates, *, ingest_share: float
) -> Limit:
    """The narrowest part.

    Args:
        recipe: what is run.
        placement: where and how.
        rates: what was measured.
        ingest_share: of a whole run's time, for decoding images that aren't in the cache yet.
    """
    # Blocks differ by a little: what reaches the ceiling may seem to surpass it.
    reached = min(1.0, rates.loop.over(rates.step).median)
    if rates.waiting_share > _MUCH_WAITING:
        return Limit(
            "cache",
            f"Training waits for the cache in {_percent(rates.waiting_share)} of its time: one "
            f"thread reads {rates.cache.median:,.0f} images/s from it.",
            "Put it on a local disk, or on one that the memory can hold, with --cache DIR.",
        )
    augmentation = rates.data_share - rates.waiting_share
    if reached < _NEAR_THE_CEILING and augmentation > (1 - reached) / 2:
        return Limit(
            "augmentation",
            f"Augmentation takes {_percent(augmentation)} of the loop's time.",
            "Leave out what isn't needed of [augment].",
        )
    if reached < _NEAR_THE_CEILING:
        return Limit(
            "loop",
            f"The loop reaches {_percent(reached)} of what the network alone could do.",
            "A larger train.batch_size spreads what each step costs over more images.",
        )
    if ingest_share > _INGEST_DOMINATES:
        return Limit(
            "ingest",
            f"Decoding takes {_percent(ingest_share)} of the first run, once.",
            "More cores shorten it; later runs find the images in the cache.",
        )
    return Limit(
        "network",
        f"The network is the limit: the loop reaches {_percent(reached)} of what the network "
        "alone can do.",
        _faster_network(recipe, placement),
    )


def _faster_network(recipe: Recipe, placement: Placement) -> str:
    if not placement.precision.is_bf16 and does_bf16_well(placement.device):
        return "train.precision=auto: this device computes in bf16 itself."
    better = "A GPU" if placement.device.type == "cpu" else "A faster GPU"
    size_px = recipe.image.size_px
    smaller_px = size_px * 3 // 4 // NETWORK_STRIDE_PX * NETWORK_STRIDE_PX
    if smaller_px < 2 * NETWORK_STRIDE_PX:
        return f"{better}."
    # The work grows with the number of pixels.
    work = _percent((smaller_px / size_px) ** 2)
    return f"{better}, or image.size_px={smaller_px}: {work} of the work, and small lesions lost."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
