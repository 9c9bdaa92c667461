"""The console in tests: keys, waiting, and what stands on the screen.

Pilot's own ``press`` and ``pause()`` wait until the process is idle, which a process that trains
never is, and ask every widget; these wait for the widgets that have messages at hand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual import events
from textual.keys import _character_to_key
from textual.message_pump import MessagePump
from textual.pilot import Pilot


def plain(app: Any) -> str:
    """The screen as text, dialogs over what is behind them."""
    screen = app.screen
    update = screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    lines = ("".join(part.text for strip in chops for part in strip) for chops in update.strips)
    return "\n".join(line.rstrip() for line in lines)


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the messages at hand are dealt with, and those that they led to; draw."""
    for _ in range(2):
        pumps = (pilot.app, *pilot.app.screen.walk_children(with_self=True))
        caught_up = [asyncio.Event() for _ in pumps]
        waits = [
            asyncio.create_task(event.wait())
            for pump, event in zip(pumps, caught_up, strict=True)
            if _is_busy(pump) and pump.call_later(event.set)
        ]
        if not waits:
            break
        failed = asyncio.create_task(pilot.app._exception_event.wait())
        every = asyncio.gather(*waits)
        await asyncio.wait((every, failed), timeout=30, return_when=asyncio.FIRST_COMPLETED)
        for wait in (every, failed):
            wait.cancel()
    await asyncio.sleep(0)
    pilot.app.screen._on_timer_update()


def _is_busy(pump: MessagePump) -> bool:
    """Whether it has a message, or is dealing with one: it doesn't wait for the next."""
    queue = pump._message_queue
    return bool(queue.values) or not queue.ready_event._waiters


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, by their names or as characters."""
    for key in keys:
        _post(pilot, key)
        await settled(pilot)
        await settled(pilot)


async def press_at_once(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys faster than any of them is dealt with, as a slow line delivers them."""
    for key in keys:
        _post(pilot, key)
    await settled(pilot)


def _post(pilot: Pilot[Any], key: str) -> None:
    character = key if len(key) == 1 else None
    event = events.Key(_character_to_key(key) if character else key, character)
    event.set_sender(pilot.app)
    pilot.app.post_message(event)


async def until(
    pilot: Pilot[Any], predicate: Callable[[], bool], what: str, seconds: float = 60
) -> None:
    """Wait until something holds."""
    end, pause = time.monotonic() + seconds, 0.005
    while not predicate():
        assert time.monotonic() < end, f"{what} not within {seconds} s:\n{plain(pilot.app)}"
        await asyncio.sleep(pause)
        await settled(pilot)
        # What takes long is not held up by being asked.
        pause = min(1.2 * pause, 0.05)


async def shows(pilot: Pilot[Any], words: str, seconds: float = 60) -> None:
    """Wait until the words stand on the screen."""
    await until(pilot, lambda: words in plain(pilot.app), repr(words), seconds)
