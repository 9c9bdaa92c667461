"""How far a measurement is, told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BLOCK_SECONDS = 3.0
"""Of one block, unless said otherwise."""

Progress = Callable[[str, int, int | None], None]
"""Told (what is done, how much of it, how much there is or None); may raise to end it all."""


@dataclass
class Rounds:
    """The rounds of one stage of the measurement."""

    stage: str
    total: int
    progress: Progress
    begun: int = 0

    def begin(self) -> None:
        """Another one begins."""
        self.check()
        self.begun += 1

    def check(self) -> None:
        """Nothing new, but a moment at which it can be ended."""
        self.progress(self.stage, min(self.begun, self.total), self.total)
