"""Keys named in sentences: the user's own where they have any."""

from __future__ import annotations

from collections.abc import Mapping

SHIPPED = {
    "cams.filter": "F",
    "cams.finding": "f",
    "cams.next": ".",
    "compared.next": ".",
    "compared.previous": ",",
    "data.open": "o",
    "data.remedy": "!",
    "mode.data": "2",
    "mode.recipe": "3",
    "mode.results": "5",
    "mode.sessions": "1",
    "mode.training": "4",
    "recipe.measure": "m",
    "recipe.presets": "p",
    "recipe.weights": "J",
    "results.next": ".",
    "results.notes": "v",
    "results.previous": ",",
    "run.checkpoint": "C",
    "run.pause": "P",
    "run.start": "S",
    "run.stop": "X",
    "run.try-rates": "T",
    "sessions.data": "o",
    "sessions.delete": "d",
    "sessions.first-run": "enter",
    "sessions.mark": "space",
    "sessions.new": "a",
    "sessions.resume": "r",
    "training.health": "h",
    "training.resume": "r",
    "training.reuse": "u",
}
"""The bindings that sentences speak of, with the keys that they have without a keys.toml."""

_own: dict[str, str] = {}


def take_keys(own: Mapping[str, str]) -> None:
    """Bindings whose keys are the user's own, each with what is to be written."""
    _own.clear()
    _own.update(own)


def key_of(*bindings: str, apart: str = ", ") -> str:
    """What to press, one after the other."""
    return apart.join(_own.get(binding, SHIPPED[binding]) for binding in bindings)


def key_line(keys: str, what: str, width: int = 12) -> str:
    """A key and what it does, in two columns."""
    return f"{keys:<{width}}{what}"
