"""Progress of a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BLOCK_SECONDS = 3.0
"""Default length of a block."""

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total or None); may raise to end the measurement."""


@dataclass
class Rounds:
    """The rounds of one stage of a measurement."""

    stage: str
    total: int
    progress: Progress
    begun: int = 0

    def begin(self) -> None:
        """Start the next round."""
        self.check()
        self.begun += 1

    def check(self) -> None:
        """Give the caller a chance to end the measurement."""
        self.progress(self.stage, min(self.begun, self.total), self.total)
