"""The requests to a run, which it polls at every step."""

from __future__ import annotations

import enum
from collections.abc import Callable


class Request(enum.Enum):
    """The answers to ``next_request()``.

    PAUSE lasts as long as it is returned; CHECKPOINT, TRY_RATES and STOP are done once. TRY_RATES
    is a range test of learning rates on a copy of the network. ABANDON ends the run at the next
    step without a new checkpoint; only the front end that runs the session may request it, not a
    file.
    """

    CONTINUE = "continue"
    PAUSE = "pause"
    CHECKPOINT = "checkpoint"
    TRY_RATES = "try-rates"
    STOP = "stop"
    ABANDON = "abandon"


ONCE = (Request.CHECKPOINT, Request.TRY_RATES)
"""Requests that are done once, before the next step."""

NextRequest = Callable[[], Request]
