"""The ranks of one run: the processes that torchrun starts, and the commands between them.

Rank 0 leads: it has the session, the lock, the requests and the events, and it alone decides.
Before each operation that all ranks do together it broadcasts a command; the others wait for the
next one and do their share (``core.training.distributed.following``). A single process has the same
interface with one rank, and loads nothing of torch.distributed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import RunFailedError, UsageError
from core.requests import NextRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.images.image_file import ImageFile
    from core.model.input_spec import InputSpec
    from core.recipe import Recipe

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class RankLostError(RunFailedError):
    """Another process of this run is gone; this one's weights are those of its last step."""


class RankFailedError(RunFailedError):
    """Another process of this run failed, and said why."""


class CommandError(RunFailedError):
    """What arrived in rank 0's name is not a command of this run."""


@dataclass(frozen=True)
class Launch:
    """Which of how many processes this is, over all hosts and on its own."""

    rank: int
    size: int
    local_rank: int

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes the session."""
        return self.rank == 0

    @property
    def leads_its_host(self) -> bool:
        """Whether this is the process of its host that writes the cache."""
        return self.local_rank == 0


def launch_of(environment: Mapping[str, str]) -> Launch | None:
    """How torchrun, or a scheduler that sets its variables, started this process; None if alone.

    Raises:
        UsageError: some of the variables are missing, or are not numbers.
    """
    if environment.get("WORLD_SIZE", "1") == "1" or "RANK" not in environment:
        return None
    missing = [name for name in _NEEDED if name not in environment]
    if missing:
        raise UsageError(
            f"RANK and WORLD_SIZE are set, but not {', '.join(missing)}",
            why="The processes of a run find each other by them",
            remedy="Start with torchrun, or set all five; for one process unset WORLD_SIZE.",
        )
    try:
        rank, size, local_rank, port = (
            int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
        )
    except ValueError:
        raise UsageError("RANK, WORLD_SIZE, LOCAL_RANK and MASTER_PORT must be numbers") from None
    if not 0 <= local_rank <= rank < size:
        raise UsageError(f"there is no rank {rank} (on its host {local_rank}) of {size}")
    if not 0 < port < 2**16:
        raise UsageError(f"there is no port {port}", where="MASTER_PORT")
    return Launch(rank, size, local_rank)


@dataclass(frozen=True)
class Prepare:
    """The data set: the first process of every other host fills its cache.

    ``files`` holds every image that was found, in the order of the index; ``wanted`` are the rows
    of those that are used.
    """

    recipe: Recipe
    files: Mapping[str, ImageFile]
    wanted: tuple[int, ...]
    resize: str
    is_miniature: bool


@dataclass(frozen=True)
class PartRows:
    """A part: rows of the index, and their patients and labels."""

    index_rows_N: NDArray[np.int64]
    patients_N: NDArray[np.int64]
    labels_NF: NDArray[np.float32]
    weights_N: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Build:
    """Each part, and the network; its weights follow by ``Restore``.

    ``content`` is the digest of the image files' bytes; another host has its own copies of them.
    """

    parts: Mapping[str, PartRows]
    content: str
    findings: tuple[str, ...]
    input_spec: InputSpec
    precision: str


@dataclass(frozen=True)
class Restore:
    """Load rank 0's weights, optimiser and progress."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class TakeStep:
    """Make a step of this kind for your pieces, and say whether it works."""

    kind: str


@dataclass(frozen=True)
class BeginEpoch:
    """Start reading the batches of the epoch in this state."""

    state: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Process your piece of the next batch."""


@dataclass(frozen=True)
class Score:
    """Score your share of this part, in the run's precision or in fp32 without shortcuts."""

    part: str
    exactly: bool


@dataclass(frozen=True)
class End:
    """Exit with this code."""

    code: int


Command = Prepare | Build | Restore | TakeStep | BeginEpoch | Step | Score | End

CACHED, BUILT, STEP_MADE = "cached", "built", "step made"
"""A follower's progress, which rank 0 waits for."""


class Ranks(Protocol):
    """What a run needs of its ranks."""

    rank: int
    size: int

    def broadcast(self, command: Command) -> None:
        """Send a command to all others, if this is rank 0."""

    def wait_for(self, stage: str, may_go_on: Callable[[], bool]) -> None:
        """Wait until every rank that takes part has reached the stage; a stop ends the wait."""

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; every rank has to call."""

    def add_up(self, tensor: Tensor) -> None:
        """Replace it by the sum over all ranks, the same bits on each; every rank has to call."""

    def leave_early(self, leaves: bool) -> None:
        """Rank 0 says that it leaves a part before its end, or no longer does."""

    def watched(self, next_request: NextRequest) -> NextRequest:
        """The same requests, with a stop if another rank was asked to stop.

        Asking raises RankLostError if a rank is gone.
        """


class Alone:
    """A single process."""

    rank = 0
    size = 1

    def broadcast(self, command: Command) -> None:
        """Nobody to send to."""

    def wait_for(self, stage: str, may_go_on: Callable[[], bool]) -> None:
        """Nobody to wait for."""

    def any(self, flag: bool) -> bool:
        """The flag itself."""
        return flag

    def add_up(self, tensor: Tensor) -> None:
        """It is the sum already."""

    def leave_early(self, leaves: bool) -> None:
        """Nobody waits."""

    def watched(self, next_request: NextRequest) -> NextRequest:
        """The requests themselves."""
        return next_request


ALONE = Alone()
