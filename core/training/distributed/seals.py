"""Proof that something comes from one of this run's processes: an HMAC under the run's key."""

from __future__ import annotations

import hmac
from hashlib import sha256

SEAL_BYTES = 32


def seal(key: bytes, what: str, *parts: bytes) -> bytes:
    """Seal these parts, each with its length, so that none can pass for a piece of another."""
    text = hmac.new(key, what.encode() + b"\0", sha256)
    for part in parts:
        text.update(len(part).to_bytes(8, "little") + part)
    return text.digest()


def is_sealed(found: bytes, key: bytes, what: str, *parts: bytes) -> bool:
    """Whether this is their seal, compared in constant time."""
    return hmac.compare_digest(found, seal(key, what, *parts))
