"""The ranks of one run: the processes that torchrun starts, and what they say to each other.

Rank 0 leads: it has the session, the lock, the requests and the events, and it alone decides.
Before each thing that all ranks do together it broadcasts a command; the others wait for the next
one and do their share (``core.training.distributed.following``). A run that is alone has the same
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

    from core.data.images.image_files import ImageFile
    from core.model.input_spec import InputSpec
    from core.recipe import Recipe

_NEEDED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class RankLostError(RunFailedError):
    """Another process of this run is gone; this one's weights are as of its last step."""


class RankFailedError(RunFailedError):
    """Another process of this run could not go on, and said why."""


class CommandError(RunFailedError):
    """What came in rank 0's name is no command of this run."""


@dataclass(frozen=True)
class Launch:
    """Which of how many processes this is, over all hosts and on its own."""

    rank: int
    size: int
    local_rank: int

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @property
    def leads_its_host(self) -> bool:
        """Whether this is the one of its host that makes the cache."""
        return self.local_rank == 0


def launch_of(environment: Mapping[str, str]) -> Launch | None:
    """How torchrun, or a scheduler that sets its variables, started us; None: alone.

    Raises:
        UsageError: some of the variables are missing, or are not numbers.
    """
    if environment.get("WORLD_SIZE", "1") == "1" or "RANK" not in environment:
        return None
    missing = [name for name in _NEEDED if name not in environment]
    if missing:
        raise UsageError(
            f"RANK and WORLD_SIZE are set, but {', '.join(missing)} not",
            why="The processes of a run find each other by these",
            remedy="Start by torchrun, or set all five; for one process unset WORLD_SIZE.",
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
    """The data set: the first process of every other host makes its cache.

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
    """A part: rows of the index, and what the label table says of each."""

    index_rows_N: NDArray[np.int64]
    patients_N: NDArray[np.int64]
    labels_NF: NDArray[np.float32]
    weights_N: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Build:
    """Each part, and the network; its weights come by ``Restore``.

    ``content`` is the digest of the image files' bytes, which are another host's own copies there.
    """

    parts: Mapping[str, PartRows]
    content: str
    findings: tuple[str, ...]
    input_spec: InputSpec
    precision: str


@dataclass(frozen=True)
class Restore:
    """Rank 0's weights, optimiser and progress in place of yours."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True)
class TakeStep:
    """Make a step of this kind for your pieces, and say whether it can be used."""

    kind: str


@dataclass(frozen=True)
class BeginEpoch:
    """Read the batches of the epoch that this state stands in."""

    state: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Your piece of the next batch."""


@dataclass(frozen=True)
class Score:
    """Your share of this part, in the run's precision or in fp32 without shortcuts."""

    part: str
    exactly: bool


@dataclass(frozen=True)
class End:
    """Leave, with this exit code."""

    code: int


Command = Prepare | Build | Restore | TakeStep | BeginEpoch | Step | Score | End

CACHED, BUILT, STEP_MADE = "cached", "built", "step made"
"""How far a follower is, for rank 0 to wait for."""


class Ranks(Protocol):
    """What a run needs of its ranks."""

    rank: int
    size: int

    def broadcast(self, command: Command) -> None:
        """Rank 0 says it to all others; nothing elsewhere."""

    def wait_for(self, stage: str, may_go_on: Callable[[], bool]) -> None:
        """Until every rank that is to come so far has; a stop ends the waiting."""

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank; every rank has to ask."""

    def add_up(self, tensor: Tensor) -> None:
        """In its place the sum over all ranks, the same bits on each; every rank has to call."""

    def leave_early(self, leaves: bool) -> None:
        """Rank 0 leaves a part before its end, or no longer does."""

    def watched(self, next_request: NextRequest) -> NextRequest:
        """The same requests, with a stop where another rank was asked to stop.

        Asking raises RankLostError where one is gone.
        """


class Alone:
    """One process, which has nobody to talk to."""

    rank = 0
    size = 1

    def broadcast(self, command: Command) -> None:
        """To nobody."""

    def wait_for(self, stage: str, may_go_on: Callable[[], bool]) -> None:
        """For nobody."""

    def any(self, flag: bool) -> bool:
        """As it is here."""
        return flag

    def add_up(self, tensor: Tensor) -> None:
        """It is the sum."""

    def leave_early(self, leaves: bool) -> None:
        """Nobody waits."""

    def watched(self, next_request: NextRequest) -> NextRequest:
        """As they are."""
        return next_request


ALONE = Alone()
