"""Wait in slices for uninterruptible work, so that a stop is noticed meanwhile.

A thread does the work. If the waiting side raises, the thread is abandoned, and the process can
exit without it; so the work must not change shared state.
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
    """A pool of threads for work that may be abandoned; threads start as needed."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(
        self, work: Callable[_P, _T], *arguments: _P.args, **settings: _P.kwargs
    ) -> Future[_T]:
        """Submit work; the future gets its value or its exception."""
        future: Future[_T] = Future()

        def act() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                value = work(*arguments, **settings)
            except BaseException as error:  # noqa: BLE001 - it is raised in the waiting thread
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
            del act  # frees an image's bytes before the next one


def waited(future: Future[_T], ask: Callable[[], None]) -> _T:
    """Wait for a future; ``ask`` is called several times a second meanwhile.

    Raises:
        BaseException: any exception of the work or of ``ask``.
    """
    while not future.done():
        wait((future,), _SLICE_SECONDS)
        if not future.done():
            ask()
    return future.result()


def in_slices(work: Callable[[], _T], ask: Callable[[], None]) -> _T:
    """Run ``work`` on a thread and wait for its value; see :func:`waited`."""
    with LooseThreads(1, "in-slices") as threads:
        return waited(threads.submit(work), ask)


def is_somebody_left_behind() -> bool:
    """Whether abandoned work is still running."""
    return any(thread.name == _NAME for thread in threading.enumerate())
