"""The keys of a screen for the help."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import ActiveBinding, Binding

from cxr_tui.console.console import Console
from cxr_tui.console.top_line import SCREENS

GROUPS = ("this screen", "the run", "lists and texts", "everywhere")
"""What the keys are grouped by, in this order."""


def keys_shown(app: Console, active: Iterable[ActiveBinding]) -> dict[str, list[tuple[str, str]]]:
    """Group -> keys and what they do, sorted; the screens' keys share one line while digits.

    Several keys of one binding share one line, under its display key if it has one.
    """
    shown: dict[tuple[str, str], list[str]] = {}
    digits = []
    for entry in active:
        binding = entry.binding
        if not binding.id or not entry.enabled:
            continue
        if _is_digit_of_a_screen(binding):
            digits.append(binding)
            continue
        keys = shown.setdefault((binding.id, app.words_of(binding)), [])
        if (key := app.get_key_display(binding)) not in keys:
            keys.append(key)
    groups: dict[str, set[tuple[str, str]]] = {name: set() for name in GROUPS}
    for (name, what), keys in shown.items():
        if what:
            groups[_group_of(name)].add((" ".join(keys), what))
    if digits:
        first, last = digits[0].key, digits[-1].key
        names = ", ".join(binding.description for binding in digits)
        groups["everywhere"].add((f"{first} … {last}", names))
    return {name: sorted(lines) for name, lines in groups.items() if lines}


def _group_of(name: str) -> str:
    owner, dot, what = name.partition(".")
    if owner == "run" or name in ("training.pause", "training.stop", "recipe.start"):
        return "the run"
    if owner == "list" or what in ("first", "last"):
        return "lists and texts"
    return "this screen" if dot and owner not in ("mode", "quit") else "everywhere"


def _is_digit_of_a_screen(binding: Binding) -> bool:
    modes = {f"mode.{mode}": str(digit) for digit, (mode, _) in enumerate(SCREENS, start=1)}
    return modes.get(binding.id or "") == binding.key
