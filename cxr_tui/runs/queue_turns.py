"""The queue as a console works on it: one entry after the other, each on the run's own thread.

What touches the disk here may take seconds: call it on a thread, not on the painting one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import CxrError, RunFailedError
from core.named_run import NamedRun, Outcome
from core.store.queue.entry import Ended
from core.store.queue.queue import Queue
from core.store.queue.role import WorkerRole, take_role
from core.store.queue.taking import TakenEntry, take_next

if TYPE_CHECKING:
    from core.store.session import Session
    from cxr_tui.runs.open_session import OpenSession


@dataclass
class QueueTurns:
    """This process as a worker of a folder's queue.

    Attributes:
        taken: the entry at hand; None between two.
    """

    sessions: Path
    device: str
    cache: Path
    taken: TakenEntry | None = None
    _role: WorkerRole | None = None
    _passed: set[str] = field(default_factory=set)

    @property
    def queue(self) -> Queue:
        """The folder's."""
        return Queue(self.sessions)

    def take(self) -> Session | None:
        """Take the next entry and make its session, to be run; None if there is none to take.

        Raises:
            CxrError: another worker has this GPU, or the disk is full or fails.
        """
        if self._role is None:
            self._role = take_role(self.queue, self.device)
        while True:
            taken = take_next(self.queue, self._passed)
            if taken is None:
                return None
            try:
                session = self._made(taken)
            except OSError as error:
                taken.release()
                raise RunFailedError(error.strerror or str(error), where=error.filename) from error
            except CxrError as error:
                if (outcome := Outcome("failed", error)).lacks_room:
                    taken.release()
                    raise
                self._record(taken, outcome)
                continue  # a refusal stays with its entry, and the next one has its turn
            self.taken = taken
            return session

    def _made(self, taken: TakenEntry) -> Session:
        entry = taken.entry
        run = NamedRun(self.sessions, entry.session.name, entry.recipe, self.device, self.cache)
        session = run.session()
        taken.begin()
        return session

    def settle(self, running: OpenSession, *, failure: CxrError | None) -> str:
        """Record how the entry at hand ended, and let it go; returns what to say of it."""
        taken, self.taken = self.taken, None
        if taken is None:
            return ""
        name = taken.entry.session.name
        if failure is None:
            state = "finished" if running.view.state == "finished" else "stopped"
            outcome = Outcome(state)
        else:
            outcome = Outcome("stopped" if failure.exit_code == 75 else "failed", failure)
        if outcome.lacks_room or outcome.has_waited_for_room:
            self._passed.add(taken.entry.name)
            taken.leave_for_later()
            taken.release()
            return f"{name} stays in the queue: it lacks space"
        self._record(taken, outcome)
        return f"queue: {name} {outcome.state}"

    def _record(self, taken: TakenEntry, outcome: Outcome) -> None:
        message = "" if outcome.error is None else str(outcome.error)
        try:
            taken.end(Ended(outcome.state, outcome.exit_code, message, time.time()))
        except OSError:  # a full disk: its session shows the end, too, if it was begun
            self._passed.add(taken.entry.name)
        finally:
            taken.release()

    def give_up(self) -> None:
        """Work on it no more; an entry at hand that was begun is anyone's to go on with."""
        taken, self.taken = self.taken, None
        if taken is not None:
            taken.release()
        role, self._role = self._role, None
        if role is not None:
            role.give_up()
