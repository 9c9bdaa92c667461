"""All settings of a run: typed, bounded, frozen, documented at each field.

A recipe has everything that determines what a run computes. The device, the cache folder and the
sessions folder are not part of it. ``core.recipe_toml`` reads and writes recipes as TOML.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from core.recipe_data import (
    MAX_SEED,
    PARTS,
    Blank,
    ColumnSettings,
    DatasetSettings,
    Finding,
    FindingLabels,
    ImageFrom,
    Kind,
    LabelSettings,
    Part,
    PatientFrom,
    PhantomSettings,
    RecipePath,
    Section,
    SplitSettings,
    SubsetSettings,
    TogetherSettings,
    Uncertain,
    View,
)

__all__ = [
    "IMAGENET",
    "NETWORK_STRIDE_PX",
    "NO_WEIGHTS",
    "PARTS",
    "PATH_KEYS",
    "READING_KEYS",
    "AugmentSettings",
    "Blank",
    "ColumnSettings",
    "DatasetSettings",
    "EvaluateSettings",
    "Finding",
    "FindingLabels",
    "ImageFrom",
    "ImageSettings",
    "Kind",
    "LabelSettings",
    "ModelSettings",
    "Part",
    "PatientFrom",
    "PhantomSettings",
    "Recipe",
    "RecipePath",
    "Section",
    "SplitSettings",
    "SubsetSettings",
    "TogetherSettings",
    "TrainSettings",
    "Uncertain",
    "View",
]

NETWORK_STRIDE_PX = 32
"""Stride of DenseNet121: one cell of its last feature map covers this many pixels."""

IMAGENET = "imagenet"
NO_WEIGHTS = "none"


class ImageSettings(Section):
    """The network's input."""

    size_px: int = Field(
        224, ge=32, le=1024, description="Width and height of the network's input."
    )
    grey: Literal["window", "range", "percentiles"] = Field(
        "window",
        description="From stored values to grey. window: a DICOM's own table or window, else its "
        "whole range; range: minimum to maximum; percentiles: 0.5th to 99.5th. Images of 8 bits "
        "that aren't DICOM keep their values.",
    )
    equalize: bool = Field(
        False,
        description="true: equalise each image's histogram, as CheXpert and MIMIC-CXR-JPG did.",
    )


class AugmentSettings(Section):
    """Random changes of training images, drawn for each image; off in val and test."""

    flip: float = Field(
        0.0, ge=0, le=1, description="Probability of mirroring. A mirrored heart is not anatomy."
    )
    rotate_deg: float = Field(0.0, ge=0, le=45, description="Rotation by up to this many degrees.")
    scale: float = Field(0.0, ge=0, le=0.5, description="Zoom in or out by up to this share.")
    shift: float = Field(0.0, ge=0, le=0.5, description="Shift by up to this share of the size.")


class ModelSettings(Section):
    """The network's starting point."""

    weights: str = Field(
        IMAGENET,
        min_length=1,
        description="imagenet, none, or the path of a checkpoint (cxr-tui, torchxrayvision, "
        "CheXNet).",
    )
    allow_partial_weights: bool = Field(
        False,
        description="true: accept weights that match less than 90 % of the backbone's tensors.",
    )
    seen_test_patients: Literal["refuse", "mark"] = Field(
        "refuse",
        description="What to do if the weights were, or may have been, trained on test patients.",
    )


