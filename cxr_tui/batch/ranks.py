"""``--batch`` and ``--resume`` under torchrun: rank 0 runs as usual, others follow silently."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import CxrError, internal_error
from core.training.distributed.job_secret import ranks_secret
from core.training.distributed.ranks import CommandError, End, Launch, RankLostError
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import STOP_SIGNALS, StopSignals
from cxr_tui.terminal.streams import leave_at_once

if TYPE_CHECKING:
    from core.training.distributed.team import Team


@dataclass
class Others:
    """The other ranks of rank 0's run; joined when needed, since that loads torch."""

    launch: Launch
    cache: Path
    recipe: str | None
    """Digest of this process's recipe; None if it can't tell."""
    _team: Team | None = field(default=None)
    _has_failed: bool = field(default=False)

    def met(self, stop_requested: Callable[[], bool]) -> Team:
        """Join this rank and the others.

        Raises:
            CxrError: they didn't come, or a stop was requested; see
                ``core.training.distributed.meeting``.
        """
        if self._team is None:
            from core.training.distributed.meeting import Meeting

            self._has_failed = True  # unless what follows succeeds
            secret = ranks_secret(os.environ, self.cache)
            say = Narrator().tell
            meeting = Meeting(self.launch, secret, self.recipe, stop_requested, say)
            self._team = meeting.held()
            self._has_failed = False
        return self._team

    def left(self, code: int, stop_requested: Callable[[], bool]) -> None:
        """Leave the others; they are joined first so that they learn of it and don't wait."""
        if self._has_failed:
            return
        # The run's own error is reported, not that the others could not be reached.
        with contextlib.suppress(CxrError):
            _leave(self.met(stop_requested), code)

    def device(self, asked: str) -> str:
        """The device of rank 0."""
        from core.training.distributed.rank_device import device_for

        return device_for(self.launch, asked)

    @property
    def command(self) -> str:
        """The command that starts such a run."""
        here = os.environ.get("LOCAL_WORLD_SIZE")
        if here != str(self.launch.size):
            return "torchrun … -m cxr_tui"  # on several hosts: as it was started
        return f"torchrun --standalone --nproc-per-node={here} -m cxr_tui"


def lead(others: Others, run: Callable[[], int]) -> int:
    """Run as rank 0; the others leave with the same exit code, whatever happens."""
    signals = _take_signals_to_the_end()
    code = 1
    try:
        code = run()
        others.met(lambda: signals.stop_requested).broadcast(End(code))
        return code
    except CxrError as error:
        code = error.exit_code
        raise
    finally:
        others.left(code, lambda: signals.stop_requested)


def follow(others: Others, device: str) -> int:
    """Run as any other rank; rank 0 reports errors, unless it is gone."""
    signals = _take_signals_to_the_end()
    warnings.simplefilter("ignore")  # rank 0 reports them
    from core.training.distributed.following import follow as follow_rank_0

    team, code = others.met(lambda: signals.stop_requested), 1
    try:
        code = follow_rank_0(team, device, others.cache, lambda: signals.stop_requested)
    except RankLostError as error:
        code = error.exit_code
        raise
    except CommandError as error:  # rank 0 may be a stranger that doesn't report it
        code = error.exit_code
        team.heartbeat.show(trouble=str(error))
        raise
    except CxrError as error:
        code = error.exit_code
        team.heartbeat.show(trouble=str(error))
    except BaseException as error:
        team.heartbeat.show(trouble=internal_error(error))
        raise
    finally:
        _leave(team, code)
    return code


def _take_signals_to_the_end() -> StopSignals:
    """From here on signals ask for a stop; only ``_leave`` ends this."""
    signals = StopSignals(is_one_of_many=True)
    signals.__enter__()
    return signals


def _leave(team: Team, code: int) -> None:
    """Leave the others, and ignore signals: torchrun sends one to the last process."""
    team.leave(code)
    # Ignored signals stay ignored while Python shuts down; our handlers would not.
    for kind in (*STOP_SIGNALS, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)
    if team.is_broken:
        # Torch would wait for connections to a rank that is gone.
        atexit.register(leave_at_once, code)
