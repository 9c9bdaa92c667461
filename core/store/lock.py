"""One writer a session: a lock that doesn't outlive its owner.

The kernel holds it (flock) and frees it when the owner dies, however that comes. Not every shared
file system carries flock from host to host, and some know none at all, so the file also names its
owner, and a clean end empties it:

- an owner under this kernel, by its boot id: the kernel's word counts; where the file system has no
  flock, whether that very process (its number and its start) still lives;
- an owner on another host: it holds the lock while its heartbeat is fresh. Once that is old, and
  doesn't change while we watch for a moment, the lock is taken over, and that is said.

Somebody may remove the file, or put another in its place, while its owner lives: the kernel's lock
is of the old one. So where a free file names nobody, or one that lives, a heartbeat of just now is
watched for its next beat; and the owner stops once its file is gone.

Where a boot id is there, a host's name tells nothing: cloned machines and containers share names,
and containers of other names share a kernel.
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
"""Another host's lock is taken over only after no beat for so long before our eyes."""

_JUST_NOW_SECONDS, _NEXT_BEAT_SECONDS = 3 * BEAT_SECONDS, 1.5 * BEAT_SECONDS
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 10, 0.05
_NO_FLOCK = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_OWNER_BYTES = 4096


@dataclass(frozen=True)
class Owner:
    """The process that writes; ``process_start`` is in the kernel's ticks since its boot.

    ``boot`` is the kernel's own name of this run of it, ``processes`` that of those that ``pid`` is
    counted among; None where it doesn't say, and in locks of versions before.
    """

    host: str
    pid: int
    started: float
    process_start: int | None = None
    boot: str | None = None
    processes: str | None = None

    @classmethod
    def us(cls) -> Owner:
        """This process, from now on."""
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
        """Whether one kernel holds both our locks, as far as it can be told."""
        return _alike(self.boot, _boot(), self.host == socket.gethostname())

    @property
    def is_counted_with_us(self) -> bool:
        """Whether its process number means the same process here: containers count their own."""
        by_name = self.host == socket.gethostname()
        return self.has_our_kernel and _alike(self.processes, _processes(), by_name)

    def may_live_here(self) -> bool:
        """Whether that very process, counted with us, may still live; a number comes again."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass  # somebody else's
        return self.process_start is None or self.process_start == _process_start(self.pid)


class Lock:
    """The lock, held; ``release()`` leaves a file that says it is free.

    ``taken_over`` tells of a silent owner on another host, whose lock it was; ``while_waiting`` is
    called several times a second while that one is watched, and may raise.

    Raises:
        SessionError: another process holds it, the message says which; or it can't be opened.
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
                why="Only the process that holds it may write to the session.",
                remedy="Start under another name, or allow writing there.",
            ) from error
        self._file = open(descriptor, "r+b", buffering=0)  # noqa: PTH123, SIM115 - a descriptor
        try:
            self._claim(flocked=_flocked(self._file))
        except BaseException:
            self._file.close()
            raise

    @property
    def descriptor(self) -> int:
        """Of the file that is held, whatever has its name by now."""
        return self._file.fileno()

    def release(self) -> None:
        """Let the next one in, from other hosts too."""
        try:
            self._file.truncate(0)
        except OSError:
            pass  # then the kernel's word has to do, or the heartbeat's
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
            os.pwrite(self._file.fileno(), text, 0)  # over what stands there: it needs no new room
            self._file.truncate(len(text))
            os.fsync(self._file.fileno())
        except OSError:
            if not flocked:
                raise
            return  # a full disk: the kernel holds it, though nobody can read whose it is
        if _read_owner(self._file) != ours:  # no flock, and another was as fast
            raise self._refused(_read_owner(self._file))

    def _is_held_by_another_file(self, owner: Owner | None) -> bool:
        """Whether somebody still beats whose lock file was removed, or replaced by this one."""
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
        if _read_owner(self._file) != owner:  # another was faster
            raise self._refused(_read_owner(self._file))
        silence = "it never gave a sign of life" if age is None else "it gives no sign of life"
        self.taken_over = f"took over the session from {owner}: {silence}"

    def _refused(self, owner: Owner | None, beat_seconds: float | None = None) -> SessionError:
        remedy = "Stop that one first, or start under another name."
        if beat_seconds is not None:
            remedy = (
                f"Its last sign of life is {max(0.0, beat_seconds):.0f} s old. Stop that one first "
                f"(cxr-tui --attach {self._session}, X). Where it is gone for good, try again "
                f"once it has been silent for {SILENT_AFTER_SECONDS:.0f} s."
            )
        return SessionError(
            f"another process writes to this session: {owner or 'unknown'}",
            where=self._session,
            why="Two writers would mix two runs.",
            remedy=remedy,
        )


def is_held(session: Path) -> bool:
    """Whether somebody writes: known for this machine, believed of others while they beat."""
    try:
        with open_regular(session / "lock") as lock:
            owner = _read_owner(lock)
            flocked = _flocked(lock, fcntl.LOCK_SH, tries=1)
    except FileNotFoundError:
        return False
    except OSError:  # not ours to read
        return _beats(session)
    if flocked is False:
        return True
    if owner is None:
        return False
    if not _is_known_of(owner, flocked):
        return _beats(session)
    return flocked is None and owner.may_live_here()


def _is_known_of(owner: Owner, flocked: bool | None) -> bool:
    """Whether the kernel or the process number tells; if not, the heartbeat has to."""
    return owner.is_counted_with_us if flocked is None else owner.has_our_kernel


def _alike(theirs: str | None, ours: str | None, otherwise: bool) -> bool:
    return otherwise if theirs is None or ours is None else theirs == ours


def _beats(session: Path) -> bool:
    age = seconds_since_beat(session)
    return age is not None and age < SILENT_AFTER_SECONDS


def _flocked(lock: BinaryIO, kind: int = fcntl.LOCK_EX, *, tries: int = _LOCK_TRIES) -> bool | None:
    """Whether we hold it now; None where this file system has no such lock.

    Tried again for a moment: a reader that looks whether it is free holds it too.
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
    """Who the file names; None where it is empty, half written, or from elsewhere."""
    try:
        told = json.loads(os.pread(lock.fileno(), _OWNER_BYTES, 0))
        known = {name: told[name] for name in Owner.__dataclass_fields__ if name in told}
        owner = Owner(**known)
        sound = isinstance(owner.host, str) and isinstance(owner.pid, int)
        return owner if sound and isinstance(owner.started, (int, float)) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _process_start(pid: int) -> int | None:
    """When the process began, in ticks since boot; None where the kernel doesn't say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Field 22; the second, a name in brackets, may hold blanks and brackets of its own.
    return int(stat.rpartition(")")[2].split()[19])


def _boot() -> str | None:
    """What tells this run of this kernel from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def _processes() -> str | None:
    """What tells the processes that a number is counted among from those of other containers."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
