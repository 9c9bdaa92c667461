"""Events of the run under way: onto the disk, then to whoever watches.

However a run leaves, exactly one terminal event is its last.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

from core.errors import CxrError, StoppedError
from core.events import Event, Failed, Stopped
from core.store.session import Session


class Recorder:
    """Calls with an event record it and pass it on."""

    def __init__(self, session: Session, emit: Callable[[Event], None]) -> None:
        self.writer = session.writing()
        self._emit = emit
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Record the event, then pass it on."""
        stamped = self.writer.append(event)
        self._ended = self._ended or stamped.ends_run
        self._emit(stamped)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and not self._ended:
                self.writer.note("".join(traceback.format_exception(error)))
                self(_last_words(error))
        finally:
            self.writer.__exit__(kind, error, trace)


def _last_words(error: BaseException) -> Event:
    if isinstance(error, StoppedError):
        return Stopped(step=0, reason=str(error))
    if isinstance(error, KeyboardInterrupt):
        return Failed(message="interrupted at once, without a new checkpoint", exit_code=75)
    if isinstance(error, CxrError):
        return Failed(message=str(error), exit_code=error.exit_code)
    return Failed(message=f"a defect of ours: {type(error).__name__}: {error}", exit_code=1)