class TrainSettings(Section):
    """How the network is trained."""

    epochs: int = Field(12, ge=1, le=10_000, description="Passes over the training part.")
    batch_size: int = Field(16, ge=1, le=4096, description="Images in an optimiser step.")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Images on the device together; gradients are accumulated to batch_size.",
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
        "plateau",
        description="plateau cuts the learning rate when val loss stalls; cosine decays it.",
    )
    plateau_factor: float = Field(
        0.1, gt=0, lt=1, description="Factor on the learning rate at a plateau."
    )
    plateau_patience: int = Field(
        1,
        ge=0,
        le=1000,
        description="Epochs without a better val loss before the learning rate is cut.",
    )
    warmup_epochs: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Epochs over which the learning rate rises from zero; may be 0.5.",
    )
    early_stopping: int = Field(
        0, ge=0, le=1000, description="Stop after this many epochs without a better one; 0: never."
    )
    clip_norm: float | None = Field(
        None, gt=0, le=1e6, description="Gradients are clipped to this norm."
    )
    loss: Literal["bce", "weighted-bce", "focal", "asymmetric"] = Field(
        "bce",
        description="bce: binary cross entropy; weighted-bce: weighted by prevalence; "
        "focal; asymmetric.",
    )
    focal_gamma: float = Field(2.0, ge=0, le=10, description="Gamma of the focal loss.")
    asymmetric_gamma: float = Field(
        4.0, ge=1, le=10, description="Gamma for negatives of the asymmetric loss."
    )
    asymmetric_margin: float = Field(
        0.05, ge=0, lt=1, description="Negatives below this probability have no loss."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 if the device has native support."
    )
    select_best: Literal["auroc", "val-loss"] = Field(
        "auroc",
        description="The best epoch: highest mean val AUROC over the findings with enough "
        "positive patients, or lowest val loss.",
    )
    min_positive_patients: int = Field(
        10,
        ge=1,
        le=10_000,
        description="Positive val patients that a finding needs to count in select_best.",
    )
    few_images_first: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Before training, overfit a copy of the network to 16 images; auto: if that "
        "takes less than a minute.",
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, le=10_000, description="Minutes between checkpoints within an epoch."
    )
    disk_wait_minutes: float = Field(
        60.0,
        ge=0,
        le=100_000,
        description="How long a run without a screen waits for space on a full disk before it "
        "stops.",
    )
    step: Literal["auto", "eager", "compiled", "graph"] = Field(
        "auto",
        description="How steps run: eager; compiled by torch.compile; graph: replayed from a CUDA "
        "graph. auto: on CUDA whatever saves time in this run, on a CPU eager. Compiled and graph "
        "steps are first compared with the eager step.",
    )
    resident_share: float = Field(
        0.5,
        ge=0,
        le=0.95,
        description="Images are kept in CUDA memory if they fit in this share of its free memory; "
        "0: never.",
    )
    sources: Literal["size", "even"] = Field(
        "size",
        description="Several data sets: size draws each as often as it has images, even gives "
        "each the same number in an epoch.",
    )
    trackers: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        (), max_length=2, description="Where else to show the run: tensorboard, mlflow."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed for weights, order and augmentation.")


_OPERATING_POINT = re.compile(r"youden|(sensitivity|specificity)=0?\.\d+")


class EvaluateSettings(Section):
    """How the test figures are computed."""

    bootstrap: int = Field(
        5000,
        ge=0,
        le=100_000,
        description="Bootstrap draws of patients for each interval; 0: no intervals.",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed for those draws.")
    reference: str = Field(
        "none", description="A column of the published figures, shown only with its own split."
    )
    operating_point: str = Field(
        "youden", description="youden, sensitivity=0.9 or specificity=0.9; chosen on val."
    )

    recalibrate: Literal["none", "platt", "isotonic"] = Field(
        "none",
        description="Make probabilities right, fitted on val: platt, a line through the logits; "
        "isotonic, in steps. AUROC and calls don't change.",
    )

    sealed: bool = Field(
        False,
        description="true: the test part stays closed at the end of the run, until evaluate "
        "--open.",
    )
    subgroups: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        (),
        max_length=10,
        description="Further columns of the label table whose values are groups in the figures.",
    )

    @field_validator("operating_point")
    @classmethod
    def _a_known_rule(cls, rule: str) -> str:
        share = rule.partition("=")[2]
        if not _OPERATING_POINT.fullmatch(rule) or (share and float(share) == 0):
            raise ValueError("must be youden, sensitivity=0.9 or specificity=0.9 (any share)")
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
    labels: LabelSettings = LabelSettings()
    datasets: tuple[TogetherSettings, ...] = Field(
        (),
        max_length=20,
        description="Several data sets in place of dataset and labels, with the keys of both: "
        "[[datasets]]. Then dataset.findings are those of all of them.",
    )
    split: SplitSettings = SplitSettings()
    subset: SubsetSettings = SubsetSettings()
    image: ImageSettings = ImageSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [name for name, _ in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"needs different datasets.name: {', '.join(twice)} occurs twice")
        return self

    @property
    def sources(self) -> tuple[tuple[str, Recipe], ...]:
        """Each of several data sets by its name, as a recipe of its own; () if there is one."""
        found = []
        for number, one in enumerate(self.datasets):
            name = one.name or one.kind or ("phantom" if one.phantom else f"set-{number + 1}")
            update = {"dataset": one.dataset, "labels": one.label_settings, "datasets": ()}
            found.append((name, self.model_copy(update=update)))
        return tuple(found)


PATH_KEYS: tuple[str, ...] = (
    "dataset.labels",
    "dataset.images",
    "dataset.boxes",
    "split.train_val_list",
    "split.test_list",
    "split.val_list",
)
"""Keys whose values are paths relative to the recipe's folder; ``model.weights`` can be one too."""

READING_KEYS: tuple[str, ...] = (
    *("dataset.kind", "dataset.views", "dataset.image_from", "dataset.patient_from"),
    *("labels.uncertain", "labels.blank", "labels.readers"),
    *(f"dataset.columns.{role}" for role in ColumnSettings.model_fields),
)
"""Keys that say how a label table is read; they belong to the data rather than to a preset."""
