"""How often a test part has been looked at: a file beside the sessions, one line a look.

A test part is honest once. Whoever looks at its figures, changes something and looks again has
begun to choose by them. So every scoring or showing of test figures leaves a line in
``looks.jsonl`` in the sessions' folder, and reports say how many there are. A ledger that can't be
written costs a warning, never a run.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import xxhash

from core.regular_file import read_regular
from core.store.files import open_own
from core.store.formula_cells import original
from core.store.session import Session

LEDGER = "looks.jsonl"
"""The file's name, in the folder that holds the sessions."""

_MOST_BYTES = 64 * 2**20
_MOST_SPLIT_BYTES = 2**30
_LONGEST_NAME = 300
_LONGEST_WAIT_SECONDS, _LOCK_PAUSE_SECONDS = 5.0, 0.01

_counted: set[tuple[str, str, str, str]] = set()
_counting = Lock()


@dataclass(frozen=True)
class Looks:
    """How often a part has been looked at, as its ledger says.

    Attributes:
        part: the part's fingerprint; '' if it can't be told.
        times: looks, this one included.
        sources: different sessions, and files of predictions, that were looked at on it.
        warning: why the ledger lacks this look, or None.
    """

    part: str
    times: int
    sources: int
    warning: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For a report's ``looks``."""
        return {
            "part": self.part,
            "times": self.times,
            "sessions": self.sources,
            "warning": self.warning,
        }


def look(session: Session, purpose: str, part: str = "test") -> Looks:
    """Note that a session's figures on a part are scored or shown, and count.

    The same look counts once in a process. ``purpose`` is a word or two, such as ``evaluate``.
    """
    return look_at(session.path.parent, session.name, part_of_session(session, part), purpose)


def looks_so_far(session: Session, part: str = "test") -> Looks:
    """The same count without another look."""
    return _counted_in(session.path.parent / LEDGER, part_of_session(session, part), None)


def look_at(sessions: Path, source: str, part: str, purpose: str) -> Looks:
    """The same for anything that is no session: ``source`` names a file of predictions, say.

    Args:
        sessions: the folder of sessions whose ledger it is. It isn't created.
        part: see ``part_of_images`` and ``part_of_session``.
    """
    ledger = sessions / LEDGER
    warning = None
    if not part:
        warning = f"{ledger}: this look isn't noted, since split.csv can't be read"
        return Looks(part, 0, 0, warning)
    key = (str(ledger.absolute()), source, part, purpose)
    with _counting:
        if key not in _counted:
            try:
                _note(ledger, source, part, purpose)
                _counted.add(key)
            except OSError as error:
                warning = f"{ledger}: this look isn't noted ({error.strerror or error})"
    return _counted_in(ledger, part, warning)


def part_of_images(images: Iterable[str]) -> str:
    """A part's fingerprint: the XXH3 digest (128 bits) of its images' names in order."""
    digest = xxhash.xxh3_128()
    for name in sorted(images):
        digest.update(name.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def part_of_session(session: Session, part: str = "test") -> str:
    """The fingerprint of a session's part, by its split.csv; '' if that can't be read."""
    try:
        text = read_regular(session.path / "split.csv", _MOST_SPLIT_BYTES).decode("utf-8")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        images = [_name_of(row) for row in rows if row.get("split") == part]
    except (OSError, ValueError, csv.Error):
        return ""
    return part_of_images(images) if images else ""


def _name_of(row: Mapping[str, str | None]) -> str:
    key = original(row.get("Image Index") or "")
    return f"{row['source']}/{key}" if row.get("source") else key


def _note(ledger: Path, source: str, part: str, purpose: str) -> None:
    """Append one line, whole or not at all; processes take turns where the disk has locks."""
    descriptor = open_own(ledger, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        _take_turn(file.fileno())
        size = os.fstat(file.fileno()).st_size
        before = {one["session"] for one in _lines(ledger) if one["part"] == part} - {source}
        line = json.dumps(
            {
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "session": source[:_LONGEST_NAME],
                "part": part,
                "why": purpose[:_LONGEST_NAME],
                "sessions_before": len(before),
            }
        )
        torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        whole = (b"\n" if torn else b"") + line.encode() + b"\n"
        try:
            if file.write(whole) != len(whole):
                raise OSError(None, "the disk is full")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), size)
            raise


def _take_turn(descriptor: int) -> None:
    """Lock the file until it is closed; without locks, or after a while, go on without."""
    end = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return
            time.sleep(_LOCK_PAUSE_SECONDS)
        except OSError:
            return
        else:
            return


def _counted_in(ledger: Path, part: str, warning: str | None) -> Looks:
    sources = [one["session"] for one in _lines(ledger) if one["part"] == part]
    return Looks(part, len(sources), len(set(sources)), warning)


def _lines(ledger: Path) -> Iterator[dict[str, str]]:
    """The ledger's looks; what is no look is passed over."""
    try:
        text = read_regular(ledger, _MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    for line in text.split("\n"):
        try:
            look = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(look, dict) and all(
            isinstance(look.get(k), str) for k in ("session", "part")
        ):
            yield look
