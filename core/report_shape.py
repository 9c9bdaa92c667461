"""A report of figures, typed and validated before a screen draws it.

A report comes from ``events.jsonl`` or ``evaluation/test.json``, which others may have written: a
table instead of a number must not crash the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_Share = Annotated[float, Field(ge=0, le=1)]
_Signed = Annotated[float, Field(ge=-2, le=2)]
_Count = Annotated[int, Field(ge=0, le=10**15)]
_Name = Annotated[str, Field(max_length=200)]
_Text = Annotated[str, Field(max_length=10_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Ends = Annotated[tuple[_Finite, _Finite], Field(strict=False)]
_MOST_THRESHOLDS = 200
_Interval = Annotated[tuple[_Share, _Share], Field(strict=False)]  # JSON has lists


class _Shape(BaseModel):
    """Keys that aren't drawn are not checked; any may be missing or null."""

    model_config = ConfigDict(strict=True, frozen=True)  # "0.5" is not a number

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if item is not None}


class ReportedCounts(_Shape):
    """Counts of images classified as positive."""

    true_positives: _Count
    false_positives: _Count


class ReportedPoint(_Shape):
    """An operating point; ``note`` says why there is none."""

    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    sensitivity: _Share | None = None
    specificity: _Share | None = None
    ppv: _Share | None = None
    npv: _Share | None = None
    sensitivity_ci: _Interval | None = None
    specificity_ci: _Interval | None = None
    ppv_ci: _Interval | None = None
    npv_ci: _Interval | None = None
    ppv_natural: _Share | None = None
    npv_natural: _Share | None = None
    note: _Text = ""
    counts: ReportedCounts | None = None


class ReportedFigures(_Shape):
    """One finding's figures; None where undefined."""

    positives: _Count | None = None
    positive_patients: _Count | None = None
    effective_positive_patients: Annotated[float, Field(ge=0, le=10**15)] | None = None
    prevalence: _Share | None = None
    natural_prevalence: _Share | None = None
    auprc_natural: _Share | None = None
    auroc: _Share | None = None
    auroc_ci: _Interval | None = None
    auprc: _Share | None = None
    auprc_ci: _Interval | None = None
    auroc_by_view: Annotated[dict[_Name, _Share | None], Field(max_length=10)] = {}
    table_alone_auroc: _Share | None = None
    operating_point: ReportedPoint = ReportedPoint()
    internal: _Share | None = None
    difference: _Signed | None = None
    difference_ci: Annotated[tuple[_Signed, _Signed], Field(strict=False)] | None = None
    because: Annotated[dict[_Name, _Signed | None], Field(max_length=10)] = {}
    because_ci: Annotated[dict[_Name, _Ends | None], Field(max_length=10)] = {}
    log_loss: _Finite | None = None
    internal_log_loss: _Finite | None = None
    log_loss_difference: _Finite | None = None
    log_loss_difference_ci: _Ends | None = None
    because_log_loss: Annotated[dict[_Name, _Finite | None], Field(max_length=10)] = {}
    because_log_loss_ci: Annotated[dict[_Name, _Ends | None], Field(max_length=10)] = {}
    note: _Text = ""


class ReportedTable(_Shape):
    """The AUROC of the label table alone."""

    mean_auroc: _Share | None = None
    mean_auroc_ci: _Interval | None = None
    note: _Text = ""
    columns: Annotated[list[_Name], Field(max_length=20)] = []


class ReportedReference(_Shape):
    """The published figures, or why they are left blank."""

    column: _Name = ""
    note: _Text = ""


class BoundedMean(_Shape):
    """The mean over the findings with an interval."""

    auroc: _Share | None = None
    ci: _Interval | None = None
    over: Annotated[list[_Name], Field(max_length=100)] = []


class ReportedGap(_Shape):
    """A group's figure minus that of the rest."""

    rest: _Finite | None = None
    difference: _Finite | None = None
    ci: _Ends | None = None
    p: _Share | None = None
    p_holm: _Share | None = None
    matched: _Finite | None = None
    matched_ci: _Ends | None = None


class ReportedMissed(_Shape):
    """The false positive rate of No Finding in a group."""

    images: _Count = 0
    patients: _Count = 0
    rate: _Share | None = None
    rate_ci: _Interval | None = None
    gap: ReportedGap | None = None
    note: _Text = ""


class GroupFigures(_Shape):
    """A finding in a group; figures are None where undefined or of too few patients."""

    positives: _Count = 0
    negatives: _Count = 0
    positive_patients: _Count = 0
    prevalence: _Share | None = None
    auroc: _Share | None = None
    auroc_ci: _Interval | None = None
    sensitivity: _Share | None = None
    sensitivity_ci: _Interval | None = None
    false_positive_rate: _Share | None = None
    false_positive_rate_ci: _Interval | None = None
    calibration_in_the_large: _Finite | None = None
    calibration_in_the_large_ci: _Ends | None = None
    gaps: Annotated[dict[_Name, ReportedGap], Field(max_length=10)] = {}
    note: _Text = ""


class ReportedGroup(_Shape):
    """A group of images, see ``core.evaluation.subgroups.subgroup_report``."""

    by: _Name = ""
    group: _Name = ""
    images: _Count = 0
    patients: _Count = 0
    rest_images: _Count = 0
    rest_patients: _Count = 0
    underdiagnosis: ReportedMissed = ReportedMissed()
    findings: Annotated[dict[_Name, GroupFigures], Field(max_length=100)] = {}


