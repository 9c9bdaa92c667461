"""What a report of test figures must look like before a screen draws it.

A report comes from ``events.jsonl`` or ``evaluation/test.json``, which others can have
written: a table where a number should stand must not end the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_SHAPE = ConfigDict(strict=True)  # "0.5" is not a number
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0, le=10**15)]
_Name = Annotated[str, Field(max_length=200)]
_Text = Annotated[str, Field(max_length=10_000)]
_Interval = Annotated[list[_Share], Field(min_length=2, max_length=2)]


class _Counts(BaseModel):
    model_config = _SHAPE

    true_positives: _Count
    false_positives: _Count


class _OperatingPoint(BaseModel):
    model_config = _SHAPE

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
    note: _Text | None = None
    counts: _Counts | None = None


class _Figures(BaseModel):
    model_config = _SHAPE

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
    auroc_by_view: Annotated[dict[_Name, _Share | None], Field(max_length=10)] | None = None
    table_alone_auroc: _Share | None = None
    operating_point: _OperatingPoint | None = None
    note: _Text | None = None


class _TableAlone(BaseModel):
    model_config = _SHAPE

    mean_auroc: _Share | None = None
    mean_auroc_ci: _Interval | None = None
    note: _Text | None = None


class _Reference(BaseModel):
    model_config = _SHAPE

    column: _Name | None = None
    note: _Text | None = None


class _BoundedMean(BaseModel):
    model_config = _SHAPE

    auroc: _Share | None = None
    ci: _Interval | None = None
    over: Annotated[list[_Name], Field(max_length=100)] | None = None


class _Report(BaseModel):
    model_config = _SHAPE

    split: _Name | None = None
    split_kind: _Name | None = None
    label_table: _Text | None = None
    images: _Count = 0
    patients: _Count = 0
    findings: Annotated[dict[_Name, _Figures], Field(max_length=100)] | None = None
    mean_auroc: _Share | None = None
    mean_auroc_ci: _Interval | None = None
    mean_auroc_with_interval: _BoundedMean | None = None
    mean_auprc: _Share | None = None
    operating_point: _Name | None = None
    reference: _Reference | None = None
    table_alone: _TableAlone | None = None
    labels_note: _Text | None = None
    warnings: list[_Text] | None = None


def fault_of_report(report: Mapping[str, Any]) -> str | None:
    """The first thing in a report that can't be drawn, in words; None where all is well.

    Keys that nobody draws are not looked at, and any may be missing.
    """
    try:
        _Report.model_validate(dict(report))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:6])
        return f"{where}: {first['msg']}"
    return None
