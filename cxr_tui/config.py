"""The user's own settings, which are no recipe's: places, device, theme, what to do at a run's end.

An option comes first, then the environment (``CXR_TUI_CACHE``), then ``config.toml``, then the
default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from core.errors import UsageError
from core.findings import did_you_mean
from core.regular_file import read_regular

_MOST_BYTES = 1_000_000
_PREFIX = "CXR_TUI_"
_PLACES = ("data", "sessions", "cache")
THEMES = ("reading-room", "light-box", "high-contrast", "night-shift", "paper")
"""Names of the console's themes; they are made by Textual, which is not loaded for this."""

KINDS = (
    *("nih", "chexpert", "mimic-cxr", "padchest", "vindr", "rsna", "siim", "nih-experts"),
    "table",
)
"""Kinds of data sets, as in ``dataset.kind``."""

MEANINGS = {
    "data": "folder of the data set of recipes that name none; or a table [data] by kind: nih = …",
    "sessions": "where sessions are kept",
    "cache": "where decoded images are kept",
    "device": "auto, cpu, cuda, cuda:1, mps",
    "theme": f"the console's colours: {', '.join(THEMES)}",
    "on_end": "a command that is run when a run ends, whatever its end",
}
"""Setting -> what it is for."""

_EXAMPLES = {
    "data": "/data/nih",
    "sessions": "~/sessions",
    "cache": "/scratch/me/cxr",
    "device": "cuda:1",
    "theme": THEMES[0],
    "on_end": "notify-send cxr-tui $CXR_STATE",
}


@dataclass(frozen=True)
class UserConfig:
    """What environment and file say; a setting that neither names is absent.

    Attributes:
        path: of the file.
        was_read: whether there is one.
        values: setting -> its text; paths are absolute.
        data_by_kind: kind -> folder, if ``data`` is a table.
        origins: setting -> where it comes from, such as ``config.toml line 3``.
        weights: name -> the keys of its table ``[weights.NAME]``, checked.
    """

    path: Path
    was_read: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    data_by_kind: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)

    def data_for(self, kind: str | None) -> str | None:
        """The data set's folder for recipes of this kind that name none."""
        return self.data_by_kind.get(kind or "nih", self.values.get("data"))


def config_path() -> Path:
    """The path of the user's settings; ``CXR_TUI_CONFIG`` names another."""
    named = os.environ.get(f"{_PREFIX}CONFIG")
    return Path(named) if named else platformdirs.user_config_path("cxr-tui") / "config.toml"


def user_config() -> UserConfig:
    """The user's settings.

    Raises:
        UsageError: the file or a variable is invalid; the message names line or variable.
    """
    path = config_path()
    config = _of_file(path)
    values, by_kind = dict(config.values), config.data_by_kind
    origins = dict(config.origins)
    for name in MEANINGS:
        variable = f"{_PREFIX}{name.upper()}"
        if given := os.environ.get(variable):
            values[name] = _checked(name, given, variable, Path.cwd())
            origins[name] = variable
            by_kind = {} if name == "data" else by_kind
    return UserConfig(path, config.was_read, values, by_kind, origins, config.weights)


def config_template() -> str:
    """A config.toml in which every line is a comment."""
    lines = [
        "# Settings of cxr-tui that are no recipe's. Take the # away before a line.",
        "# An option comes first, then a variable such as CXR_TUI_CACHE, then this file.",
    ]
    for name, meaning in MEANINGS.items():
        lines += ["", f"# {meaning}", f'# {name} = "{_EXAMPLES[name]}"']
    lines += [
        "",
        "# Other weights that cxr-tui weights get fetches, or a mirror (url alone) of known ones.",
        "# [weights.ours]",
        '# url = "https://files.example.org/densenet121-ours.pt"',
        "# bytes = 28382008",
        '# sha256 = "64 hexadecimal digits"',
        '# licence = "internal"',
    ]
    return "\n".join(lines) + "\n"


def _of_file(path: Path) -> UserConfig:
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        if f"{_PREFIX}CONFIG" in os.environ:
            raise UsageError(
                "there is no such file", where=path, remedy=f"It is named by {_PREFIX}CONFIG."
            ) from None
        return UserConfig(path)
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"can't be read ({what})", where=path, remedy="Fix the file.") from None
    try:
        import tomllib  # where there is a file

        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"is not valid TOML ({error})", where=path, remedy="cxr-tui config prints an example."
        ) from None
    values: dict[str, str] = {}
    by_kind: dict[str, str] = {}
    weights: dict[str, Mapping[str, str | int]] = {}
    for name, value in found.items():
        where = f"{path}{line_of(name, text)}"
        if name == "weights":
            from cxr_tui.weights_table import checked_weights  # few have it

            weights = checked_weights(value, lambda key: f"{path}{line_of(key, text)}", where)
        elif name == "data" and isinstance(value, dict):
            by_kind = dict(_data_by_kind(value, path, text))
        else:
            values[name] = _checked(name, value, where, path.parent)
    origins = {name: f"{path.name}{line_of(name, text)}" for name in found if name != "weights"}
    return UserConfig(path, True, values, by_kind, origins, weights)


def _data_by_kind(table: Mapping[str, object], path: Path, text: str) -> Iterator[tuple[str, str]]:
    for kind, value in table.items():
        where = f"{path}{line_of(kind, text)}"
        if kind not in KINDS:
            raise UsageError(
                f"unknown kind of data set {kind!r}",
                where=where,
                remedy=did_you_mean(kind, KINDS) or f"Kinds: {', '.join(KINDS)}.",
            )
        yield kind, _checked("data", value, where, path.parent)


def _checked(name: str, value: object, where: str, folder: Path) -> str:
    """The setting's text; a path is absolute, and relative to ``folder`` as it was written."""
    if name not in MEANINGS:
        remedy = did_you_mean(name, [*MEANINGS, "weights"])
        raise UsageError(
            f"unknown key {name!r}",
            where=where,
            remedy=remedy
            or f"Keys: {', '.join(MEANINGS)}, weights. A recipe's keys are set by "
            "--set, see cxr-tui keys.",
        )
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError(
            f"{name} must be text, got {value!r:.100}",
            where=where,
            remedy=f'Write, for example, {name} = "{_EXAMPLES[name]}".',
        )
    if name == "theme" and value not in THEMES:
        raise UsageError(
            f"there is no theme {value!r:.100}",
            where=where,
            remedy=did_you_mean(value, THEMES) or f"Themes: {', '.join(THEMES)}.",
        )
    if name not in _PLACES:
        return value
    try:
        return str(folder.absolute() / Path(value).expanduser())
    except RuntimeError:
        raise UsageError(
            f"{name}: {value!r:.100} names the home of an unknown user", where=where
        ) from None


def line_of(name: str, text: str) -> str:
    """`` line 3`` where a key or its table is written; '' if it is written in another form."""
    key = rf"""["']?{re.escape(name)}["']?"""
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*(?:{key}\s*[.=]|\[\s*(?:weights\s*\.\s*)?{key}\s*[\].])", line):
            return f" line {number}"
    return ""
