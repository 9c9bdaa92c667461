"""Several ranks joined by torch.distributed: gloo for commands and the CPU, nccl for CUDA tensors.

No wait here is unbounded: each is in slices of a second, between which lost ranks are detected and
Python's signal handlers run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

from core.errors import StoppedError
from core.requests import NextRequest, Request
from core.training.distributed.channel import Channel
from core.training.distributed.heartbeat import RankHeartbeat
from core.training.distributed.messages import Heading
from core.training.distributed.ranks import (
    CACHED,
    Command,
    End,
    Launch,
    RankFailedError,
    RankLostError,
)
from core.training.distributed.waits import SLICE, polled, waited

_AN_EXCHANGE = timedelta(minutes=10)
"""Live ranks reach the same exchange within this time.

It is counted in slices waited: time during which the whole job was suspended doesn't count.
"""

_POLL_SECONDS = 0.1
_FIND_CULPRIT_SECONDS, _SUSPICIOUS_SECONDS = 12.0, 4.0
_FAREWELL_SECONDS = 5.0


class LeaderEndedError(Exception):
    """Rank 0 has left and sent its exit code; nothing is left to do here."""

    def __init__(self, code: int) -> None:
        super().__init__(f"rank 0 left with exit code {code}")
        self.code = code


class Team:
    """This rank and the others; made by ``core.training.distributed.meeting``."""

    def __init__(self, launch: Launch, heartbeat: RankHeartbeat, key: bytes = b"") -> None:
        self.launch = launch
        self.rank, self.size = launch.rank, launch.size
        self.heartbeat = heartbeat
        self.is_broken = False
        """Whether a rank was lost: then connections can't be closed in order."""
        self._commands = Channel(key, self._broadcast)
        self._on_devices: dist.ProcessGroup | None = None
        self._has_ended = False

    def broadcast(self, command: Command) -> None:
        """See ``Ranks``.

        Raises:
            RankLostError: a rank is gone.
        """
        if not self.launch.leads or self._has_ended:
            return
        self._has_ended = isinstance(command, End)
        self._commands.say(command)

    def receive(self, between: Callable[[], None], expect: Callable[[Heading], None]) -> Command:
        """Rank 0's next command, whenever it comes.

        ``between`` is called each second until then; ``expect`` refuses a command with the wrong
        tensors before memory is allocated for them.

        Raises:
            RankLostError, LeaderEndedError: no command will come.
            CommandError: what arrived is not a command of this run.
        """
        return self._commands.receive(between, expect)

    def any(self, flag: bool) -> bool:
        """See ``Ranks``."""
        flags = torch.tensor([int(flag)])
        self._finish(lambda: dist.all_reduce(flags, dist.ReduceOp.MAX, async_op=True))
        return bool(flags.item())

    def add_up(self, tensor: Tensor) -> None:
        """See ``Ranks``."""
        if tensor.is_cuda and self._on_devices is None:  # every rank gets here at the same time
            torch.cuda.set_device(tensor.device)
            group = dist.new_group(backend="nccl", timeout=_AN_EXCHANGE)
            self._on_devices = cast("dist.ProcessGroup", group)
        group = self._on_devices if tensor.is_cuda else None
        self._finish(
            lambda: dist.all_reduce(tensor, dist.ReduceOp.SUM, group=group, async_op=True),
            tensor.is_cuda,
        )

    def wait_for(self, stage: str, may_go_on: Callable[[], bool]) -> None:
        """See ``Ranks``: for the caches of other hosts, or for every rank's network or step.

        Raises:
            StoppedError: a stop was requested meanwhile.
        """
        while True:
            self.heartbeat.look()
            self.check()
            statuses = [
                status for rank, status in self.heartbeat.statuses.items() if rank != self.rank
            ]
            own_host = self.heartbeat.statuses[self.rank].host
            if stage == CACHED:  # one process per host; on ours it was this one
                hosts = {status.host for status in statuses} - {own_host}
                if hosts <= {status.host for status in statuses if status.stage == CACHED}:
                    return
            elif len(statuses) == self.size - 1 and all(
                status.stage == stage for status in statuses
            ):
                return
            if not may_go_on():
                raise StoppedError(f"asked to stop while {self.size} processes got ready")
            time.sleep(_POLL_SECONDS)

    def leave_early(self, leaves: bool) -> None:
        """See ``Ranks``."""
        self.heartbeat.show(leaves_early=leaves)

    @property
    def leader_leaves_early(self) -> bool:
        """Whether rank 0 has left the current part."""
        return 0 in self.heartbeat.statuses and self.heartbeat.statuses[0].leaves_early

    def watched(self, next_request: NextRequest) -> NextRequest:
        """See ``Ranks``."""

        def ask() -> Request:
            self.check()
            others = (
                status
                for rank, status in list(self.heartbeat.statuses.items())
                if rank != self.rank
            )
            request = Request.STOP if any(s.asked_to_stop for s in others) else next_request()
            if request is Request.STOP:  # torchrun signals the survivors of a lost process
                self._look_for_the_gone()
            return request

        return ask

    def check(self) -> None:
        """Check that all ranks are alive.

        Raises:
            RankLostError: one is gone or has failed.
            LeaderEndedError: rank 0 has left.
        """
        leader = self.heartbeat.statuses.get(0)
        if leader is not None and leader.code is not None and not self.launch.leads:
            raise LeaderEndedError(leader.code)
        for rank, status in sorted(self.heartbeat.statuses.items()):
            if rank != self.rank and status.trouble:
                raise RankFailedError(f"process {rank} of {self.size} failed: {status.trouble}")
        silent = self.heartbeat.silent_ranks()
        if silent:
            raise self._silent(silent[0])
        if self.heartbeat.failing:
            raise self._lost(self.heartbeat.failing)

    def leave(self, code: int) -> None:
        """Leave the team; rank 0 gives the others a moment to leave first."""
        self.heartbeat.show(code=code)
        until = time.monotonic() + _FAREWELL_SECONDS
        while self.launch.leads and not self.is_broken and time.monotonic() < until:
            self.heartbeat.look()
            if all(status.code is not None for status in self.heartbeat.statuses.values()):
                break
            time.sleep(_POLL_SECONDS / 2)
        self.heartbeat.stop()
        if not self.is_broken:
            dist.destroy_process_group()

    def _broadcast(self, message: Tensor, between: Callable[[], None] | None) -> None:
        self._finish(lambda: dist.broadcast(message, 0, async_op=True), between=between)

    def _finish(
        self,
        begin: Callable[[], dist.Work | None],
        is_on_device: bool = False,
        between: Callable[[], None] | None = None,
    ) -> None:
        """Start an exchange and wait for its end, a slice at a time.

        With ``between``, without limit: the others may have nothing to send for a long time.
        """
        slices = 0
        try:
            work = cast("dist.Work", begin())
            while not (polled(work) if is_on_device else waited(work)):
                self.check()
                slices += 1
                if between is not None:
                    between()
                elif slices * SLICE > _AN_EXCHANGE:
                    raise self._lost(f"not all {self.size} processes reached an exchange")
        except RuntimeError as error:
            raise self._named(error) from error

    def _named(self, error: RuntimeError) -> Exception:
        """The process to blame for a broken connection."""
        until = time.monotonic() + _FIND_CULPRIT_SECONDS
        while time.monotonic() < until:
            self.heartbeat.look()
            try:
                self.check()
            except (RankLostError, RankFailedError, LeaderEndedError) as known:
                return known
            try:
                self._look_for_the_gone()
            except RankLostError as known:
                return known
            silent = self.heartbeat.silent_ranks(_SUSPICIOUS_SECONDS)
            if silent:
                return self._silent(silent[0])
            time.sleep(_POLL_SECONDS)
        return self._lost(f"the connection between the {self.size} processes broke ({error})")

    def _look_for_the_gone(self) -> None:
        """Raises RankLostError: a process of this host is gone without saying that it leaves."""
        for rank, status in sorted(self.heartbeat.statuses.items()):
            if rank != self.rank and status.code is None and status.is_a_process_here_that_is_gone:
                raise self._lost(f"{self._name(rank)} is gone")

    def _silent(self, rank: int) -> RankLostError:
        usurped = (
            "; its place in the store where the processes meet was overwritten: somebody "
            "else writes there"
            if rank in self.heartbeat.usurped
            else ""
        )
        return self._lost(f"{self._name(rank)} no longer responds{usurped}")

    def _name(self, rank: int) -> str:
        status = self.heartbeat.statuses.get(rank)
        where = "" if status is None else f" (host {status.host}, process number {status.pid})"
        return f"process {rank} of {self.size}{where}"

    def _lost(self, what: str) -> RankLostError:
        self.is_broken = True
        return RankLostError(
            what,
            why="A run needs all its processes.",
            remedy="Find out what ended it (memory, its host), then continue with --resume; any "
            "number of processes will do.",
        )
