"""The sessions' folder, read again and again on a thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.store.session import Session
    from core.store.summary import SessionDetails, SessionSummary, SessionWatch
    from cxr_tui.runs.queue_seen import QueueLook, QueueSeen


class SessionsFolder:
    """Reads of each session only what is new since the last look; the queue with them."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, int], SessionWatch] = {}
        self.queue_look: QueueLook | None = None
        self.queue: QueueSeen | None = None
        self._reading = threading.Lock()

    def read(self, folder: Path) -> list[tuple[SessionSummary, SessionDetails]]:
        """Every session of the folder, the newest first."""
        # Imported here, on the thread, after the first paint.
        from core.store.sessions import list_sessions
        from core.store.summary import SessionWatch
        from cxr_tui.runs.queue_seen import QueueLook

        with self._reading:  # a slow read may still run when the next is due
            known = self._watches
            found = [(_key(session), session) for session in list_sessions(folder)]
            if self.queue_look is None:
                self.queue_look = QueueLook(folder)
            self.queue = self.queue_look.look()
            self._watches = {key: known.get(key) or SessionWatch(one) for key, one in found}
            return [(watch.summary(), watch.details()) for watch in self._watches.values()]


def _key(session: Session) -> tuple[str, int]:
    """By its folder too: another session may get the name later."""
    try:
        return session.name, session.path.stat().st_ino
    except OSError:
        return session.name, 0
