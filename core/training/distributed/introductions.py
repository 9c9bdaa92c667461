"""Before anything else the processes of a run introduce themselves, and prove who they are.

They meet in a store that anybody who reaches its port may read and write, and somebody else may
even have taken the port first. So each writes its name there, with a number never used before; once
it has all names, it adds a seal over all of them that requires the run's secret. Strangers are
refused by name before any command or tensor is exchanged. The resulting key seals every command
(``core.training.distributed.channel``) and heartbeat (``core.training.distributed.heartbeat``) from
then on.
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
"""How long a process that refuses stays: the store in which the others read why may end with it."""

_PORT_REMEDY = "or another job or person has taken its port: choose another MASTER_PORT."


@dataclass(frozen=True)
class Introduction:
    """What a process says about itself.

    Attributes:
        rank: its rank.
        size: the number of processes.
        host: its host.
        pid: its process number there.
        version: of cxr-tui.
        recipe: digest of the recipe it was asked to run; None if it can't tell (a session that only
            rank 0 can read).
        once: a number never used before, so that an old proof can't be replayed.
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
    """Of what all processes are given alike; only rank 0 reads weights and tables."""
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

    ``waits`` is called several times a second with a description of the awaited process, and may
    end the wait by an exception.

    Raises:
        UsageError: one has another secret, version, size or recipe.
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
    # Written only if there is nothing yet.
    there = store.compare_set(f"first/{own.rank}", "", text.decode())
    if there != text:
        raise _refused(
            f"another process has introduced itself as process {own.rank} of {own.size}",
            "Start each with its own RANK; if they have one, " + _PORT_REMEDY.removeprefix("or "),
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
                f"Give all of them the same {VARIABLE}, or the same --cache if they share its "
                f"disk; {_PORT_REMEDY}",
            )
    _refuse_another_recipe(own, others)
    return seal(secret, "key", *texts)


def _refuse_strangers(own: Introduction, others: list[Introduction]) -> None:
    """Before any proof, since another version may prove itself differently."""
    for other in others:
        if other.version != own.version:
            raise _refused(
                f"{other.name} runs cxr-tui {other.version}, this one runs {own.version}",
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
                f"{other.name} was asked to run a different recipe",
                "Start all processes with the same arguments and the same dataset.images; if they "
                "were, another of your jobs has taken its port: choose another MASTER_PORT.",
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
            raise ValueError("its numbers are invalid")
        if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in texts):
            raise ValueError("its names are invalid")
    except (ValueError, TypeError, RecursionError) as error:
        raise _refused(
            f"what introduced itself as process {rank} of {launch.size} does not belong to "
            f"this run ({str(error)[:_LONGEST_NAME]})",
            f"Another version of cxr-tui may run there, {_PORT_REMEDY}",
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
