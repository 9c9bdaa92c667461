"""How a command gets from rank 0 to the others: a short message, and longer ones if announced.

The short one is sealed with the run's key, counted, and holds the digests of what follows: nothing
is parsed, and no memory allocated, unless it came from rank 0 and in sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import torch
from torch import Tensor

from core.training.distributed.messages import (
    MOST_TEXT_BYTES,
    Heading,
    command_of,
    heading_of,
    packed,
    refused,
    room_for,
    text_of,
    unpacked,
)
from core.training.distributed.ranks import Command
from core.training.distributed.seals import SEAL_BYTES, is_sealed, seal

_MESSAGE_BYTES, _LENGTH_BYTES = 2048, 8
_DIGEST_BYTES = 32
_OTHER_BYTES = "its bytes differ from those that process 0 sealed"
_TEXT_STARTS = SEAL_BYTES + _LENGTH_BYTES + 2 * _DIGEST_BYTES
_SHORT_TEXT_BYTES = _MESSAGE_BYTES - _TEXT_STARTS

Between = Callable[[], None]


class Channel:
    """Sends and receives the commands of one run, in order.

    Args:
        key: the run's, see ``core.training.distributed.introductions``.
        broadcast: brings rank 0's bytes to all, in place; the second argument is called each second
            while waiting, or None if they arrive immediately.
    """

    def __init__(self, key: bytes, broadcast: Callable[[Tensor, Between | None], None]) -> None:
        self._key = key
        self._broadcast = broadcast
        self._count = 0

    def say(self, command: Command) -> None:
        """Send a command; on rank 0."""
        text, tensors = text_of(command)
        flat = packed(tensors)
        is_short = len(text) <= _SHORT_TEXT_BYTES
        head = (
            len(text).to_bytes(_LENGTH_BYTES, "little")
            + _digest(text)
            + _digest(flat.numpy().tobytes())
        )
        sealed = (head + (text if is_short else b"")).ljust(_MESSAGE_BYTES - SEAL_BYTES, b"\0")
        self._broadcast(_bytes_of(seal(self._key, self._turn(), sealed) + sealed), None)
        if not is_short:
            self._broadcast(_bytes_of(text), None)
        if len(flat):
            self._broadcast(flat, None)

    def receive(self, between: Between, expect: Callable[[Heading], None]) -> Command:
        """Receive a command; on the others. ``expect`` refuses wrong tensors before memory is
        allocated.

        Raises:
            CommandError: this run's rank 0 did not send it.
        """
        message = torch.zeros(_MESSAGE_BYTES, dtype=torch.uint8)
        self._broadcast(message, between)
        content = message.numpy().tobytes()
        sealed = content[SEAL_BYTES:]
        if not is_sealed(content[:SEAL_BYTES], self._key, self._turn(), sealed):
            raise refused("it does not bear this run's seal")
        length = int.from_bytes(sealed[:_LENGTH_BYTES], "little")
        if length > MOST_TEXT_BYTES:
            raise refused(f"it announces {length:,} bytes; at most {MOST_TEXT_BYTES:,} are allowed")
        text = content[_TEXT_STARTS : _TEXT_STARTS + length]
        if length > _SHORT_TEXT_BYTES:
            room = torch.zeros(length, dtype=torch.uint8)
            self._broadcast(room, None)
            text = room.numpy().tobytes()
        digests = content[_TEXT_STARTS - 2 * _DIGEST_BYTES : _TEXT_STARTS]
        if _digest(text) != digests[:_DIGEST_BYTES]:
            raise refused(_OTHER_BYTES)
        heading = heading_of(text)
        expect(heading)
        flat = room_for(heading.specs)
        if len(flat):
            self._broadcast(flat, None)
        if _digest(flat.numpy().tobytes()) != digests[_DIGEST_BYTES:]:
            raise refused(_OTHER_BYTES)
        return command_of(heading, unpacked(flat, heading.specs))

    def _turn(self) -> str:
        """Each command has its own seal, so none can be replayed."""
        self._count += 1
        return f"command {self._count}"


def _digest(content: bytes) -> bytes:
    return sha256(content).digest()


def _bytes_of(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
