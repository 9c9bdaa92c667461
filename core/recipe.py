"""All of one run's settings: typed, bounded, documented at the field, frozen.

A recipe says everything that decides what a run computes. Where it computes it (the
device, the cache folder) and where it keeps it (the sessions folder) are not part of it.
``core.recipe_toml`` reads and writes recipes as TOML.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from core.findings import FINDINGS, canonical_finding, did_you_mean

NETWORK_STRIDE_PX = 32
"""DenseNet121 shrinks its input by this much: one cell of its last map covers so many pixels."""

_MAX_SEED = 2**32 - 1

IMAGENET = "imagenet"
NO_WEIGHTS = "none"


def _canonical(name: str) -> str:
    finding = canonical_finding(name)
    if finding is None:
        raise ValueError(f"is not a known finding. {did_you_mean(name, FINDINGS)}".strip())
    return finding


def _path_like(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must name a file or folder")
    return value


Finding = Annotated[str, AfterValidator(_canonical)]
RecipePath = Annotated[Path, BeforeValidator(_path_like)]


class Section(BaseModel):
    """One table of a recipe: unknown keys are refused, values can't be changed afterwards."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class PhantomSettings(Section):
    """A synthetic data set, made in the cache folder, once."""

    patients: int = Field(400, ge=4, le=30_000, description="Synthetic patients to draw.")
    size_px: int = Field(256, ge=64, le=1024, description="Width and height of each image.")
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="The same seed draws the same bytes.")


class DatasetSettings(Section):
    """Which images, which labels, which findings."""

    labels: RecipePath | None = Field(
        None,
        description="Label table: NIH's (either version) or a CSV with one column a finding. "
        "Default: NIH's name inside dataset.images.",
    )
    images: RecipePath | None = Field(
        None, description="Folder searched once for the images (or NIH's archives) of the table."
    )
    boxes: RecipePath | None = Field(
        None, description="Box table, in 1024-pixel coordinates. Default: NIH's name, if there."
    )
    findings: tuple[Finding, ...] = Field(
        FINDINGS,
        min_length=1,
        max_length=100,
        description="Findings to learn, in the order of the outputs.",
    )
    partial: bool = Field(
        False, description="true: use the images that are there and say how many aren't."
    )
    max_quarantined_share: float = Field(
        0.001, ge=0, le=1, description="Share of images that may fail to decode before we refuse."
    )
    phantom: PhantomSettings | None = Field(
        None, description="A synthetic data set in place of labels and images."
    )

    @field_validator("findings")
    @classmethod
    def _each_finding_once(cls, findings: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({finding for finding in findings if findings.count(finding) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once")
        return findings

    @model_validator(mode="after")
    def _phantom_or_files(self) -> Self:
        if self.phantom and (self.labels or self.images or self.boxes):
            raise ValueError("takes phantom or paths (labels, images, boxes), not both")
        return self


class SplitSettings(Section):
    """Which patients train, which choose the best epoch, which give the test figures."""

    by: Literal["official", "patient", "lists"] = Field(
        "official",
        description="official: NIH's two lists; patient: shares of patients; lists: your files.",
    )
    train: float = Field(0.7, gt=0, lt=1, description="Share of patients (by = patient).")
    val: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of patients; for official and lists, the share of train_val patients "
        "moved to val.",
    )
    test: float = Field(0.2, gt=0, lt=1, description="Share of patients (by = patient).")
    train_val_list: RecipePath | None = Field(None, description="One file name a line.")
    test_list: RecipePath | None = Field(None, description="One file name a line.")
    val_list: RecipePath | None = Field(
        None, description="One file name a line; without it val is drawn from train_val."
    )
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="Seed of the draw of patients.")

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        total = self.train + self.val + self.test
        if self.by == "patient" and not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"needs train + val + test = 1 where by = 'patient', got {total:g}")
        return self


Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


