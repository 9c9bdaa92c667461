"""A field for a path: Tab completes it, as a shell does."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.suggester import Suggester

from cxr_tui.console.line_input import LineInput

_ENTRIES_LOOKED_AT = 5_000


def completions_of(typed: str, ending: str = "") -> list[str]:
    """The whole paths, sorted, of the folders and files that ``typed`` is the beginning of.

    Folders end in a slash; files have to end in ``ending``. Hidden ones are left out until their
    dot is typed.
    """
    head, slash, begun = typed.rpartition("/")
    try:
        with os.scandir(Path(f"{head}{slash}" or ".").expanduser()) as entries:
            names = [
                entry.name + ("/" if entry.is_dir() else "")
                for _, entry in zip(range(_ENTRIES_LOOKED_AT), entries, strict=False)
                if entry.name.startswith(begun)
                and entry.name.isprintable()
                and (begun.startswith(".") or not entry.name.startswith("."))
                and (entry.name.endswith(ending) or entry.is_dir())
            ]
    except (OSError, ValueError, RuntimeError):
        return []
    return sorted(f"{head}{slash}{name}" for name in names)


def completed(typed: str, ending: str = "") -> str:
    """The longest beginning that all completions share; ``typed`` itself where there is none."""
    names = completions_of(typed, ending)
    shared = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in shared) or typed


async def complete(field: LineInput, ending: str = "") -> bool:
    """Complete the path in a field; whether there was something to add."""
    longer = await asyncio.to_thread(completed, field.value, ending)
    if longer == field.value:
        return False
    field.value = longer
    field.action_end()
    return True


class PathNames(Suggester):
    """Shows the first completion behind what was typed."""

    def __init__(self, ending: str) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._ending = ending

    async def get_suggestion(self, value: str) -> str | None:
        """The first path that begins like what was typed."""
        if "/" not in value:
            return None
        # On a network disk a folder can take a while to list; typing must not wait for it.
        names = await asyncio.to_thread(completions_of, value, self._ending)
        return names[0] if names else None


class PathInput(LineInput):
    """Tab takes what all completions share; where nothing was typed it goes to the next widget.

    Where several fit and share no more, it stays, as in a shell; a second Tab goes on.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete the path", id="path.complete", show=False)
    ]

    def __init__(self, value: str = "", *, ending: str = "", **more: Any) -> None:
        more = {"select_on_focus": False} | more
        super().__init__(value, suggester=PathNames(ending), **more)
        self._ending, self._before = ending, value

    def on_focus(self, _event: events.Focus) -> None:
        """What stands here now was not typed."""
        self._before = self.value

    async def action_complete(self) -> None:
        """Complete what was typed so far."""
        typed = self.value
        if typed != self._before:
            if await complete(self, self._ending):
                return
            if len(await asyncio.to_thread(completions_of, typed, self._ending)) > 1:
                self._before = typed
                return
        self.screen.focus_next()
