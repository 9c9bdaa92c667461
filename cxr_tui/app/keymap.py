"""The user's keys: keys.toml in the configuration folder, read before the console starts."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

import platformdirs
from textual.keys import Keys, _character_to_key, key_to_character

from core.errors import UsageError
from core.findings import did_you_mean
from core.regular_file import read_regular

_MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")
_NAMED = frozenset(key.value.rpartition("+")[2] for key in Keys) | {"space"}
_SIGNS = {_character_to_key(sign): sign for sign in string.punctuation}
"""Textual's name of a sign -> the sign."""
_MOST_BYTES = 1_000_000
_EXAMPLE = 'Write, for example, "run.start" = "f6" under [keys].'


def keymap_path() -> Path:
    """The path of the user's keys."""
    return platformdirs.user_config_path("cxr-tui") / "keys.toml"


def keymap_template() -> str:
    """A keys.toml of comments: every binding with the keys that it has, a section a screen."""
    from cxr_tui.app.bindings import console_nodes, own_bindings

    bindings = [binding for node in console_nodes() for binding in own_bindings(node)]
    keys: dict[str, dict[str, None]] = {}
    for binding in bindings:
        if binding.id:
            key = binding.key if binding.key == "comma" else _SIGNS.get(binding.key, binding.key)
            keys.setdefault(binding.id, {})[key] = None
    does = {binding.id: binding.description or binding.action for binding in bindings}
    lines = [
        "# Keys of cxr-tui's console. Take the # away before a line, and name other keys: a",
        "# character, or f6, ctrl+t, pageup, comma; several of them apart by commas.",
        "[keys]",
    ]
    section = ""
    for name in sorted(keys, key=lambda name: (name.rpartition(".")[0], name)):
        of_section = name.rpartition(".")[0] or "everywhere"
        if of_section != section:
            section = of_section
            lines += ["", f"# {section}"]
        lines.append(f"# {json.dumps(name)} = {json.dumps(','.join(keys[name]))}  # {does[name]}")
    return "\n".join(lines) + "\n"


def read_keymap() -> dict[str, str]:
    """Binding id -> keys, separated by commas; empty without such a file.

    Raises:
        UsageError: the file is invalid; the message names the line.
    """
    path = keymap_path()
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"can't be read ({what})", where=path, remedy="Fix the file.") from None
    given = _parsed(text, path)
    if not given:
        return {}
    # This visits every screen, so only users with such a file wait for it.
    from cxr_tui.app.bindings import SHOWN_AS, clash_of, known_bindings

    known = known_bindings()
    keymap: dict[str, str] = {}
    for name, value in given.items():
        where = f"{path}{_line_of(name, text)}"
        if name not in known:
            remedy = did_you_mean(name, list(known)) or f"Bindings: {', '.join(sorted(known))}."
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
                why="One of the two would no longer have a key.",
                remedy="Choose another key, or change the other binding's key too.",
            )
    return keymap


def _parsed(text: str, path: Path) -> Mapping[str, object]:
    try:
        import tomllib  # where there is a file

        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML's error, or a number of 5,000 digits
        raise UsageError(f"is not valid TOML ({error})", where=path, remedy=_EXAMPLE) from None
    for name in found:
        if name != "keys":
            raise UsageError(f"unknown key {name!r}", where=path, remedy=_EXAMPLE)
    keys = found.get("keys", {})
    if not isinstance(keys, dict):
        raise UsageError("keys must be a table", where=path, remedy=_EXAMPLE)
    return dict(_flat(keys))


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names and values; in TOML ``run.start`` without quotes is a nested table."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _keys(name: str, value: object, where: str, *, priority: bool) -> str:
    """The keys by Textual's names, each checked."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(
            f"{name!r} must be a key, got {value!r}",
            where=where,
            why="A binding can't be left without a key.",
            remedy=_EXAMPLE,
        )
    keys = [part.strip() for part in value.split(",")]
    for key in keys:
        if not _is_key(key):
            raise UsageError(
                f"{name!r}: there is no key {key!r}",
                where=where,
                remedy=did_you_mean(key, sorted(_NAMED))
                or "Use a character, or f6, ctrl+t, pageup, comma; separate several with commas.",
            )
        if priority and _is_printable(key):
            raise UsageError(
                f"{name!r} acts even while a field is edited, so it can't be {key!r}",
                where=where,
                why="That character could no longer be typed.",
                remedy="Use a function key, or one with ctrl.",
            )
    return ",".join(_character_to_key(key) if len(key) == 1 else key for key in keys)


def _is_key(key: str) -> bool:
    if key == "+":
        return True
    *modifiers, last = key.split("+")
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return False
    if len(last) == 1:
        return last.isprintable()
    return last in _NAMED or last in _SIGNS or key_to_character(last) is not None


def _is_printable(key: str) -> bool:
    character = key if len(key) == 1 else key_to_character(key)
    return character is not None and character.isprintable()


def _line_of(name: str, text: str) -> str:
    """`` line 3``; '' if the name is written in another form."""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"""\s*["']?{re.escape(name)}["']?\s*[.=]""", line):
            return f" line {number}"
    return ""
