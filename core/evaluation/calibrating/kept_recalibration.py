"""A session's recalibration: ``predictions/recalibration.json``, fitted on its val.csv."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import DataError
from core.evaluation.calibrating.recalibration import (
    LogitMap,
    Method,
    Recalibration,
    fit_recalibration,
)
from core.evaluation.predictions import Predictions, read_predictions
from core.store.files import is_file
from core.store.session import Session

FILE = "predictions/recalibration.json"

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Knots = Annotated[list[_Finite], Field(min_length=1, max_length=10_000)]


class _KeptMap(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    at: _Knots
    to: _Knots
    below: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    above: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _rises(self) -> _KeptMap:
        if len(self.at) != len(self.to):
            raise ValueError("at and to differ in length")
        if any(not later > one for of in (self.at, self.to) for one, later in pairwise(of)):
            raise ValueError("the map doesn't rise")
        return self


class _Kept(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    method: Method
    findings: Annotated[dict[str, _KeptMap], Field(max_length=100)]
    notes: Annotated[dict[str, str], Field(max_length=100)] = {}
    prevalence: Annotated[dict[str, _Finite], Field(max_length=100)] = {}


def keep_recalibration(session: Session) -> None:
    """Fit what the recipe asks for on val.csv, and write it; without a method nothing is written.

    Raises:
        DataError: val.csv is damaged.
        OSError: the disk is full, or can't be written.
    """
    method, val = session.recipe.evaluate.recalibrate, session.predictions / "val.csv"
    if method != "none" and is_file(val):
        fitted = fit_recalibration(read_predictions(val), method)
        session.write_json(FILE, recalibration_json(fitted))


def recalibration_of(
    session: Session, method: str | None = None, val: Predictions | None = None
) -> Recalibration | None:
    """What probabilities of this session go through; None if they stay the network's own.

    Args:
        session: its file is read if it is of that method; else it is fitted on val.csv now.
        method: none, platt or isotonic; None: as the recipe says.
        val: the content of val.csv, if it has been read.

    Raises:
        DataError: the file, or val.csv, is damaged.
    """
    wanted = method or session.recipe.evaluate.recalibrate
    if wanted == "none":
        return None
    path = session.path / FILE
    if is_file(path):
        kept = _read(session)
        if kept.method == wanted:
            return kept
    val_path = session.predictions / "val.csv"
    if val is None and not is_file(val_path):
        return None
    fitted_as: Method = "platt" if wanted == "platt" else "isotonic"
    return fit_recalibration(read_predictions(val_path) if val is None else val, fitted_as)


def _read(session: Session) -> Recalibration:
    try:
        kept = _Kept.model_validate(session.read_json(FILE))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise DataError(
            f"is damaged or was edited ({where}: {first['msg']})",
            where=session.path / FILE,
            why="Every probability of the session goes through it.",
            remedy="Delete it: it is fitted again on val.csv.",
        ) from None
    maps = {
        name: LogitMap(tuple(of.at), tuple(of.to), of.below, of.above)
        for name, of in kept.findings.items()
    }
    return Recalibration(kept.method, maps, kept.notes, kept.prevalence)


def recalibration_json(recalibration: Recalibration) -> dict[str, object]:
    """As in the file: maps of logits, and nothing of a patient."""
    return {
        "method": recalibration.method,
        "fitted_on": "val",
        "scale": "logit: ln(p / (1 - p)); straight lines from at to to, beyond with these slopes",
        "findings": {
            name: {"at": list(of.at), "to": list(of.to), "below": of.below, "above": of.above}
            for name, of in recalibration.maps.items()
        },
        "notes": dict(recalibration.notes),
        "prevalence": dict(recalibration.prevalence),
    }
