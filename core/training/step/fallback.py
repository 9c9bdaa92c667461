"""What a step gives up when an engine fails or memory runs out."""

from __future__ import annotations

import torch

from core.data.resident import ResidentImages
from core.model.memory import is_host_limited, memory_errors_named
from core.recipe import NETWORK_STRIDE_PX, Recipe
from core.training.distributed.ranks import Ranks
from core.training.progress import Progress


def fewest_at_once(recipe: Recipe) -> int:
    """Smallest micro-batch: below 2 × 2 map cells one image has one value per channel, no
    variance."""
    return 1 if recipe.image.size_px >= 2 * NETWORK_STRIDE_PX else 3


class Fallback:
    """Gives up what is only for speed, then halves the micro-batch, and reports it."""

    def __init__(self, recipe: Recipe, ranks: Ranks, device: torch.device) -> None:
        self._recipe, self._ranks, self._device = recipe, ranks, device
        self._notices: list[str] = []
        self.engine_failure = ""
        """How this rank's engine failed, until the engine is given up."""

    def require_more(self, size: int, images: ResidentImages | None, error: BaseException) -> None:
        """Refuse if neither images on the device nor a smaller micro-batch is left.

        Raises:
            RunFailedError: with the memory error as its cause.
        """
        if (self._ranks.size == 1 and _holds(images)) or size // 2 >= fewest_at_once(self._recipe):
            return
        remedy = "Lower image.size_px, or use a larger GPU."
        if self._device.type == "cpu":
            limit = "ulimit -v" if is_host_limited() else "of this machine or container"
            remedy = f"Lower image.size_px, or allow more memory ({limit})."
        with memory_errors_named(remedy=remedy):
            raise error

    def to_eager(self, *, is_ours: bool) -> None:
        """Report why the engine was given up; ``is_ours`` if this rank failed."""
        ran_out = "memory ran out" if is_ours else "a step failed in another process"
        why = f"the {self.engine_failure}" if self.engine_failure else ran_out
        self._notices.append(f"{why}; steps are eager now")
        self.engine_failure = ""

    def to_less_memory(self, size: int, progress: Progress, images: ResidentImages | None) -> None:
        """Release the images on the device; without any, halve the micro-batch of ``size``."""
        if images is not None and _holds(images):
            self._notices.append("memory ran out: images are read from the cache from now on")
            images.release()
            if self._ranks.size == 1:
                return
            # Memory may have run out on a rank that holds no images.
        progress.micro_batch_size = size // 2

    def notices(self) -> tuple[str, ...]:
        """What was given up since the last call, a sentence each."""
        notices, self._notices = tuple(self._notices), []
        return notices


def _holds(images: ResidentImages | None) -> bool:
    return images is not None and images.size_bytes > 0
