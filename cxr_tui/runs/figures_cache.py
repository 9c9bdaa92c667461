"""Results of the session shown, cached by the state of its files; no Textual."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import CxrError
from core.evaluation.part_scores import PartScores
from core.report_shape import PartReport

if TYPE_CHECKING:
    from core.store.session import Session


@dataclass(frozen=True)
class Version:
    """The current state of a part's predictions: a better epoch rewrites those on val."""

    session: Session
    part: str
    changed_ns: int


@dataclass
class ResultCache:
    """Figures and scores of one session, or a sentence on why there are none."""

    session: Session
    reports: dict[Version, PartReport | str] = field(default_factory=dict)
    scores: dict[Version, PartScores | str] = field(default_factory=dict)
    looks: Mapping[str, Any] | None = None
    """How often the test part has been looked at; None until it is counted."""
    _claimed: set[tuple[str, Version]] = field(default_factory=set)
    _localized: tuple[int, list[str]] = field(default=(0, []))

    def version(self, part: str) -> Version | None:
        """The part's current predictions, or None before there are any."""
        try:
            changed = self.session.predictions_of(part).stat().st_mtime_ns
        except OSError:
            return None
        return Version(self.session, part, changed)

    @cached_property
    def is_sealed(self) -> bool:
        """Whether the test part is closed; asked only where there are no test figures."""
        from core.store.sealed import is_sealed

        return is_sealed(self.session)

    def localization(self) -> list[str]:
        """Results of maps against boxes, in sentences; empty before they are measured."""
        path = self.session.path / "evaluation" / "localization.json"
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return []
        if changed != self._localized[0]:
            summary: list[str] = []
            with contextlib.suppress(CxrError):  # damaged: `m` in CAMs measures again
                kept = self.session.read_json("evaluation/localization.json") or {}
                told = kept.get("summary")
                summary = [str(line) for line in told] if isinstance(told, list) else []
            self._localized = changed, summary
        return self._localized[1]

    def claim(self, what: str, version: Version) -> bool:
        """Whether nobody works on this yet; claims it if so."""
        if (what, version) in self._claimed:
            return False
        self._claimed.add((what, version))
        return True
