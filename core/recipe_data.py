"""The sections of a recipe that say which images, which labels and which parts."""

from __future__ import annotations

import math
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

from core.findings import (
    FINDINGS,
    NO_FINDING,
    VOCABULARY,
    canonical_finding,
    is_no_finding,
    may_be_finding,
    nearest_name,
)

MAX_SEED = 2**32 - 1

_MISSPELT_FROM = 0.8


def _canonical(name: str) -> str:
    """The vocabulary's spelling, or a table's own name for a finding that is not in it."""
    finding = NO_FINDING if is_no_finding(name) else canonical_finding(name)
    if finding is not None:
        return finding
    nearest = nearest_name(name, VOCABULARY, cutoff=_MISSPELT_FROM)
    if nearest is not None:
        raise ValueError(f"is not a known finding. Did you mean {nearest!r}?")
    if not may_be_finding(name):
        raise ValueError("can't be a finding: predictions have a column of that name")
    return name


def _path_like(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must name a file or folder")
    return value


Finding = Annotated[str, AfterValidator(_canonical)]
RecipePath = Annotated[Path, BeforeValidator(_path_like)]


class Section(BaseModel):
    """One table of a recipe: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


class PhantomSettings(Section):
    """A synthetic data set, created once in the cache folder."""

    patients: int = Field(400, ge=4, le=30_000, description="Number of synthetic patients.")
    size_px: int = Field(256, ge=64, le=1024, description="Width and height of each image.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="The same seed gives the same bytes.")


Kind = Literal[
    "nih", "chexpert", "mimic-cxr", "padchest", "vindr", "rsna", "siim", "nih-experts", "table"
]
View = Literal["PA", "AP", "frontal", "lateral", "oblique", "decubitus", "other", "unknown"]
ImageFrom = Literal["table", "dicom"]
PatientFrom = Literal["table", "image", "study", "folder", "prefix", "dicom"]


class ColumnSettings(Section):
    """A table's own column names, where they can't be guessed, and its word for uncertain."""

    image: str | None = Field(None, min_length=1, description="Column of the image's file or path.")
    patient: str | None = Field(None, min_length=1, description="Column of the patient.")
    study: str | None = Field(None, min_length=1, description="Column of the study.")
    view: str | None = Field(None, min_length=1, description="Column of the view position.")
    age: str | None = Field(None, min_length=1, description="Column of the age, in years.")
    sex: str | None = Field(None, min_length=1, description="Column of the sex.")
    uncertain: str | None = Field(
        None, min_length=1, description="The cell that means uncertain, such as -1."
    )
    absent: str | None = Field(
        None, min_length=1, description="A cell besides 0 that means absent, such as -1 or no."
    )
    present: str | None = Field(
        None, min_length=1, description="A cell besides 1 that means present, such as yes."
    )


class DatasetSettings(Section):
    """Which images, which labels, which findings."""

    kind: Kind | None = Field(
        None,
        description="The collection that the table belongs to. Default: recognised by its header.",
    )
    labels: RecipePath | None = Field(
        None,
        description="Label table: a collection's own, or a CSV with one column for each "
        "finding. Default: the collection's name for it inside dataset.images.",
    )
    images: RecipePath | None = Field(
        None, description="Folder searched once for the images (or NIH's archives) of the table."
    )
    boxes: RecipePath | None = Field(
        None,
        description="Box table, in 1024-pixel coordinates. Default: NIH's name, if there, or the "
        "collection's own boxes.",
    )
    findings: tuple[Finding, ...] = Field(
        FINDINGS,
        min_length=1,
        max_length=100,
        description="Findings to learn, in the order of the outputs.",
    )
    views: tuple[View, ...] | None = Field(
        None,
        description="Views that are kept; the others are left out and counted. Default: frontal "
        "ones.",
    )
    image_from: ImageFrom = Field(
        "table",
        description="How a row finds its images: table (it names a file); or dicom (it names what "
        "the headers hold: SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID or "
        "AccessionNumber).",
    )
    patient_from: PatientFrom = Field(
        "table",
        description="Where the patient is read: table; or, where it names none: image (each image "
        "its own), study, folder, prefix (of the file name, up to the first _), dicom (PatientID).",
    )
    columns: ColumnSettings = ColumnSettings()
    partial: bool = Field(
        False, description="true: train on the images that exist and report how many are missing."
    )
    max_quarantined_share: float = Field(
        0.001, ge=0, le=1, description="Largest share of images that may fail to decode."
    )
    phantom: PhantomSettings | None = Field(
        None, description="A synthetic data set instead of labels and images."
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


Uncertain = Literal["ignore", "ones", "zeros", "smooth"]
Blank = Literal["absent", "unknown"]


class FindingLabels(Section):
    """The policy for one finding, in place of the one for all."""

    uncertain: Uncertain | None = None
    blank: Blank | None = None


class LabelSettings(Section):
    """What uncertain labels and blank cells mean. In val and test, uncertain labels are left
    out."""

    uncertain: Uncertain | None = Field(
        None,
        description="Uncertain labels in train: ignore (masked in the loss), ones, zeros, smooth "
        "(a value from 0.55 to 0.85). Default: that of the collection's authors.",
    )
    blank: Blank | None = Field(
        None,
        description="A finding that a row doesn't mention: absent or unknown (masked). Default: "
        "that of the collection's authors.",
    )
    readers: Literal["any", "majority", "all", "share"] = Field(
        "majority",
        description="Where several readers labelled an image: any, a majority, or all of them say "
        "present; share trains on the share of readers and scores the majority.",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed for the values of smooth.")
    by_finding: dict[Finding, FindingLabels] = Field(
        default_factory=dict, description="A finding's own uncertain and blank."
    )


class TogetherSettings(DatasetSettings):
    """One of several data sets that are trained on together, with its own label policy."""

    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$",
        description="The source's name in split.csv and predictions. Default: its kind.",
    )
    uncertain: Uncertain | None = None
    blank: Blank | None = None
    readers: Literal["any", "majority", "all", "share"] = "majority"
    seed: int = Field(0, ge=0, le=MAX_SEED)
    by_finding: dict[Finding, FindingLabels] = Field(default_factory=dict)

    @property
    def dataset(self) -> DatasetSettings:
        """It as the one data set of a recipe."""
        kept = {name: getattr(self, name) for name in DatasetSettings.model_fields}
        return DatasetSettings(**kept)

    @property
    def label_settings(self) -> LabelSettings:
        """Its label policy."""
        return LabelSettings(**{name: getattr(self, name) for name in LabelSettings.model_fields})


class SplitSettings(Section):
    """Which patients are used for training, for choosing the best epoch, and for the test
    figures."""

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
    train_val_list: RecipePath | None = Field(None, description="One file name per line.")
    test_list: RecipePath | None = Field(None, description="One file name per line.")
    val_list: RecipePath | None = Field(
        None, description="One file name per line; without it val is drawn from train_val."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed for drawing patients.")

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        total = self.train + self.val + self.test
        if self.by == "patient" and not math.isclose(total, 1.0, abs_tol=1e-6):
            raise ValueError(f"needs train + val + test = 1 if by = 'patient', got {total:g}")
        return self


Part = Literal["train", "val", "test"]
PARTS = ("train", "val", "test")


class SubsetSettings(Section):
    """A subset of the split: a target prevalence for one finding, a maximum size."""

    finding: Finding | None = Field(None, description="The finding whose prevalence is set.")
    prevalence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Keep all positives and draw negatives to this prevalence in each of parts.",
    )
    parts: tuple[Part, ...] = Field(
        ("train", "val"),
        description="The parts that are drawn to the prevalence; the others stay whole, except for "
        "max_images. If test is among them, every figure says so.",
    )
    max_images: int | None = Field(
        None,
        ge=3,
        description="Maximum for all parts together; each keeps its prevalence.",
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed for drawing images.")

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
            raise ValueError("needs finding, whose prevalence is set")
        return self
