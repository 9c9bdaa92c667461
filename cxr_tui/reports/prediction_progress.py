"""How far a prediction is: a line on stderr, if that is a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn

from cxr_tui.terminal.safe_text import duration
from cxr_tui.terminal.stdout import stderr_console

_SECONDS_BETWEEN = 0.2


class PredictionProgress:
    """Images done, their rate, and the time left where their number is known.

    They are counted beside the work; with an archive or a list there is no end to tell.

    Attributes:
        passed: images that have a row already.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.passed = 0
        self._paths = paths
        self._done = 0
        self._total: int | None = None
        self._told = 0.0
        self._started = time.monotonic()
        self._bar: Progress | None = None

    def add(self, images: int) -> None:
        """So many more are done."""
        self._done += images
        self.tell()

    def tell(self) -> None:
        """Redraw the line, a few times a second."""
        now = time.monotonic()
        if self._bar is None or now - self._told < _SECONDS_BETWEEN:
            return
        self._told = now
        (task,) = self._bar.task_ids
        done, rate = self.passed + self._done, self._done / max(now - self._started, 1e-6)
        words = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        words += f" images  {rate:,.0f} images/s" if rate >= 10 else f" images  {rate:.1f} images/s"
        if self._total is not None and rate > 0:
            words += f"  {duration(max(0, self._total - done) / rate)} left"
        self._bar.update(task, completed=done, total=self._total, words=words)

    def __enter__(self) -> Self:
        console = stderr_console()
        if console.file.isatty():
            self._bar = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.fields[words]}"),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task("predict", total=None, words="")
            self._bar.start()
            threading.Thread(target=self._count, name="count", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _count(self) -> None:
        from core.data.images.given_images import count_images

        self._total = count_images(self._paths)
