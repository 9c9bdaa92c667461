"""What was computed and read of the session shown, by the state of its files; no Textual."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import CxrError
from core.evaluation.part_scores import PartScores

if TYPE_CHECKING:
    from core.store.session import Session


@dataclass(frozen=True)
class Version:
    """A part's predictions as they are: a better epoch writes val's anew."""

    session: Session
    part: str
    changed_ns: int


@dataclass
class ResultCache:
    """Figures and scores of one session; a sentence stands where they can't be had."""

    session: Session
    reports: dict[Version, Mapping[str, Any] | str] = field(default_factory=dict)
    scores: dict[Version, PartScores | str] = field(default_factory=dict)
    _claimed: set[tuple[str, Version]] = field(default_factory=set)
    _localized: tuple[int, list[str]] = field(default=(0, []))

    def version(self, part: str) -> Version | None:
        """The part's predictions as they are now, or None before there are any."""
        try:
            changed = (self.session.predictions / f"{part}.csv").stat().st_mtime_ns
        except OSError:
            return None
        return Version(self.session, part, changed)

    def localization(self) -> list[str]:
        """What was found of maps against boxes, in sentences; none before it was measured."""
        path = self.session.path / "evaluation" / "localization.json"
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return []
        if changed != self._localized[0]:
            summary: list[str] = []
            with contextlib.suppress(CxrError):  # damaged: `l` in CAMs measures again
                kept = self.session.read_json("evaluation/localization.json") or {}
                told = kept.get("summary")
                summary = [str(line) for line in told] if isinstance(told, list) else []
            self._localized = changed, summary
        return self._localized[1]

    def claim(self, what: str, version: Version) -> bool:
        """Whether nobody works on that yet; from now on somebody does."""
        if (what, version) in self._claimed:
            return False
        self._claimed.add((what, version))
        return True
