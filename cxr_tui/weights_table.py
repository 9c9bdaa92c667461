"""The tables ``[weights.NAME]`` of config.toml: a mirror of known weights, or others to fetch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from core.errors import UsageError
from core.findings import did_you_mean
from core.model.pretrained.known import KNOWN, KnownWeights

_TEXTS = ("url", "file", "sha256", "licence", "title", "page")
_KEYS = (*_TEXTS, "bytes")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Table = Mapping[str, str | int]


def checked_weights(tables: object, place_of: Callable[[str], str], where: str) -> dict[str, Table]:
    """The tables by name.

    Args:
        tables: the value of ``weights`` in the file.
        place_of: a key's file and line, for messages.
        where: the same of ``weights``.

    Raises:
        UsageError: a key is unknown, missing or invalid.
    """
    if not isinstance(tables, dict):
        raise UsageError("weights must be tables", where=where, remedy="Write [weights.NAME].")
    known = {one.name for one in KNOWN}
    checked: dict[str, Table] = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or not _NAME.fullmatch(name):
            raise UsageError(
                f"[weights.{name[:100]}] must be a table, and its name letters and digits",
                where=place_of(name),
                remedy="Write [weights.NAME], and below it url = …, bytes = … and sha256 = ….",
            )
        for key, value in table.items():
            _check(name, key, value, place_of(key))
        if name in known and set(table) != {"url"}:
            raise UsageError(
                f"[weights.{name}] takes url alone: size and digest of these weights are known",
                where=place_of(name),
                remedy="Choose another name for another file.",
            )
        missing = [key for key in ("url", "bytes", "sha256") if key not in table]
        if name not in known and missing:
            raise UsageError(
                f"[weights.{name}] lacks {' and '.join(missing)}",
                where=place_of(name),
                why="Only these tell that the file is the one you mean.",
            )
        checked[name] = table
    return checked


def _check(name: str, key: str, value: object, where: str) -> None:
    if key not in _KEYS:
        raise UsageError(
            f"weights.{name}.{key}: unknown key",
            where=where,
            remedy=did_you_mean(key, _KEYS) or f"Keys: {', '.join(_KEYS)}.",
        )
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if (key == "bytes" and not is_number) or (key != "bytes" and not isinstance(value, str)):
        kind = "a whole number above 0" if key == "bytes" else "text"
        raise UsageError(f"weights.{name}.{key} must be {kind}, got {value!r:.100}", where=where)
    if key == "sha256" and not _DIGEST.fullmatch(str(value)):
        raise UsageError(
            f"weights.{name}.sha256 must be 64 hexadecimal digits in lower case",
            where=where,
            remedy="sha256sum FILE prints them.",
        )
    if key == "file" and not _FILE.fullmatch(str(value)):
        raise UsageError(
            f"weights.{name}.file must be a file's name without a folder, got {value!r:.100}",
            where=where,
        )


def with_tables(tables: Mapping[str, Table]) -> tuple[KnownWeights, ...]:
    """What is known by name, with the user's mirrors, then the user's own weights."""
    by_name = {one.name: one for one in KNOWN}
    for name, table in tables.items():
        url = str(table["url"])
        by_name[name] = replace(by_name[name], url=url) if name in by_name else _own(name, table)
    return tuple(by_name.values())


def _own(name: str, table: Table) -> KnownWeights:
    url = str(table["url"])
    last = url.partition("?")[0].rpartition("/")[2]
    return KnownWeights(
        name=name,
        family=str(table.get("title", "from config.toml")),
        trained_on="what its publishers say",
        file=str(table.get("file", last if _FILE.fullmatch(last) else f"{name}.pt")),
        url=url,
        page=str(table.get("page", "")),
        licence=str(table.get("licence", "not stated")),
        input_spec=None,
        num_bytes=int(table["bytes"]),
        sha256=str(table["sha256"]),
    )
