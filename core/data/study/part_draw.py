"""How the recipe's subset drew a part: its prevalence, and that of the whole part.

Figures that depend on prevalence (val loss, AUPRC, PPV, NPV) need it, long after the whole split is
gone: dataset.json records it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import DataError
from core.findings import PRESENT
from core.regular_file import MOST_JSON_BYTES, read_regular

RECORDED_AS = "subset"
"""The key of dataset.json."""

_Share = Annotated[float, Field(ge=0, le=1)]


class PartDraw(BaseModel):
    """One part under a subset that sets a prevalence.

    Attributes:
        finding: whose prevalence was set.
        is_drawn: whether negatives of this part were drawn; False: it has its own prevalence.
        prevalence: of the finding in the remaining images; None if no label is known.
        natural_prevalence: finding -> prevalence in the whole part, if it has one; None if it was
            not recorded.
        positive_share, negative_share: remaining share of the whole part's images with and without
            the finding; None if not recorded, or if there were none.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    finding: str
    is_drawn: bool
    prevalence: _Share | None = None
    natural_prevalence: dict[str, _Share] | None = None
    positive_share: _Share | None = None
    negative_share: _Share | None = None

    @property
    def own_prevalence(self) -> float | None:
        """Prevalence of the subset's finding in the whole part; None if it was not recorded."""
        return (self.natural_prevalence or {}).get(self.finding)

    def weights(self, labels_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
        """Number of images of the whole part that each of N represents, by its label of the
        finding.

        The weight is 1 / sampling share (Horvitz and Thompson 1952). None if all weigh the same:
        the part was not drawn, or the whole was not recorded.
        """
        if not self.is_drawn or self.positive_share is None or self.negative_share is None:
            return None
        positive, negative = (
            1 / share if share else 0.0 for share in (self.positive_share, self.negative_share)
        )
        return np.where(labels_N == PRESENT, positive, negative).astype(np.float64)


_DRAWS = TypeAdapter(dict[str, PartDraw])


def read_draws(path: Path) -> dict[str, PartDraw] | None:
    """The draws of a session's parts in its dataset.json; None if none are recorded.

    Raises:
        DataError: the entry is invalid.
    """
    try:
        described = json.loads(read_regular(path, MOST_JSON_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    recorded = described.get(RECORDED_AS) if isinstance(described, dict) else None
    if recorded is None:
        return None
    try:
        return _DRAWS.validate_python(recorded)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (RECORDED_AS, *first["loc"])))
        raise _damaged(path, f"{key}: {first['msg']}") from None


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"can't be read ({what[:300]})",
        where=path,
        why="It holds the prevalence of the parts, and val loss is weighted by it.",
        remedy="Restore the old file, or start a new session.",
    )


def as_json(draws: Mapping[str, PartDraw]) -> dict[str, Any] | None:
    """Part -> its draw, as JSON values; None if no prevalence was set."""
    return {part: draw.model_dump(mode="json") for part, draw in draws.items()} or None


def draws_in_words(draws: Mapping[str, PartDraw]) -> str:
    """``Mass: train 29.0 % (drawn from 5.1 %), test 5.4 % (whole)``; '' if none was set."""
    if not draws:
        return ""
    finding = next(iter(draws.values())).finding
    parts = (f"{part} {_percent(draw.prevalence)} ({_how(draw)})" for part, draw in draws.items())
    return f"{finding}: {', '.join(parts)}"


def _how(draw: PartDraw) -> str:
    if draw.is_drawn:
        own = draw.own_prevalence
        return "drawn; the whole is not recorded" if own is None else f"drawn from {_percent(own)}"
    shares = (draw.positive_share, draw.negative_share)
    is_whole = all(share is None or share == 1 for share in shares)
    return "whole" if is_whole else f"capped evenly, from {_percent(draw.own_prevalence)}"


def warning_of_figures(part: str, draw: PartDraw) -> str | None:
    """The warning with every figure of a drawn part; None if it was not drawn."""
    if not draw.is_drawn:
        return None
    begin = f"{part} was drawn at a prevalence of {_percent(draw.prevalence)} of {draw.finding}"
    own = draw.own_prevalence
    if own is None:
        return (
            f"{begin} (that of the whole part is not recorded): AUPRC, PPV and NPV are of that draw"
        )
    return (
        f"{begin} ({_percent(own)} in the whole part): AUPRC, PPV and NPV are of that draw; their "
        "values at the natural prevalence are shown next to them"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
