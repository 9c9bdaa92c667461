"""Where the processes of a run find each other: a torch store at MASTER_ADDR:MASTER_PORT.

torchrun hosts it for its workers; otherwise rank 0 does, and the others connect to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from torch._C._distributed_c10d import TCPStore  # torch.distributed has it too, untyped
from torch.distributed import DistNetworkError

from core.errors import UsageError
from core.training.distributed.ranks import Launch

_KNOCK_SECONDS, _PAUSE_SECONDS = 1.0, 0.2
_CONNECT_TIMEOUT = timedelta(seconds=5)

_DRAWN = "MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))"


@dataclass(frozen=True)
class MeetingPlace:
    """A host and port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"MASTER_ADDR={self.address} MASTER_PORT={self.port}"

    def opened(self) -> TCPStore:
        """The store hosted by this process; closed when it ends.

        Raises:
            UsageError: the port is taken, or may not be opened.
        """
        self._whereabouts()
        try:
            listening = self._listening()
        except OSError as error:
            raise self._refused(error) from None
        try:
            return TCPStore(
                "localhost",
                self.port,
                is_master=True,
                timeout=_CONNECT_TIMEOUT,
                wait_for_workers=False,
                master_listen_fd=listening.detach(),
            )
        except DistNetworkError as error:
            raise self._refused(error) from None

    def found(self, waits: Callable[[str], None]) -> TCPStore:
        """The store hosted by another process; ``waits`` may end the search by an exception.

        Raises:
            UsageError: there is no such host.
        """
        while True:
            whom = f"process 0 at {self}, where nobody answers"
            for address in self._whereabouts():
                try:
                    # Torch's own attempts take minutes and write on stderr.
                    socket.create_connection((address, self.port), _KNOCK_SECONDS).close()
                except OSError:
                    continue
                whom = f"process 0 at {self}, where something else answers"
                waits(whom)
                with contextlib.suppress(DistNetworkError):
                    return self.connected()
            waits(whom)
            time.sleep(_PAUSE_SECONDS)

    def connected(self) -> TCPStore:
        """One more connection to the store.

        A server that accepts a connection and says nothing blocks forever: call this in a thread.

        Raises:
            DistNetworkError: there is no store.
        """
        return TCPStore(
            self.address,
            self.port,
            is_master=False,
            timeout=_CONNECT_TIMEOUT,
            wait_for_workers=False,
        )

    def _whereabouts(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self.address, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UsageError(
                f"there is no host with that name ({getattr(error, 'strerror', None) or error})",
                where=f"MASTER_ADDR={self.address}",
                why="The processes of a run find each other there.",
                remedy="Set MASTER_ADDR to the host of the process with RANK=0, as the others "
                "reach it.",
            ) from None
        return [str(where[0]) for *_, where in found]

    def _listening(self) -> socket.socket:
        """A loopback address is bound alone: no other host can reach it."""
        kind = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        where = "::" if kind == socket.AF_INET6 else ""
        if self.address in ("localhost", "127.0.0.1"):
            kind, where = socket.AF_INET, "127.0.0.1"
        listening = socket.socket(kind, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind((where, self.port))
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
        return listening

    def _refused(self, error: Exception) -> UsageError:
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE or "EADDRINUSE" in str(error):
            return UsageError(
                f"port {self.port} is taken on this host ({socket.gethostname()})",
                where="MASTER_PORT",
                why="Rank 0 meets the others there; another job or person has the port.",
                remedy=f"Choose another one for all processes, such as {_DRAWN} under SLURM.",
            )
        return UsageError(
            f"port {self.port} can't be opened on this host ({socket.gethostname()}): "
            f"{getattr(error, 'strerror', None) or error}",
            where="MASTER_PORT",
            remedy="Choose one between 1024 and 65535 for all processes.",
        )


def meeting_place() -> MeetingPlace:
    """As in the variables, which ``core.training.distributed.ranks.launch_of`` has checked."""
    return MeetingPlace(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))


def is_kept_here(launch: Launch) -> bool:
    """Whether this process hosts the store: torchrun's own process does for its workers."""
    return launch.leads and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True)
