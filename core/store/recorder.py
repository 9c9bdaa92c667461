"""Record the events of a run on disk, then pass them on.

However a run ends, its last event is exactly one terminal event.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from core.errors import CxrError, StoppedError, internal_error
from core.events import CheckpointWritten, Event, Failed, Resumed, Stopped
from core.store.disk import lacks_room
from core.store.session import Session


class Recorder:
    """A callable that records an event and passes it on.

    ``keep`` calls the writing function; a run replaces it by one that waits for disk space.
    """

    def __init__(
        self,
        session: Session,
        emit: Callable[[Event], None],
        while_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.writer = session.writing(while_waiting)
        self.keep: Callable[[Callable[[], None]], None] = _at_once
        self._emit = emit
        self._ended = False
        self.step = 0
        """The last recorded step."""
        self.kept_step = 0
        """The step of the last checkpoint that was written or resumed from."""

    def __call__(self, event: Event) -> None:
        """Record the event, then pass it on.

        Raises:
            OSError: it can't be written, and ``keep`` doesn't wait.
        """
        stamped = self.writer.add(self._with_place(event))
        self.keep(self.writer.flush)
        self._pass_on(stamped)

    def say(self, event: Event) -> None:
        """Pass the event on immediately; if it can't be recorded now, it is with a later event."""
        stamped = self.writer.add(self._with_place(event))
        with contextlib.suppress(OSError):
            self.writer.flush()
        self._pass_on(stamped)

    def _with_place(self, event: Event) -> Event:
        """The event; a stop also says if the session's folder or lock caused it."""
        if not isinstance(event, Stopped) or (why := self.writer.stops_because) is None:
            return event
        moved_to = self.writer.moved_to
        return replace(event, reason=why, moved_to="" if moved_to is None else str(moved_to))

    def _pass_on(self, stamped: Event) -> None:
        self._ended = self._ended or stamped.ends_run
        if isinstance(stamped, CheckpointWritten | Resumed):
            self.kept_step = stamped.step
        self.step = getattr(stamped, "step", self.step)
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
                # On a full disk the terminal event may not fit; the error itself propagates.
                with contextlib.suppress(OSError):
                    self.writer.note("".join(traceback.format_exception(error)))
                self.say(_last_words(error, self.kept_step))
        finally:
            self.writer.__exit__(kind, error, trace)


def _at_once(write: Callable[[], None]) -> None:
    write()


def _last_words(error: BaseException, kept_step: int) -> Event:
    if isinstance(error, StoppedError):
        return Stopped(step=kept_step, reason=error.what)
    if isinstance(error, KeyboardInterrupt):
        return Failed(message="interrupted immediately, without a new checkpoint", exit_code=75)
    if isinstance(error, CxrError):
        return Failed(message=str(error), exit_code=error.exit_code, lacks_room=lacks_room(error))
    return Failed(message=internal_error(error), exit_code=1, lacks_room=lacks_room(error))
