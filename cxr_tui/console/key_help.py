"""The keys of a screen in words, as the help shows them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import ActiveBinding, Binding

from cxr_tui.console.console import Console
from cxr_tui.console.top_line import SCREENS


def keys_shown(app: Console, active: Iterable[ActiveBinding]) -> list[tuple[str, str]]:
    """Key and what it does, sorted; the keys of the screens in one line as long as they are digits.

    Several keys of one binding stand in one line, under the key that it was given for display
    where it has one.
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
    lines = {(" ".join(keys), what) for (_, what), keys in shown.items() if what}
    if digits:
        first, last = digits[0].key, digits[-1].key
        lines.add((f"{first} … {last}", ", ".join(binding.description for binding in digits)))
    return sorted(lines)


def _is_digit_of_a_screen(binding: Binding) -> bool:
    modes = {f"mode.{mode}": str(digit) for digit, (mode, _) in enumerate(SCREENS, start=1)}
    return modes.get(binding.id or "") == binding.key
