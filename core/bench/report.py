"""The results of a benchmark, and estimates for this recipe and for NIH."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from core.bench import nih
from core.bench.decoding import Decoding
from core.bench.limit import Limit, find_limit
from core.bench.training import TrainingRates
from core.evaluation.predict import Placement
from core.recipe import Recipe

Figures = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """All results of one benchmark.

    Attributes:
        images: number in each part of the recipe's data set.
        images_to_decode: how many of them are not cached yet.
        nih_ingest: images of NIH's size per second, estimated if these images have another size.
        nih_estimated: whether it is an estimate.
        warnings: of the device and the precision.
    """

    recipe: Recipe
    placement: Placement
    device_name: str
    images: dict[str, int]
    images_to_decode: int
    decoding: Decoding
    rates: TrainingRates
    nih_ingest: float
    nih_estimated: bool
    warnings: tuple[str, ...]

    def expected_seconds(self) -> dict[str, float]:
        """Estimated seconds of each stage.

        ``epoch`` is one pass over train and val of this recipe; ``run`` is the ingest, all epochs
        and scoring of test. ``nih_epoch`` is one pass of training over the 86,524 images of the
        official train_val list with this recipe's settings, without validation; ``nih_ingest`` is
        all 112,120.
        """
        scoring = self.rates.validation.median
        ingest = self.images_to_decode / self.decoding.ingest.median
        epoch = self.images["train"] / self.rates.loop.median + self.images["val"] / scoring
        epochs = self.recipe.train.epochs
        return {
            "ingest": ingest,
            "epoch": epoch,
            "run": ingest + epochs * epoch + self.images["test"] / scoring,
            "nih_ingest": nih.ALL_IMAGES / self.nih_ingest,
            "nih_epoch": nih.TRAIN_VAL_IMAGES / self.rates.loop.median,
        }

    def limit(self) -> Limit:
        """What limits a run."""
        expected = self.expected_seconds()
        share = expected["ingest"] / expected["run"]
        return find_limit(self.recipe, self.placement, self.rates, ingest_share=share)

    def as_json(self) -> Figures:
        """All results as JSON values: rates in images per second, durations in seconds."""
        expected = self.expected_seconds()
        return {
            **self._setting(),
            "images_per_second": self._rates(),
            "ratios": self._ratios(),
            "waiting_share": round(self.rates.waiting_share, 5),
            "data_share": round(self.rates.data_share, 5),
            "peak_host_bytes": self.rates.peak_host_bytes,
            "peak_device_bytes": self.rates.peak_device_bytes,
            "images": self.images,
            "images_to_decode": self.images_to_decode,
            "expected_seconds": {name: round(value, 1) for name, value in expected.items()},
            "nih": {
                "train_val_images": nih.TRAIN_VAL_IMAGES,
                "all_images": nih.ALL_IMAGES,
                "ingest_is_estimated": self.nih_estimated,
            },
            "limit": vars(self.limit()),
            "warnings": list(self.warnings),
        }

    def _setting(self) -> Figures:
        train = self.recipe.train
        return {
            "recipe": self.recipe.name,
            "device": str(self.placement.device),
            "device_name": self.device_name,
            "precision": self.placement.precision.name,
            "cores": self.decoding.cores,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "size_px": self.recipe.image.size_px,
            "batch_size": train.batch_size,
            "micro_batch_size": self.rates.micro_batch_size or train.micro_batch_size,
            "steps_per_block": self.rates.steps,
            "step": self.rates.taken.step,
            "step_reason": self.rates.taken.reason,
            "images_held": list(self.rates.taken.held),
        }

    def _rates(self) -> Figures:
        decoding, rates = self.decoding, self.rates
        return {
            "decode_one_core": decoding.one_core.as_json(),
            "decode_all_cores": decoding.all_cores.as_json(),
            "ingest": decoding.ingest.as_json(),
            "cache": rates.cache.as_json(),
            "augmentation": rates.augmentation.as_json(),
            "step": rates.step.as_json(),
            "loop": rates.loop.as_json(),
            "validation": rates.validation.as_json(),
        }

    def _ratios(self) -> Figures:
        rates = self.rates
        return {
            "ingest_to_cores": self.decoding.ingest_to_cores.as_json(),
            "loop_to_step": rates.loop.over(rates.step).as_json(),
            "validation_to_loop": rates.validation.over(rates.loop).as_json(),
        }
