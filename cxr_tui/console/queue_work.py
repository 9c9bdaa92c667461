"""The console as a worker of the queue: what is added while a run is on starts after it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import CxrError

if TYPE_CHECKING:
    from core.recipe import Recipe
    from core.store.session import Session
    from cxr_tui.console.console import Console
    from cxr_tui.runs.open_session import OpenSession
    from cxr_tui.runs.queue_turns import QueueTurns

_LOOK_SECONDS = 2.0


class QueueWork:
    """Belongs to the painting thread; ``tick`` is called a few times a second.

    Attributes:
        is_on: whether this console takes entries when no run of its own is on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.is_on = False
        self._turns: QueueTurns | None = None
        self._opened: OpenSession | None = None
        self._is_reading = self._is_left = False
        self._at_disk = threading.Lock()
        self._look_at = 0.0

    def offer(self, recipe: Recipe) -> None:
        """Ask whether the recipe is to wait until the run that is on has ended."""
        running = self._console.workspace.running
        if running is None:
            return
        from cxr_tui.console.dialogs import Question  # not before the first paint

        text = "This recipe can wait in the queue. It starts here when that run has ended."
        if problem := self._console.workspace.problem:
            text += f"\n\nIt would be refused as things are: {problem}"
        question = Question(
            f"{running.name} is running", text, [("enter", f"add {recipe.name} to the queue")]
        )
        self._console.push_screen(
            question, lambda answer: self.add(recipe) if answer == "enter" else None
        )

    def add(self, recipe: Recipe) -> None:
        """Add the recipe, and take it here in its turn."""
        from core.store.queue.queue import Queue

        try:
            queue = Queue(self._console.workspace.sessions)
            entry = queue.add(recipe)
        except CxrError as error:
            self._console.say(str(error))
            return
        paused = " The queue is paused." if queue.is_paused else ""
        self._console.say(f"Added to the queue as entry {entry.number}.{paused}")
        self.start()

    def start(self) -> None:
        """Take entries from now on, until none is left."""
        self.is_on, self._look_at = True, 0.0

    def tick(self) -> None:
        """Record how a run ended, and begin the next one."""
        if self._is_reading:
            return
        running = self._console.workspace.running
        if self._opened is not None and running is not self._opened:
            self._on_thread(self._settle)
        elif self.is_on and running is None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._on_thread(self._take)

    @property
    def is_paused(self) -> bool:
        """Whether the folder's queue is paused."""
        return self._turns is not None and self._turns.queue.is_paused

    def is_at(self, running: OpenSession) -> bool:
        """Whether that run is of an entry of the queue, taken here."""
        return running is self._opened

    def leave(self) -> None:
        """Let the entry at hand go, once the console is left and its run is over.

        One whose run has come to its own end is recorded; another stays, to be gone on with.
        """
        self._is_left = True
        with self._at_disk:  # once a thread of ours is done
            opened, self._opened = self._opened, None
            if self._turns is None:
                return
            if opened is not None and opened.view.state in ("finished", "failed"):
                self._turns.settle(opened, failure=opened.source.failure)
            self._turns.give_up()

    def _on_thread(self, work: Callable[[], None]) -> None:
        self._is_reading = True

        def alone() -> None:
            with self._at_disk:
                if not self._is_left:
                    work()

        self._console.run_worker(alone, thread=True, group="queue")

    def _tell(self, act: Callable[..., None], *said: object) -> None:
        """Call it on the painting thread, without waiting: the console may have been left."""
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self._console.call_later(act, *said)

    def _settle(self) -> None:
        opened, turns = self._opened, self._turns
        said = ""
        if opened is not None and turns is not None:
            said = turns.settle(opened, failure=opened.source.failure)
        self._tell(self._settled, said)

    def _settled(self, said: str) -> None:
        self._opened, self._is_reading = None, False
        if said:
            self._console.say(said)

    def _take(self) -> None:
        from cxr_tui.runs.queue_turns import QueueTurns

        workspace = self._console.workspace
        if self._turns is None:
            self._turns = QueueTurns(workspace.sessions, workspace.device, workspace.cache)
        session, said, is_on = None, "", True
        try:
            session = self._turns.take()
            is_on = session is not None or self._turns.queue.is_paused
        except CxrError as error:
            said, is_on = str(error), False
        if not is_on:
            self._turns.give_up()
        self._tell(self._taken, session, said, is_on)

    def _taken(self, session: Session | None, said: str, is_on: bool) -> None:
        self._is_reading, self.is_on = False, is_on
        if said:
            self._console.say(said)
        if session is None or self._turns is None:
            return
        if self._console.workspace.running is not None:  # started meanwhile: its turn comes again
            self._turns.give_up()
            return
        try:
            self._opened = self._console.workspace.run_beside(session)
        except (CxrError, OSError) as error:  # its folder is gone already
            self._console.say(str(error))
            self._turns.give_up()
            return
        self._console.say(f"queue: {session.name} starts")
        self._console.news.publish(None)
