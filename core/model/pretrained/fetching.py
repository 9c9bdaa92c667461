"""Fetch weights: go on where it broke off, try again, and check before anything is in place."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import DataError, NoRoomError, StoppedError
from core.model.pretrained.http import DroppedError, FetchError, Limits, receive, require_address
from core.model.pretrained.known import KnownWeights
from core.model.pretrained.part_file import PartFile, alone_with_part
from core.model.pretrained.places import MOST_BYTES, by_hand, command_for, sha256_of
from core.store.disk import free_bytes, passing_trouble, size_in_words, trouble_in_words
from core.store.files import is_file


@dataclass(frozen=True)
class Progress:
    """How far it is: bytes so far and in total (None: unknown); ``note`` if something happened."""

    done: int
    total: int | None
    note: str = ""


@dataclass(frozen=True)
class Patience:
    """How often to try again without any progress, and how long to wait: doubled each time."""

    tries: int = 4
    first_wait_seconds: float = 1.0
    silent_seconds: float = 30.0


Tell = Callable[[Progress], None]


def fetch(
    known: KnownWeights,
    folder: Path,
    *,
    url: str = "",
    tell: Tell = lambda _: None,
    stop: threading.Event | None = None,
    patience: Patience = Patience(),
) -> Path:
    """Fetch weights into a folder; returns the file's path, which is intact.

    Args:
        known: which weights.
        folder: created if missing.
        url: a mirror's address in place of the known one; size and digest stay the same.
        tell: called with the progress, often.
        stop: when set, what came so far stays, and the next call goes on from there.
        patience: with a server that drops or is silent.

    Raises:
        FetchError: it can't be fetched; the message says what to do without a network.
        StoppedError: ``stop`` was set.
        DataError: another process fetches it, or the disk refuses.
    """
    address = url or known.url
    if not address:
        raise FetchError(
            "these weights are not offered as a file that can be fetched",
            where=known.name,
            remedy=f"Look at {known.page}, and give the file's path in model.weights",
        )
    require_address(address)
    if not known.sha256 and urlsplit(address).scheme != "https":
        raise FetchError(
            "its digest is unknown, so only https can tell that nobody replaced it",
            where=address,
            remedy="Name an https address with --url",
        )
    place = folder / known.file
    stop = stop or threading.Event()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone_with_part(place) as part:
            if is_file(place) and _fault_of(place, known) is None:
                part.remove()  # another process was faster
                return place
            _Fetch(known, address, part, tell, stop, patience).run()
            part.put_at(place)
    except OSError as error:
        passing = passing_trouble(error)
        said = trouble_in_words(error, folder) if passing else error.strerror or str(error)
        raise DataError(
            f"can't be written: {said}",
            where=place,
            remedy=f"Free some space or allow writing there; {_goes_on(known)}",
        ) from error
    return place


@dataclass(frozen=True)
class _Fetch:
    known: KnownWeights
    address: str
    part: PartFile
    tell: Tell
    stop: threading.Event
    patience: Patience

    def run(self) -> None:
        """Until the part is the whole file, checked."""
        self._require_room()
        had = self.part.size
        if had and had == self.known.num_bytes and _fault_of(self.part.path, self.known) is None:
            return  # it was complete, and we were killed before it got its name
        self._transfer()
        fault = _fault_of(self.part.path, self.known)
        if fault is not None and had:  # what was left from before may have been damaged
            self.tell(Progress(0, self.known.num_bytes, f"{fault}; beginning anew"))
            self.part.begin_anew()
            self._transfer()
            fault = _fault_of(self.part.path, self.known)
        if fault is not None:
            self.part.remove()
            raise FetchError(
                fault,
                where=self.address,
                why="It is damaged or another file, and was thrown away",
                remedy=f"Try again later, or another address with --url. {by_hand(self.known)}",
            )

    def _require_room(self) -> None:
        folder, wanted = self.part.path.parent, self.known.num_bytes
        free = free_bytes(folder)
        if wanted is not None and free is not None and free < wanted - self.part.size:
            raise NoRoomError(
                f"{self.known.file} needs {size_in_words(wanted - self.part.size)} more, and the "
                f"disk has {size_in_words(free)} free",
                where=folder,
                remedy="Free some space there",
            )

    def _transfer(self) -> None:
        """Receive to the end, trying again after what may pass."""
        failures = 0
        while True:
            before = self.part.size
            try:
                self._receive()
            except DroppedError as error:
                failures = 1 if self.part.size > before else failures + 1
                if failures >= self.patience.tries:
                    raise self._given_up(error) from error
                self._wait(error, failures)
            except FetchError as error:
                raise FetchError(
                    error.what,
                    where=error.where,
                    why=error.why,
                    remedy=error.remedy or f"{by_hand(self.known)}",
                ) from error
            else:
                return

    def _receive(self) -> None:
        limits = Limits(self.known.num_bytes, MOST_BYTES)
        silent_seconds = self.patience.silent_seconds
        receive(self.address, self.part, limits, self._on_bytes, silent_seconds=silent_seconds)

    def _on_bytes(self, done: int, total: int | None) -> None:
        self.tell(Progress(done, total or self.known.num_bytes))
        self._stop_if_asked()

    def _wait(self, error: DroppedError, failures: int) -> None:
        seconds = error.wait_seconds
        if seconds is None:
            seconds = self.patience.first_wait_seconds * 2 ** (failures - 1)
        note = f"{error}; trying again in {seconds:.3g} s"
        self.tell(Progress(self.part.size, self.known.num_bytes, note))
        self.stop.wait(seconds)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.stop.is_set():
            raise StoppedError(
                "stopped while it was fetched", where=self.known.file, why=_goes_on(self.known)
            )

    def _given_up(self, error: DroppedError) -> FetchError:
        come = f"{size_in_words(self.part.size)} came and stay. " if self.part.size else ""
        proxy = urlsplit(urllib.request.getproxies().get(urlsplit(self.address).scheme, ""))
        through = f" through the proxy {proxy.hostname}" if proxy.hostname else ""
        return FetchError(
            f"could not be fetched{through}: {error}",
            where=self.address,
            why=f"{come}Tried {self.patience.tries} times without progress",
            remedy=f"Later, {_goes_on(self.known)}. {by_hand(self.known)}",
        )


def _goes_on(known: KnownWeights) -> str:
    return f"{command_for(known)} goes on where it broke off"


def _fault_of(path: Path, known: KnownWeights) -> str | None:
    """What is wrong with a file of these weights; None if nothing is."""
    num_bytes = path.stat().st_size
    if known.num_bytes is not None and num_bytes != known.num_bytes:
        return f"has {num_bytes:,} bytes instead of {known.num_bytes:,}"
    if known.sha256:
        found = sha256_of(path)
        return None if found == known.sha256 else f"its SHA-256 is {found}, not {known.sha256}"
    from core.model.weights import load_weights  # torch: only where there is no digest

    try:
        load_weights(str(path), ("Mass",), seed=0)
    except DataError as error:
        return f"is no DenseNet121 that can be read ({error.what})"
    return None
