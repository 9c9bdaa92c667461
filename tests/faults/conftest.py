"""What tests of faults share: an end to whatever would hang."""

import signal
from collections.abc import Iterator

import pytest


class HangError(BaseException):
    """Nothing takes it for an error of its own."""


@pytest.fixture
def within_five_seconds() -> Iterator[None]:
    """Ends a test that waits for a pipe's other end, or for a file without an end."""

    def too_long(*_: object) -> None:
        raise HangError("more than five seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
