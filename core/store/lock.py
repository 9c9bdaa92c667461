"""One writer per session: a lock that doesn't outlive its owner.

It is a flock, which the kernel releases when the owner dies in any way. Not every shared file
system passes flock between hosts, and some don't support it at all. So the file also names its
owner, and a clean end empties it:

- an owner under this kernel, by its boot id: the flock decides; without flock, whether that process
(by number and start time) still lives; - an owner on another host: it holds the lock while its
heartbeat is fresh. Once that is old and doesn't change while we watch, the lock is taken over, and
that is reported.

Somebody may remove or replace the file while its owner lives; the flock then belongs to the old
file. So if an unlocked file names nobody or a live process, and the heartbeat is recent, we wait
for the next beat. The owner itself stops once its file is gone.

If there is a boot id, the host's name doesn't matter: cloned machines and containers share names,
and containers with different names share a kernel.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from core.errors import SessionError
from core.regular_file import open_regular
from core.store.files import open_own
from core.store.heartbeat import (
    BEAT_SECONDS,
    SILENT_AFTER_SECONDS,
    beats_within,
    has_ended,
    seconds_since_beat,
)

WATCH_SECONDS = 3 * BEAT_SECONDS
"""Another host's lock is taken over only if we see no beat for this long."""

_JUST_NOW_SECONDS, _NEXT_BEAT_SECONDS = 3 * BEAT_SECONDS, 1.5 * BEAT_SECONDS
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 10, 0.05
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_OWNER_BYTES = 4096