class SubsetSettings(Section):
    """A smaller draw from the split: a target prevalence for one finding, a cap."""

    finding: Finding | None = Field(None, description="The finding whose prevalence is set.")
    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Keep every positive, draw negatives until this holds in each of parts.",
    )
    parts: tuple[Part, ...] = Field(
        ("train", "val"),
        description="The parts that finding and prevalence draw; the others are kept whole, but "
        "for max_images. Where test is one, every figure says so.",
    )
    max_images: int | None = Field(
        None,
        ge=3,
        description="Cap over all parts, drawn or not; positives and negatives shrink alike.",
    )
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="Seed of the draw of images.")

    @field_validator("parts")
    @classmethod
    def _each_part_once(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        if not parts:
            raise ValueError(f"must name at least one of {', '.join(PARTS)}")
        twice = [part for part in PARTS if parts.count(part) > 1]
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once")
        return tuple(part for part in PARTS if part in parts)

    @model_validator(mode="after")
    def _prevalence_of_a_finding(self) -> Self:
        if self.prevalence is not None and self.finding is None:
            raise ValueError("needs finding, the one whose prevalence is meant")
        return self


class ImageSettings(Section):
    """What one image is when it reaches the network."""

    size_px: int = Field(
        224, ge=32, le=1024, description="Width and height of the network's input."
    )


class AugmentSettings(Section):
    """Random changes of training images; each image draws its own; off in val and test."""

    flip: float = Field(
        0.0, ge=0, le=1, description="Probability of mirroring. A mirrored heart is not anatomy."
    )
    rotate_deg: float = Field(0.0, ge=0, le=45, description="Rotation, up to so many degrees.")
    scale: float = Field(0.0, ge=0, le=0.5, description="Zoom in or out by up to this share.")
    shift: float = Field(0.0, ge=0, le=0.5, description="Shift by up to this share of the size.")


class ModelSettings(Section):
    """The network's starting point."""

    weights: str = Field(
        IMAGENET,
        min_length=1,
        description="imagenet, none, or the path of a checkpoint (own, torchxrayvision, CheXNet).",
    )
    allow_partial_weights: bool = Field(
        False, description="true: go on though under 90 % of the backbone's tensors matched."
    )
    seen_test_patients: Literal["refuse", "mark"] = Field(
        "refuse",
        description="What to do where the weights have seen test patients, or may have.",
    )


class TrainSettings(Section):
    """How the network is trained."""

    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training part.")
    batch_size: int = Field(16, ge=1, le=4096, description="Images an optimiser step.")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Images at once on the device; gradients are accumulated to batch_size.",
    )
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd (with momentum) or adamw.")
    learning_rate: float = Field(
        0.01,
        gt=0,
        le=10,
        description="Peak rate. With SGD and ImageNet weights 0.001 to 0.01; with AdamW 0.0001 "
        "to 0.001.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="L2 penalty; decoupled in AdamW.")
    schedule: Literal["plateau", "cosine", "constant"] = Field(
        "plateau", description="plateau cuts the rate when val loss stalls; cosine decays it."
    )
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="What a plateau multiplies by.")
    plateau_patience: int = Field(
        1, ge=0, le=1000, description="Epochs without a better val loss before the rate is cut."
    )
    warmup_epochs: float = Field(
        0.0, ge=0, le=100, description="Epochs over which the rate climbs from zero; may be 0.5."
    )
    early_stopping: int = Field(
        0, ge=0, le=1000, description="Stop after so many epochs without a better one; 0: never."
    )
    clip_norm: float | None = Field(
        None, gt=0, le=1e6, description="Gradients are scaled down to this norm."
    )
    loss: Literal["bce", "weighted-bce", "focal", "asymmetric"] = Field(
        "bce", description="Binary cross entropy, weighted by prevalence, focal, asymmetric."
    )
    focal_gamma: float = Field(2.0, ge=0, le=10, description="Focus of the focal loss.")
    asymmetric_gamma: float = Field(
        4.0, ge=1, le=10, description="Focus on negatives of the asymmetric loss."
    )
    asymmetric_margin: float = Field(
        0.05, ge=0, lt=1, description="Negatives below this probability cost nothing."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto takes bf16 where the device does it well."
    )
    select_best: Literal["auroc", "val-loss"] = Field(
        "auroc",
        description="The best epoch: highest mean val AUROC over the findings with enough "
        "positive patients, or lowest val loss.",
    )
    min_positive_patients: int = Field(
        10, ge=1, le=10_000, description="Positive val patients a finding needs to take part."
    )
    few_images_first: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Before the start, learn 16 images by heart on a copy of the network; auto: "
        "where it takes under a minute.",
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, le=10_000, description="Between epochs, a checkpoint every so many minutes."
    )
    disk_wait_minutes: float = Field(
        60.0,
        ge=0,
        le=100_000,
        description="Without a screen a run waits so long for a full disk, then it stops.",
    )
    step: Literal["auto", "eager", "compiled", "graph"] = Field(
        "auto",
        description="How a step reaches the device: eager, operation by operation; compiled by "
        "torch; or replayed from a CUDA graph. auto: on CUDA what pays in this run, eager on a "
        "CPU. Whatever it is, it is compared with the eager step first.",
    )
    resident_share: float = Field(
        0.5,
        ge=0,
        le=0.95,
        description="Images are held in a CUDA device's memory where they fit into this share of "
        "what is free there; 0: never.",
    )
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="Seed of weights, order and augmentation.")


_OPERATING_POINT = re.compile(r"youden|(sensitivity|specificity)=0?\.\d+")


class EvaluateSettings(Section):
    """What the test figures say."""

    bootstrap: int = Field(
        5000, ge=0, le=100_000, description="Draws of patients behind each interval; 0: none."
    )
    seed: int = Field(0, ge=0, le=_MAX_SEED, description="Seed of those draws.")
    reference: str = Field(
        "none", description="A column of the published figures, shown beside its own split only."
    )
    operating_point: str = Field(
        "youden", description="youden, sensitivity=0.9 or specificity=0.9; chosen on val."
    )

    @field_validator("operating_point")
    @classmethod
    def _a_known_rule(cls, rule: str) -> str:
        share = rule.partition("=")[2]
        if not _OPERATING_POINT.fullmatch(rule) or (share and float(share) == 0):
            raise ValueError("is none of youden, sensitivity=0.9, specificity=0.9 (any share)")
        return rule


class Recipe(Section):
    """One run, from the label table to the test figures."""

    name: str = Field(
        "run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$",
        description="Letters, digits, dot, dash and underscore; sessions are named after it.",
    )
    note: str = Field("", max_length=2000, description="Free text, kept with the session.")
    dataset: DatasetSettings = DatasetSettings()
    split: SplitSettings = SplitSettings()
    subset: SubsetSettings = SubsetSettings()
    image: ImageSettings = ImageSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()


PATH_KEYS: tuple[str, ...] = (
    "dataset.labels",
    "dataset.images",
    "dataset.boxes",
    "split.train_val_list",
    "split.test_list",
    "split.val_list",
)
"""Keys whose values are paths, resolved against the recipe's folder; ``model.weights`` besides."""
