"""The user's own keys: keys.toml in the configuration folder, read before the console starts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import platformdirs
from textual.keys import Keys, _character_to_key, key_to_character

from core.errors import UsageError
from core.findings import did_you_mean
from core.regular_file import read_regular

_MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")
_NAMED = frozenset(key.value.rpartition("+")[2] for key in Keys) | {"space"}
_MOST_BYTES = 1_000_000
_EXAMPLE = 'Write, for example, "run.start" = "f6" under [keys].'


def keymap_path() -> Path:
    """Where the user's keys are looked for."""
    return platformdirs.user_config_path("cxr-tui") / "keys.toml"


def read_keymap() -> dict[str, str]:
    """Binding id -> keys, separated by commas; empty where the user has no such file.

    Raises:
        UsageError: the file can't be used as it is; the message names the line.
    """
    path = keymap_path()
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"can't be read ({what})", where=path, remedy="Mend it.") from None
    given = _parsed(text, path)
    if not given:
        return {}
    # Walks over every screen: only those who have such a file wait for it.
    from cxr_tui.app.bindings import SHOWN_AS, clash_of, known_bindings

    known = known_bindings()
    keymap: dict[str, str] = {}
    for name, value in given.items():
        where = f"{path}{_line_of(name, text)}"
        if name not in known:
            remedy = did_you_mean(name, list(known)) or f"There are: {', '.join(sorted(known))}."
            raise UsageError(f"unknown binding {name!r}", where=where, remedy=remedy)
        keymap[name] = _keys(name, value, where, priority=known[name].priority)
    for name, shown_as in SHOWN_AS.items():
        if name in keymap:
            keymap.setdefault(shown_as, keymap[name])
    for name in given:
        if clash := clash_of(name, keymap):
            raise UsageError(
                clash,
                where=f"{path}{_line_of(name, text)}",
                why="One of the two could not be reached any more.",
                remedy="Choose another key, or give the other one another key too.",
            )
    return keymap


def _parsed(text: str, path: Path) -> Mapping[str, object]:
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's own, or a number of 5,000 digits
        raise UsageError(f"is not valid TOML ({error})", where=path, remedy=_EXAMPLE) from None
    for name in found:
        if name != "keys":
            raise UsageError(f"unknown key {name!r}", where=path, remedy=_EXAMPLE)
    keys = found.get("keys", {})
    if not isinstance(keys, dict):
        raise UsageError("keys must be a table", where=path, remedy=_EXAMPLE)
    return dict(_flat(keys))


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names and values; ``run.start`` without quotes is a table inside a table to TOML."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _keys(name: str, value: object, where: str, *, priority: bool) -> str:
    """The keys as Textual names them, checked one by one."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(
            f"{name!r} must be a key, got {value!r}",
            where=where,
            why="No key can be taken away: every way through the console stays open.",
            remedy=_EXAMPLE,
        )
    keys = [part.strip() for part in value.split(",")]
    for key in keys:
        if not _is_key(key):
            raise UsageError(
                f"{name!r}: no key is called {key!r}",
                where=where,
                remedy=did_you_mean(key, sorted(_NAMED))
                or "Use a character, or f6, ctrl+t, pageup, comma; several apart by commas.",
            )
        if priority and _is_printable(key):
            raise UsageError(
                f"{name!r} acts even while a field is edited, so it can't be {key!r}",
                where=where,
                why="That character could not be typed any more.",
                remedy="Use a function key, or one with ctrl.",
            )
    return ",".join(_character_to_key(key) if len(key) == 1 else key for key in keys)


def _is_key(key: str) -> bool:
    *modifiers, last = key.split("+")
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    if len(last) == 1:
        return last.isprintable()
    return last in _NAMED or key_to_character(last) is not None


def _is_printable(key: str) -> bool:
    character = key if len(key) == 1 else key_to_character(key)
    return character is not None and character.isprintable()


def _line_of(name: str, text: str) -> str:
    """`` line 3``; nothing where the name is written in another way."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"""\s*["']?{re.escape(name)}["']?\s*[.=]""", line):
            return f" line {number}"
    return ""
