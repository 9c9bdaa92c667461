"""What limits a run's speed, and what to do about it."""

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
    """Find the bottleneck.

    Args:
        recipe: the run's settings.
        placement: device and precision.
        rates: the measured rates.
        ingest_share: share of a whole run's time for decoding images that aren't in the cache yet.
    """
    # Blocks vary a little, so a loop at the ceiling may appear to exceed it.
    reached = min(1.0, rates.loop.over(rates.step).median)
    if rates.waiting_share > _MUCH_WAITING:
        return Limit(
            "cache",
            f"Training waits for the cache {_percent(rates.waiting_share)} of the time: one thread "
            f"reads {rates.cache.median:,.0f} images/s from it.",
            "Move it to a local disk, or to one that fits in memory, with --cache DIR.",
        )
    augmentation = rates.data_share - rates.waiting_share
    if reached < _NEAR_THE_CEILING and augmentation > (1 - reached) / 2:
        return Limit(
            "augmentation",
            f"Augmentation takes {_percent(augmentation)} of the loop's time.",
            "Turn off what isn't needed in [augment].",
        )
    if reached < _NEAR_THE_CEILING:
        return Limit(
            "loop",
            f"The loop reaches {_percent(reached)} of the network's own speed.",
            "A larger train.batch_size spreads the cost per step over more images.",
        )
    if ingest_share > _INGEST_DOMINATES:
        return Limit(
            "ingest",
            f"Decoding takes {_percent(ingest_share)} of the first run.",
            "More cores shorten it; later runs find the images in the cache.",
        )
    return Limit(
        "network",
        f"The network is the limit: the loop reaches {_percent(reached)} of the network's own "
        "speed.",
        _faster_network(recipe, placement),
    )


def _faster_network(recipe: Recipe, placement: Placement) -> str:
    if not placement.precision.is_bf16 and does_bf16_well(placement.device):
        return "train.precision=auto: this device has native bf16."
    better = "A GPU" if placement.device.type == "cpu" else "A faster GPU"
    size_px = recipe.image.size_px
    smaller_px = size_px * 3 // 4 // NETWORK_STRIDE_PX * NETWORK_STRIDE_PX
    if smaller_px < 2 * NETWORK_STRIDE_PX:
        return f"{better}."
    # The cost is proportional to the number of pixels.
    work = _percent((smaller_px / size_px) ** 2)
    return (
        f"{better}, or image.size_px={smaller_px}: {work} of the cost, but small lesions are lost."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
