"""The sessions' folder, read again and again on a thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.search.watching import SearchSeen, SearchWatch
    from core.store.session import Session
    from core.store.summary import SessionDetails, SessionSummary, SessionWatch
    from cxr_tui.runs.queue_seen import QueueLook, QueueSeen


class SessionsFolder:
    """Reads of each session only what is new since the last look; the queue with them.

    Attributes:
        searches: the names of those that have a folder beside the sessions.
    """

    def __init__(self) -> None:
        self._watches: dict[tuple[str, int], SessionWatch] = {}
        self.queue_look: QueueLook | None = None
        self.queue: QueueSeen | None = None
        self.searches: list[str] = []
        self._searches: dict[str, SearchWatch] = {}
        self._reading, self._reading_searches = threading.Lock(), threading.Lock()

    def read(self, folder: Path) -> list[tuple[SessionSummary, SessionDetails]]:
        """Every session of the folder, the newest first."""
        # Imported here, on the thread, after the first paint.
        from core.search.place import searches_in
        from core.store.sessions import list_sessions
        from core.store.summary import SessionWatch
        from cxr_tui.runs.queue_seen import QueueLook

        with self._reading:  # a slow read may still run when the next is due
            known = self._watches
            found = [(_key(session), session) for session in list_sessions(folder)]
            if self.queue_look is None:
                self.queue_look = QueueLook(folder)
            self.queue = self.queue_look.look()
            self.searches = searches_in(folder)
            self._watches = {key: known.get(key) or SessionWatch(one) for key, one in found}
            return [(watch.summary(), watch.details()) for watch in self._watches.values()]

    def read_searches(self, folder: Path) -> dict[str, SearchSeen] | None:
        """What the studies of the searches say; None while another thread reads them."""
        if not self._reading_searches.acquire(blocking=False):  # a database may take its time
            return None
        try:
            from core.search.place import FOLDER
            from core.search.watching import SearchWatch

            known = self._searches
            self._searches = {
                name: known.get(name) or SearchWatch(folder / FOLDER / name)
                for name in self.searches
            }
            return {name: watch.look() for name, watch in self._searches.items()}
        finally:
            self._reading_searches.release()


def _key(session: Session) -> tuple[str, int]:
    """By its folder too: another session may get the name later."""
    try:
        return session.name, session.path.stat().st_ino
    except OSError:
        return session.name, 0
