"""The console in tests: keys, waiting, and what stands on the screen.

Pilot's own ``press`` and ``pause()`` wait until the process is idle, which a process that
trains never is; these wait until the messages at hand are dealt with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot


def plain(app: Any) -> str:
    """The screen as text, dialogs over what is behind them."""
    screen = app.screen
    update = screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    lines = ("".join(part.text for strip in chops for part in strip) for chops in update.strips)
    return "\n".join(line.rstrip() for line in lines)


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, by their names or as characters."""
    for key in keys:
        _post(pilot, key)
        await pilot.pause(0)
        await pilot.pause(0)


async def press_at_once(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys faster than any of them is dealt with, as a slow line delivers them."""
    for key in keys:
        _post(pilot, key)
    await pilot.pause(0)


def _post(pilot: Pilot[Any], key: str) -> None:
    character = key if len(key) == 1 else None
    event = events.Key(_character_to_key(key) if character else key, character)
    event.set_sender(pilot.app)
    pilot.app.post_message(event)


async def until(
    pilot: Pilot[Any], predicate: Callable[[], bool], what: str, seconds: float = 60
) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, f"{what} not within {seconds} s:\n{plain(pilot.app)}"
        await asyncio.sleep(0.005)
        await pilot.pause(0)


async def shows(pilot: Pilot[Any], words: str, seconds: float = 60) -> None:
    """Wait until the words stand on the screen."""
    await until(pilot, lambda: words in plain(pilot.app), repr(words), seconds)
