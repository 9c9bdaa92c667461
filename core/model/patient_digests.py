"""Patients told by keyed digests: who holds the key recognises one, nobody can list them.

Weights are handed on; the record numbers of a hospital must not travel in them. They carry an
HMAC-SHA256 of each patient's number instead (RFC 2104), cut to 16 bytes, which is far more than
telling a million patients apart takes. Without the key no number can be tried against them. The
key stays in the session, in a file that only its owner can read, beside the keys of the sessions
whose weights it started from.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import SessionError
from core.regular_file import read_regular
from core.store.files import write_whole

KEY_FILE = "patients.key"

_KEY_BYTES, _DIGEST_BYTES = 32, 16
_MOST_BYTES = 2**20
_OWN, _ALL = "own", "keys"

Keys = Mapping[str, bytes]
"""A key's name -> the key."""


@dataclass(frozen=True)
class PatientDigests:
    """Patients of whom nobody can say who they are.

    Attributes:
        key_name: tells which key recognises them; says nothing of the key.
        digests: one a patient.
        key: the key itself, where it is at hand; it is written into no file of weights.
    """

    key_name: str
    digests: frozenset[bytes]
    key: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, patients: Iterable[int], key: bytes) -> PatientDigests:
        """The digests of these patients under a key."""
        return cls(name_of(key), frozenset(_digest(key, patient) for patient in patients), key)

    def among(self, patients: Iterable[int]) -> frozenset[int] | None:
        """Those of the patients that are here; None where nobody can tell without the key."""
        if self.key is None:
            return None
        key = self.key
        return frozenset(patient for patient in patients if _digest(key, patient) in self.digests)

    def to_json(self) -> dict[str, str]:
        """A JSON object that :meth:`from_json` reads, without the key."""
        joined = base64.b64encode(b"".join(sorted(self.digests))).decode()
        return {"key": self.key_name, "hmac_sha256": joined}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PatientDigests:
        """Read a JSON object.

        Raises:
            KeyError, TypeError, ValueError: it is not what :meth:`to_json` writes.
        """
        joined = base64.b64decode(value["hmac_sha256"], validate=True)
        if len(joined) % _DIGEST_BYTES:
            raise ValueError("digests of patients that are cut off")
        each = range(0, len(joined), _DIGEST_BYTES)
        digests = frozenset(joined[start : start + _DIGEST_BYTES] for start in each)
        return cls(str(value["key"]), digests)


def name_of(key: bytes) -> str:
    """What tells a key from others."""
    return hmac.digest(key, b"the name of this key", "sha256").hex()[:16]


def keys_beside(weights: Path) -> Keys:
    """The keys of the session that a file of weights stands in, or that were copied beside it."""
    for folder in (weights.parent.parent, weights.parent):
        try:
            return _read(folder)[1]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # none, not ours to read, or something else: then nobody can tell
    return {}


def own_key(session: Path, inherited: Keys) -> bytes:
    """The session's own key, made where there is none; others are kept beside it.

    Where the file is another user's, whom alone it lets read, the key made is kept nowhere: of
    weights written with it nobody can tell whom they have seen.

    Raises:
        SessionError: the file is there and is no key.
        OSError: it can't be written.
    """
    try:
        own, keys = _read(session)
    except FileNotFoundError:
        own, keys = secrets.token_bytes(_KEY_BYTES), {}
    except PermissionError:
        return secrets.token_bytes(_KEY_BYTES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SessionError(
            f"can't be read ({error})",
            where=session / KEY_FILE,
            why="By it this session's weights recognise the patients they were trained on.",
            remedy="Bring it back; or delete it, and weights written from now on get another.",
        ) from None
    wanted = {**keys, **inherited, name_of(own): own}
    if wanted != keys:
        text = {_OWN: own.hex(), _ALL: {name: key.hex() for name, key in sorted(wanted.items())}}
        content = json.dumps(text, indent=1).encode() + b"\n"
        write_whole(session / KEY_FILE, content, follow=True, mode=0o600)
    return own


def _read(session: Path) -> tuple[bytes, dict[str, bytes]]:
    """The session's own key, and all keys by their names."""
    kept = json.loads(read_regular(session / KEY_FILE, _MOST_BYTES))
    keys = {str(name): bytes.fromhex(key) for name, key in kept[_ALL].items()}
    own = bytes.fromhex(kept[_OWN])
    if any(name_of(key) != name or len(key) != _KEY_BYTES for name, key in keys.items()):
        raise ValueError("a key that is not the one it is called")
    if name_of(own) not in keys:
        raise ValueError("its own key is not among the keys")
    return own, keys


def _digest(key: bytes, patient: int) -> bytes:
    return hmac.digest(key, str(patient).encode(), "sha256")[:_DIGEST_BYTES]
