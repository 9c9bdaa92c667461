"""Somebody who is no process of the run, and reaches everything that a process of it reaches."""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore

from core.training.distributed.introductions import Introduction
from core.training.distributed.meeting import Meeting
from core.training.distributed.ranks import Launch, Restore

WAIT = timedelta(seconds=60)


class Payload:
    """What a pickle of it does to whoever reads it: a file appears."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def silent_at(port: int) -> Iterator[None]:
    """Takes connections on the port and says nothing."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        yield


@contextlib.contextmanager
def mute_relay(kept: TCPStore, port: int) -> Iterator[tuple[TCPStore, Callable[[], None]]]:
    """A connection to the store there by way of a relay, and what makes that hold its tongue."""
    is_mute = threading.Event()

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if not is_mute.is_set():
                    sink.sendall(content)

    def relay(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                for ways in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=ways, daemon=True).start()

    ends: list[socket.socket] = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=relay, args=(listening,), daemon=True).start()
        where = listening.getsockname()[1]
        yield TCPStore("127.0.0.1", where, timeout=WAIT, wait_for_workers=False), is_mute.set
        for end in ends:
            end.close()
    del kept


def store_at(port: int) -> TCPStore:
    """The place where a run meets, kept by a stranger who was first."""
    return TCPStore("127.0.0.1", port, is_master=True, timeout=WAIT, wait_for_workers=False)


def pose_as_the_first(store: TCPStore) -> None:
    """Introduces itself with what anybody can read there, and a proof that it made up."""
    place = PrefixStore("introductions/0", store)
    theirs = Introduction(**json.loads(place.get("first/1")))
    ours = vars(theirs) | {"rank": 0, "once": "0" * 32}
    place.set("first/0", json.dumps(ours))
    place.set("proof/0", "00" * 32)


def lead_astray(secret: bytes, what: str, marker: Path) -> None:
    """A first process that knows the secret, and then says what no first process says."""
    team = Meeting(Launch(0, 2, 0), secret, None, lambda: False, lambda _: None).held()
    if what == "a pickle":
        message = pickle.dumps(Payload(marker)).ljust(2048, b"\0")
        dist.broadcast(torch.frombuffer(bytearray(message), dtype=torch.uint8), 0)
    else:
        weights = {"features.conv0.weight": torch.zeros(2**20)}
        with contextlib.suppress(Exception):  # nobody takes them: the connection breaks
            team.broadcast(Restore(weights, {}, {}))
    team.is_broken = True
    with contextlib.suppress(Exception):
        team.leave(0)


class Vandal(threading.Thread):
    """Overwrites every sign of life of a run again and again: garbage, forgeries, old ones."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.ended = threading.Event()
        self.written = 0

    def run(self) -> None:
        store = TCPStore("127.0.0.1", self.port, is_master=False, timeout=WAIT)
        old = {f"heartbeat/0/heartbeat/{rank}": b"" for rank in range(2)}
        while not self.ended.wait(0.2):
            for key, kept in old.items():
                if not kept:
                    old[key] = store.get(key) if store.check([key]) else b""
                    continue
                status = json.loads(kept[64:]) | {"beat": 10**9}
                for value in (
                    b"{not json",
                    b"\xff" * 50_000,
                    pickle.dumps(status),
                    (kept[:64] + json.dumps(status | {"trouble": "\x1b]0;taken\x07"}).encode()),
                    (kept[:64] + json.dumps(status | {"code": 0}).encode()),
                    json.dumps(status | {"evil": 2}).encode(),
                    kept,
                ):
                    with contextlib.suppress(RuntimeError):  # the run has ended
                        store.set(key, value)
                        self.written += 1
