"""Patients as keyed digests: with the key a patient can be recognised, but nobody can list them.

Weights are shared, and must not contain a hospital's record numbers. Instead they contain an
HMAC-SHA256 (RFC 2104) of each patient's number, truncated to 16 bytes, far more than needed to
distinguish a million patients. Without the key, numbers can't be guessed and compared. The key
stays in the session, in a file that only its owner can read, with the keys of the sessions whose
weights it started from.
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
    """Patients who can't be identified without the key.

    Attributes:
        key_name: identifies the key without revealing it.
        digests: one for each patient.
        key: the key, if available; never written to a weights file.
    """

    key_name: str
    digests: frozenset[bytes]
    key: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, patients: Iterable[int], key: bytes) -> PatientDigests:
        """The digests of these patients with a key."""
        return cls(name_of(key), frozenset(_digest(key, patient) for patient in patients), key)

    def among(self, patients: Iterable[int]) -> frozenset[int] | None:
        """The given patients that are among these; None without the key."""
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
            raise ValueError("truncated patient digests")
        each = range(0, len(joined), _DIGEST_BYTES)
        digests = frozenset(joined[start : start + _DIGEST_BYTES] for start in each)
        return cls(str(value["key"]), digests)


def name_of(key: bytes) -> str:
    """A key's public name."""
    return hmac.digest(key, b"the name of this key", "sha256").hex()[:16]


def keys_beside(weights: Path) -> Keys:
    """The keys in the session of a weights file, or copied next to the file."""
    for folder in (weights.parent.parent, weights.parent):
        try:
            return _read(folder)[1]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # missing, unreadable or something else: patients stay unknown
    return {}


def own_key(session: Path, inherited: Keys) -> bytes:
    """The session's own key, created if missing; ``inherited`` keys are stored with it.

    If another user owns the file and only that user may read it, the new key is not stored:
    patients of weights written with it can't be recognised.

    Raises:
        SessionError: the file exists but is not a key file.
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
            why="It is needed to recognise the patients that this session's weights were trained "
            "on.",
            remedy="Restore it; or delete it, and weights written from now on use a new key.",
        ) from None
    wanted = {**keys, **inherited, name_of(own): own}
    if wanted != keys:
        text = {_OWN: own.hex(), _ALL: {name: key.hex() for name, key in sorted(wanted.items())}}
        content = json.dumps(text, indent=1).encode() + b"\n"
        write_whole(session / KEY_FILE, content, follow=True, mode=0o600)
    return own


def _read(session: Path) -> tuple[bytes, dict[str, bytes]]:
    """The session's own key, and all keys by name."""
    kept = json.loads(read_regular(session / KEY_FILE, _MOST_BYTES))
    keys = {str(name): bytes.fromhex(key) for name, key in kept[_ALL].items()}
    own = bytes.fromhex(kept[_OWN])
    if any(name_of(key) != name or len(key) != _KEY_BYTES for name, key in keys.items()):
        raise ValueError("a key that doesn't match its name")
    if name_of(own) not in keys:
        raise ValueError("its own key is not among the keys")
    return own, keys


def _digest(key: bytes, patient: int) -> bytes:
    return hmac.digest(key, str(patient).encode(), "sha256")[:_DIGEST_BYTES]