@dataclass(frozen=True)
class Owner:
    """The writing process; ``process_start`` is in kernel ticks since boot.

    ``boot`` is the kernel's boot id, ``processes`` the PID namespace of ``pid``; None if unknown,
    and in locks of earlier versions.
    """

    host: str
    pid: int
    started: float
    process_start: int | None = None
    boot: str | None = None
    processes: str | None = None

    @classmethod
    def us(cls) -> Owner:
        """This process, as owner from now on."""
        pid = os.getpid()
        start, boot, processes = _process_start(pid), _boot(), _processes()
        return cls(socket.gethostname(), pid, time.time(), start, boot, processes)

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started).astimezone().isoformat(" ", "seconds")
        namesake = self.host == socket.gethostname() and not self.has_our_kernel
        which = " (another machine of this name, or before a restart)" if namesake else ""
        return f"host {self.host}{which}, process {self.pid}, since {since}"

    @property
    def has_our_kernel(self) -> bool:
        """Whether the owner runs under this kernel, as far as known."""
        return _alike(self.boot, _boot(), self.host == socket.gethostname())

    @property
    def is_counted_with_us(self) -> bool:
        """Whether the owner is in our PID namespace: containers number their own processes."""
        by_name = self.host == socket.gethostname()
        return self.has_our_kernel and _alike(self.processes, _processes(), by_name)

    def may_live_here(self) -> bool:
        """Whether that process, in our namespace, may still live; process numbers are reused."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass  # another user's process
        return self.process_start is None or self.process_start == _process_start(self.pid)


class Lock:
    """The lock, taken on creation; ``release()`` frees it and empties the file.

    ``taken_over`` describes the silent owner on another host whose lock was taken over. While that
    heartbeat is watched, ``while_waiting`` is called several times a second; it may raise.

    Raises:
        SessionError: another process holds it (the message says which), or it can't be opened.
    """

    def __init__(self, session: Path, while_waiting: Callable[[], None] = lambda: None) -> None:
        self._session, self._while_waiting = session, while_waiting
        self.taken_over: str | None = None
        try:
            descriptor = open_own(session / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise SessionError(
                f"can't be taken ({error.strerror})",
                where=session / "lock",
                why="Only the process that holds the lock may write to the session.",
                remedy="Use another session name, or allow writing there.",
            ) from error
        self._file = open(descriptor, "r+b", buffering=0)  # noqa: PTH123, SIM115 - a descriptor
        try:
            self._claim(flocked=_flocked(self._file))
        except BaseException:
            self._file.close()
            raise

    @property
    def descriptor(self) -> int:
        """Descriptor of the locked file, even if its name now belongs to another file."""
        return self._file.fileno()

    def release(self) -> None:
        """Free the lock, for other hosts too."""
        try:
            self._file.truncate(0)
        except OSError:
            pass  # then the flock or the heartbeat decides
        finally:
            self._file.close()

    def _claim(self, *, flocked: bool | None) -> None:
        owner = _read_owner(self._file)
        if flocked is False:
            raise self._refused(owner)
        if owner is not None and not _is_known_of(owner, flocked):
            self._take_over(owner)
        elif owner is not None and flocked is None and owner.may_live_here():
            raise self._refused(owner)
        elif self._is_held_by_another_file(owner):
            raise self._refused(owner, 0.0)
        ours = Owner.us()
        text = json.dumps(asdict(ours)).encode()
        try:
            os.pwrite(self._file.fileno(), text, 0)  # overwrite in place: needs no new disk space
            self._file.truncate(len(text))
            os.fsync(self._file.fileno())
        except OSError:
            if not flocked:
                raise
            return  # a full disk: the flock holds, though the owner isn't recorded
        if _read_owner(self._file) != ours:  # no flock, and another process came first
            raise self._refused(_read_owner(self._file))

    def _is_held_by_another_file(self, owner: Owner | None) -> bool:
        """Whether a process still beats whose lock file was removed, or replaced by this one."""
        if owner is not None and not (owner.is_counted_with_us and owner.may_live_here()):
            return False
        age = seconds_since_beat(self._session)
        if age is None or abs(age) > _JUST_NOW_SECONDS or has_ended(self._session):
            return False
        return beats_within(self._session, _NEXT_BEAT_SECONDS, self._while_waiting)

    def _take_over(self, owner: Owner) -> None:
        age = seconds_since_beat(self._session)
        if age is not None and abs(age) < SILENT_AFTER_SECONDS:
            raise self._refused(owner, age)
        if age is not None and beats_within(self._session, WATCH_SECONDS, self._while_waiting):
            raise self._refused(owner, 0.0)
        if _read_owner(self._file) != owner:  # another process was faster
            raise self._refused(_read_owner(self._file))
        silence = "it never had a heartbeat" if age is None else "its heartbeat has stopped"
        self.taken_over = f"took over the session from {owner}: {silence}"

    def _refused(self, owner: Owner | None, beat_seconds: float | None = None) -> SessionError:
        remedy = "Stop that process first, or use another session name."
        if beat_seconds is not None:
            remedy = (
                f"Its last heartbeat is {max(0.0, beat_seconds):.0f} s old. Stop that process "
                f"first (cxr-tui --attach {self._session}, X). If it has ended, try again once it "
                f"has been silent for {SILENT_AFTER_SECONDS:.0f} s."
            )
        return SessionError(
            f"another process writes to this session: {owner or 'unknown'}",
            where=self._session,
            why="Two writers would mix two runs.",
            remedy=remedy,
        )


def is_held(session: Path) -> bool:
    """Whether a process writes: certain on this machine, by the heartbeat on others."""
    try:
        with open_regular(session / "lock") as lock:
            owner = _read_owner(lock)
            flocked = _flocked(lock, fcntl.LOCK_SH, tries=1)
    except FileNotFoundError:
        return False
    except OSError:  # not readable
        return _beats(session)
    if flocked is False:
        return True
    if owner is None:
        return False
    if not _is_known_of(owner, flocked):
        return _beats(session)
    return flocked is None and owner.may_live_here()


def _is_known_of(owner: Owner, flocked: bool | None) -> bool:
    """Whether flock or process number decides; otherwise the heartbeat does."""
    return owner.is_counted_with_us if flocked is None else owner.has_our_kernel


def _alike(theirs: str | None, ours: str | None, otherwise: bool) -> bool:
    return otherwise if theirs is None or ours is None else theirs == ours


def _beats(session: Path) -> bool:
    age = seconds_since_beat(session)
    return age is not None and age < SILENT_AFTER_SECONDS


def _flocked(lock: BinaryIO, kind: int = fcntl.LOCK_EX, *, tries: int = _LOCK_TRIES) -> bool | None:
    """Whether we now hold the flock; None if the file system doesn't support it.

    Retries briefly, since a reader that tests the lock also holds it for a moment.
    """
    for attempt in range(tries):
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_FLOCK:
                return None
        else:
            return True
        if attempt + 1 < tries:
            time.sleep(_LOCK_PAUSE_SECONDS)
    return False


def _read_owner(lock: BinaryIO) -> Owner | None:
    """The owner in the file; None if it is empty, half written or something else."""
    try:
        told = json.loads(os.pread(lock.fileno(), _OWNER_BYTES, 0))
        known = {name: told[name] for name in Owner.__dataclass_fields__ if name in told}
        owner = Owner(**known)
        sound = isinstance(owner.host, str) and isinstance(owner.pid, int)
        return owner if sound and isinstance(owner.started, (int, float)) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _process_start(pid: int) -> int | None:
    """Start time of the process, in ticks since boot; None if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Field 22; field 2, a name in brackets, may itself contain blanks and brackets.
    return int(stat.rpartition(")")[2].split()[19])


def _boot() -> str | None:
    """The kernel's boot id."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def _processes() -> str | None:
    """The id of our PID namespace."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
