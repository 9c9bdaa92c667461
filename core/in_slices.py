"""Long work that can't be interrupted, waited for in slices, so that a stop is heard meanwhile.

A thread does it. Who waits may walk away by an exception: the thread, which must touch nothing
that others rely on, is left behind, and the process's end doesn't wait for it either.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

_SLICE_SECONDS = 0.2
_NAME = "left-behind"

_T = TypeVar("_T")
_P = ParamSpec("_P")


class LooseThreads:
    """At most so many threads, for work that may be left behind; made as they are needed."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(
        self, work: Callable[_P, _T], *arguments: _P.args, **settings: _P.kwargs
    ) -> Future[_T]:
        """Have it done; its value, or what it raised, comes by the future."""
        future: Future[_T] = Future()

        def act() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = work(*arguments, **settings)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(value)

        self._work.put(act)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._go_on, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for thread in self._threads:
            thread.name = _NAME
            self._work.put(None)

    def _go_on(self) -> None:
        while (act := self._work.get()) is not None:
            act()
            del act  # and with it an image's bytes, before the next one comes


def waited(future: Future[_T], ask: Callable[[], None]) -> _T:
    """The future's value; ``ask`` is called several times a second until it is there.

    Raises:
        BaseException: whatever the work or ``ask`` raised.
    """
    while not future.done():
        wait((future,), _SLICE_SECONDS)
        if not future.done():
            ask()
    return future.result()


def in_slices(work: Callable[[], _T], ask: Callable[[], None]) -> _T:
    """What ``work`` gives, by a thread of its own; see :func:`waited`."""
    with LooseThreads(1, "in-slices") as threads:
        return waited(threads.submit(work), ask)


def is_somebody_left_behind() -> bool:
    """Whether such work goes on that nobody waits for any more."""
    return any(thread.name == _NAME for thread in threading.enumerate())
