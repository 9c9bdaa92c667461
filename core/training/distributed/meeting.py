"""How the processes of a run meet: a place, introductions, heartbeats, connections.

All of it waits for others, and for a network, in calls that no signal interrupts. So a thread does
it, while the main thread checks for a stop several times a second, says now and then what it is
waiting for, and gives up if nobody comes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore

from core.errors import StoppedError, UsageError
from core.in_slices import in_slices
from core.training.distributed.heartbeat import AwakeClock, RankHeartbeat
from core.training.distributed.introductions import introduce
from core.training.distributed.meeting_place import MeetingPlace, is_kept_here, meeting_place
from core.training.distributed.ranks import Launch
from core.training.distributed.team import Team

_PATIENCE_SECONDS = 600.0
_SAID_EVERY_SECONDS = 5.0
_POLL_SECONDS = 0.1
_CONNECTING = timedelta(minutes=10)
_FOR_EVER = timedelta(days=365)
"""Torch's own limit, which also counts while a job is suspended; a run may be paused for this
long."""


@dataclass
class Meeting:
    """One process's part in the meeting.

    Attributes:
        launch: which process this is, of how many.
        secret: see ``core.training.distributed.job_secret``.
        recipe: digest of the recipe; None if it can't tell.
        stop_requested: whether a signal asked for a stop.
        say: receives lines for the person waiting for the run.
        patience_seconds: how long to wait for the others.
    """

    launch: Launch
    secret: bytes
    recipe: str | None
    stop_requested: Callable[[], bool]
    say: Callable[[str], None]
    patience_seconds: float = _PATIENCE_SECONDS
    _place: MeetingPlace = field(default_factory=meeting_place)
    _whom: str = "the others"
    _clock: AwakeClock = field(default_factory=AwakeClock)
    _said: float = 0.0
    _heartbeat: RankHeartbeat | None = None
    _is_left: bool = False

    def held(self) -> Team:
        """This rank and the others, once all have come and proved who they are.

        Raises:
            UsageError: the port is taken, nobody came, or somebody else did.
            StoppedError: a stop was requested meanwhile.
        """
        try:
            return in_slices(self._meet, self._ask)
        finally:
            self._is_left = True

    def _meet(self) -> Team:
        try:
            return self._joined()
        except dist.DistError as error:
            if self.stop_requested():  # all of them were asked to stop
                raise self._stopped() from None
            raise UsageError(
                f"the place where the processes of this run meet is gone ({str(error)[:200]})",
                where=str(self._place),
                why=f"It went while this process waited for {self._whom}.",
                remedy="Find out what ended the process with RANK=0, then start all of them again.",
            ) from None

    def _joined(self) -> Team:
        launch = self.launch
        store = self._place.opened() if is_kept_here(launch) else self._place.found(self._wait)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        first = PrefixStore(f"introductions/{attempt}", store)
        key = introduce(first, launch, self.secret, self.recipe, self._wait)
        # A separate connection, since a connection blocks while it waits for an answer.
        watched = PrefixStore(f"heartbeat/{attempt}", self._place.connected())
        heartbeat = self._heartbeat = RankHeartbeat(watched, launch.rank, launch.size, key)
        try:
            while missing := set(range(launch.size)).difference(heartbeat.statuses):
                self._wait(f"a heartbeat of process {min(missing)} of {launch.size}")
                time.sleep(_POLL_SECONDS)
                heartbeat.look()
            self._whom = "connections to the others"
            store.set_timeout(_CONNECTING)
            dist.init_process_group(
                "gloo",
                store=PrefixStore(f"ranks/{attempt}", store),
                rank=launch.rank,
                world_size=launch.size,
                timeout=_FOR_EVER,
            )
        except BaseException:
            heartbeat.stop()
            raise
        return Team(launch, heartbeat, key)

    def _wait(self, whom: str) -> None:
        """In the thread: set what it waits for; ends it once nobody waits any more."""
        self._whom = whom
        if self._is_left:
            raise StoppedError("nobody is waiting for this any more")

    def _ask(self) -> None:
        """In the main thread, meanwhile.

        Raises:
            StoppedError: a stop was requested.
            UsageError: nobody came in time.
        """
        waited = self._clock()
        if self.stop_requested():
            raise self._stopped()
        if self._heartbeat is not None and (silent := self._heartbeat.silent_ranks()):
            raise self._gave_up(f"process {silent[0]} of {self.launch.size} came and is gone")
        if waited > self.patience_seconds:
            rank = f"process {self.launch.rank} of {self.launch.size}"
            raise self._gave_up(f"{rank} has waited {waited:.0f} s for {self._whom}")
        if waited - self._said >= _SAID_EVERY_SECONDS:
            self._said = waited
            self.say(f"waiting   for {self._whom}, {waited:.0f} s so far")

    def _stopped(self) -> StoppedError:
        return StoppedError(
            f"asked to stop while waiting for {self._whom}",
            why="Nothing was started.",
            remedy="Start it again to continue.",
        )

    def _gave_up(self, what: str) -> UsageError:
        return UsageError(
            what,
            where=str(self._place),
            why="A run needs all its processes.",
            remedy="Check that all were started, that both variables are the same for all and "
            "name the host of RANK=0 and a port that nobody else uses, and that no firewall "
            "is between them.",
        )
