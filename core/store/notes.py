"""What a person keeps with a session: tags and a note, in notes.json.

No run reads it: it is no part of what a session resumes from or seals. It may come from somebody
else with the session, so it is read as a file that may be anything.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SessionError, UsageError
from core.store.files import open_own, write_json
from core.store.session import Session

FILE = "notes.json"
_MOST_BYTES = 64 * 2**10
_MOST_TAGS, _LONGEST_TAG, _LONGEST_NOTE = 20, 40, 4_000
_REMEDY = "Repair it or move it away; the session itself needs no such file."


@dataclass(frozen=True)
class SessionNotes:
    """A session's tags, in the order in which they were given, and its note."""

    tags: tuple[str, ...] = ()
    note: str = ""


def read_notes(session: Session) -> SessionNotes:
    """The session's notes; empty where it has none.

    Raises:
        SessionError: the file is a link, too large, not JSON, or not what is written here.
    """
    return _notes_of(_read(session.path / FILE), session.path / FILE)


def write_notes(
    session: Session, *, tags: tuple[str, ...] | None = None, note: str | None = None
) -> SessionNotes:
    """Change the tags or the note, or both; what else stands in the file stays.

    Raises:
        SessionError: the file there can't be read, or this one can't be written.
    """
    path = session.path / FILE
    value = _read(path)
    before = _notes_of(value, path)
    after = SessionNotes(
        before.tags if tags is None else tags, before.note if note is None else note
    )
    own = {"tags": list(after.tags), "note": after.note}
    value = {key: kept for key, kept in (value | own).items() if key not in own or kept}
    try:
        if value:
            write_json(path, value, follow=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise SessionError(f"can't be written ({error.strerror})", where=path) from error
    return after


def typed_tags(text: str) -> tuple[str, ...]:
    """Tags as a person types them: words between spaces or commas, each once.

    Raises:
        UsageError: too many, or one is too long or has characters that can't be seen.
    """
    tags = tuple(dict.fromkeys(filter(None, re.split(r"[\s,]+", text))))
    if fault := _fault_of_tags(tags):
        raise UsageError(fault)
    return tags


def fault_of_note(note: str) -> str:
    """What is wrong with a note, or an empty string."""
    return f"must have at most {_LONGEST_NOTE:,} characters" if len(note) > _LONGEST_NOTE else ""


def _fault_of_tags(tags: tuple[str, ...]) -> str:
    if len(tags) > _MOST_TAGS:
        return f"must be at most {_MOST_TAGS} tags"
    for tag in tags:
        if not tag.isprintable() or not 0 < len(tag) <= _LONGEST_TAG:
            return f"a tag must have 1 to {_LONGEST_TAG} characters that can be seen"
    return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SessionError(f"has more than {_MOST_BYTES:,} bytes", where=path, remedy=_REMEDY)
        value = json.loads(content, parse_constant=_refuse_constant)
    except FileNotFoundError:
        return {}
    except OSError as error:
        what = "it is a link" if error.errno == errno.ELOOP else str(error.strerror)
        raise SessionError(f"can't be read ({what})", where=path, remedy=_REMEDY) from None
    except (ValueError, RecursionError) as error:
        raise SessionError(f"is not JSON ({error})", where=path, remedy=_REMEDY) from None
    if not isinstance(value, dict):
        raise SessionError("should hold a JSON object", where=path, remedy=_REMEDY)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _notes_of(value: dict[str, Any], path: Path) -> SessionNotes:
    tags, note = value.get("tags", []), value.get("note", "")
    fault = ""
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        fault = "tags must be a list of words"
    elif not isinstance(note, str):
        fault = "note must be text"
    fault = fault or _fault_of_tags(tuple(tags)) or fault_of_note(note)
    if fault:
        raise SessionError(fault, where=path, remedy=_REMEDY)
    return SessionNotes(tuple(tags), note)