class ReportedLooks(_Shape):
    """How often the part has been looked at, see ``core.store.ledger``."""

    times: _Count = 0
    sessions: _Count = 0
    warning: _Text = ""


class ReportedCalibration(_Shape):
    """A finding's calibration, see ``core.evaluation.calibrating.calibration_report``."""

    intercept: _Finite | None = None
    intercept_ci: _Ends | None = None
    slope: _Finite | None = None
    slope_ci: _Ends | None = None
    observed_expected: _Finite | None = None
    observed_expected_ci: _Ends | None = None
    brier: _Share | None = None
    brier_ci: _Interval | None = None
    scaled_brier: _Finite | None = None
    scaled_brier_ci: _Ends | None = None
    miscalibration: _Finite | None = None
    discrimination: _Finite | None = None
    uncertainty: _Finite | None = None
    ece: _Share | None = None
    ece_if_calibrated: _Finite | None = None
    ece_limit: _Finite | None = None
    val_prevalence: _Share | None = None
    train_prevalence: _Share | None = None
    note: _Text = ""


class ReportedRecalibration(_Shape):
    """What probabilities went through, and the calibration without it."""

    method: _Name = ""
    findings: Annotated[list[_Name], Field(max_length=100)] = []
    notes: Annotated[dict[_Name, _Text], Field(max_length=100)] = {}
    before: Annotated[dict[_Name, ReportedCalibration], Field(max_length=100)] = {}


class ReportedWorth(_Shape):
    """PPV, NPV and alarms at a prevalence."""

    ppv: _Share | None = None
    ppv_ci: _Interval | None = None
    npv: _Share | None = None
    npv_ci: _Interval | None = None
    alarms_per_1000: Annotated[float, Field(ge=0, le=1000)] | None = None


class ReportedElsewhere(_Shape):
    """What calls and probabilities are worth at a prevalence that was given."""

    prevalence: _Share | None = None
    prevalence_here: _Share | None = None
    there: ReportedWorth = ReportedWorth()
    here: ReportedWorth = ReportedWorth()
    logit_shift: _Finite | None = None
    shifted_from: _Share | None = None
    shifted_from_part: _Name = ""
    calibration: ReportedCalibration = ReportedCalibration()
    note: _Text = ""


class ReportedDecision(_Shape):
    """A finding's decision curve; lists of the same length, or empty."""

    thresholds: Annotated[list[_Share], Field(max_length=_MOST_THRESHOLDS)] = []
    net_benefit: Annotated[list[_Finite], Field(max_length=_MOST_THRESHOLDS)] = []
    net_benefit_ci: Annotated[list[_Ends | None], Field(max_length=_MOST_THRESHOLDS)] = []
    treat_all: Annotated[list[_Finite], Field(max_length=_MOST_THRESHOLDS)] = []
    gain: Annotated[list[_Finite], Field(max_length=_MOST_THRESHOLDS)] = []
    gain_ci: Annotated[list[_Ends | None], Field(max_length=_MOST_THRESHOLDS)] = []
    note: _Text = ""

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        lists = (self.net_benefit, self.net_benefit_ci, self.treat_all, self.gain, self.gain_ci)
        if any(len(one) != len(self.thresholds) for one in lists):
            raise ValueError("the curve's lists differ in length")
        return self


class PartReport(_Shape):
    """The figures of a part, see ``core.evaluation.report`` and ``core.health.report``."""

    split: _Name = ""
    split_kind: _Name = ""
    kind: _Name = "nih"
    official_part: _Name | None = None
    label_table: _Text | None = None
    images: _Count = 0
    patients: _Count | None = 0
    findings: Annotated[dict[_Name, ReportedFigures], Field(max_length=100)] = {}
    mean_auroc: _Share | None = None
    mean_auroc_ci: _Interval | None = None
    mean_auroc_with_interval: BoundedMean = BoundedMean()
    mean_auprc: _Share | None = None
    calibration: Annotated[dict[_Name, ReportedCalibration], Field(max_length=100)] = {}
    at_prevalence: Annotated[dict[_Name, ReportedElsewhere], Field(max_length=100)] = {}
    recalibration: ReportedRecalibration = ReportedRecalibration()
    decision_curve: Annotated[dict[_Name, ReportedDecision], Field(max_length=100)] = {}
    operating_point: _Name = ""
    reference: ReportedReference = ReportedReference()
    table_alone: ReportedTable = ReportedTable()
    labels_note: _Text = ""
    label_policy: Annotated[list[_Text], Field(max_length=20)] = []
    warnings: list[_Text] = []
    subgroups: Annotated[list[ReportedGroup], Field(max_length=1000)] = []
    looks: ReportedLooks | None = None
    health: object = None
    """Diagnoses of health checks, not validated here."""

    def counted(self, looks: Mapping[str, Any] | None) -> Self:
        """The same report with the count of looks, which no saved report has; None: unknown."""
        if looks is None:
            return self
        return self.model_copy(update={"looks": ReportedLooks.model_validate(dict(looks))})

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """Validate a report from JSON.

        Raises:
            ValueError: a value can't be drawn; the message names the first.
        """
        try:
            return cls.model_validate(dict(report))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part)[:40] for part in first["loc"][:6])
            raise ValueError(f"{where}: {first['msg']}") from None
