"""Before anything else the processes of a run say who they are, and prove it.

They meet in a store that anybody who reaches its port may read and write, and whoever took the port
first may be somebody else altogether. So each puts its name there, with a number that was never
used before; and once it has those of all, a seal over all of them that only who knows the run's
secret can make. What is refused is refused by name, before a command or a tensor was exchanged. The
key that comes of it seals every command (``core.training.distributed.channel``) and sign of life
(``core.training.distributed.heartbeat``) from there on.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.recipe import PATH_KEYS, Recipe
from core.training.distributed.job_secret import VARIABLE
from core.training.distributed.ranks import Launch
from core.training.distributed.seals import SEAL_BYTES, is_sealed, seal

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_MOST_BYTES = 4096
_LONGEST_NAME = 80
_POLL_SECONDS = 0.1
_LAST_LOOK_SECONDS = 0.3
"""Whoever refuses stays so long: with it the store may go in which others read why."""

_PORT_REMEDY = "or another job or person has taken its port: choose another MASTER_PORT."


@dataclass(frozen=True)
class Introduction:
    """What a process says of itself.

    Attributes:
        rank: which one it is.
        size: of how many.
        host: where it runs.
        pid: its number there.
        version: of the program.
        recipe: digest of what it was asked to run; None where it can't tell (a session that only
            rank 0 can read).
        once: a number that was never used before, so that no old proof is one again.
    """

    rank: int
    size: int
    host: str
    pid: int
    version: str
    recipe: str | None
    once: str

    @property
    def name(self) -> str:
        """As a user would look for it."""
        return f"process {self.rank} of {self.size} (host {self.host}, process number {self.pid})"


def digest_of_shared(recipe: Recipe, *, is_check: bool) -> str:
    """Of what every process is asked alike; weights and tables are rank 0's alone to read."""
    shared = recipe.model_dump(mode="json", exclude={"name", "note"})
    for key in (*PATH_KEYS, "model.weights"):
        section, _, name = key.partition(".")
        if key != "dataset.images":
            shared[section].pop(name)
    text = json.dumps([shared, is_check], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def introduce(
    store: Store,
    launch: Launch,
    secret: bytes,
    recipe: str | None,
    waits: Callable[[str], None],
) -> bytes:
    """The run's key, once all have introduced themselves to each other.

    ``waits`` is called several times a second, with whom it is for, and ends it by an exception.

    Raises:
        UsageError: one is not of this run: of another secret, version, size or recipe.
        RuntimeError: the store is gone.
    """
    own = Introduction(
        rank=launch.rank,
        size=launch.size,
        host=socket.gethostname()[:_LONGEST_NAME],
        pid=os.getpid(),
        version=metadata.version("cxr-tui"),
        recipe=recipe,
        once=secrets.token_hex(16),
    )
    text = json.dumps(asdict(own)).encode()
    # Sets it only where there is nothing yet.
    there = store.compare_set(f"first/{own.rank}", "", text.decode())
    if there != text:
        raise _refused(
            f"another process has introduced itself as process {own.rank} of {own.size}",
            "Start each with a RANK of its own; if they have, " + _PORT_REMEDY.removeprefix("or "),
        )
    texts = [_waited_for(store, "first", rank, launch, waits) for rank in range(launch.size)]
    others = [_read(text, rank, launch) for rank, text in enumerate(texts)]
    _refuse_strangers(own, others)
    proof = seal(secret, f"process {own.rank}", *texts)
    store.set(f"proof/{own.rank}", proof.hex())
    for other in others:
        found = _waited_for(store, "proof", other.rank, launch, waits)
        if not is_sealed(_unhexed(found), secret, f"process {other.rank}", *texts):
            raise _refused(
                f"{other.name} does not know this run's secret",
                f"Give all of them the same {VARIABLE}, or the same --cache where they share its "
                f"disk; {_PORT_REMEDY}",
            )
    _refuse_another_recipe(own, others)
    return seal(secret, "key", *texts)


def _refuse_strangers(own: Introduction, others: list[Introduction]) -> None:
    """Said before any proof, as another version may prove itself in another way."""
    for other in others:
        if other.version != own.version:
            raise _refused(
                f"{other.name} runs cxr-tui {other.version}, and this one {own.version}",
                "Install the same version for all of them.",
            )
        if other.size != own.size:
            raise _refused(
                f"{other.name} is not one of {own.size}",
                f"Give all of them the same WORLD_SIZE, {_PORT_REMEDY}",
            )


def _refuse_another_recipe(own: Introduction, others: list[Introduction]) -> None:
    for other in others:
        if None not in (own.recipe, other.recipe) and own.recipe != other.recipe:
            raise _refused(
                f"{other.name} was asked to run another recipe than this one",
                "Start all processes with the same arguments and the same dataset.images; if they "
                "were, another job of yours has taken its port: choose another MASTER_PORT.",
            )


def _waited_for(
    store: Store, what: str, rank: int, launch: Launch, waits: Callable[[str], None]
) -> bytes:
    key = f"{what}/{rank}"
    while not store.check([key]):
        waits(f"process {rank} of {launch.size}")
        time.sleep(_POLL_SECONDS)
    value: bytes = store.get(key)
    return value


def _read(text: bytes, rank: int, launch: Launch) -> Introduction:
    try:
        if len(text) > _MOST_BYTES:
            raise ValueError(f"{len(text):,} bytes")
        found = Introduction(**json.loads(text))
        numbers = (found.rank, found.size, found.pid)
        texts = (found.host, found.version, found.once, found.recipe or "")
        if not all(type(number) is int for number in numbers) or found.rank != rank:
            raise ValueError("its numbers are none")
        if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in texts):
            raise ValueError("its names are none")
    except (ValueError, TypeError, RecursionError) as error:
        raise _refused(
            f"what introduces itself as process {rank} of {launch.size} does not belong to "
            f"this run ({str(error)[:_LONGEST_NAME]})",
            f"Another version of cxr-tui may be there, {_PORT_REMEDY}",
        ) from None
    return found


def _unhexed(found: bytes) -> bytes:
    try:
        return bytes.fromhex(found[: 2 * SEAL_BYTES + 1].decode("ascii"))
    except ValueError:
        return b""


def _refused(what: str, remedy: str) -> UsageError:
    time.sleep(_LAST_LOOK_SECONDS)
    return UsageError(
        what,
        where=f"MASTER_ADDR={os.environ.get('MASTER_ADDR')} "
        f"MASTER_PORT={os.environ.get('MASTER_PORT')}",
        why="Nothing was exchanged with it.",
        remedy=remedy,
    )
