"""What a run can be asked to do; it asks for the next request at every step."""

from __future__ import annotations

import enum
from collections.abc import Callable


class Request(enum.Enum):
    """The answers to ``next_request()``.

    PAUSE holds for as long as it is the answer; CHECKPOINT, TRY_RATES and STOP are done once.
    TRY_RATES is a range test of learning rates on a copy of the network.
    ABANDON leaves at the next step and keeps nothing since the last checkpoint; only the front end
    that runs the session may ask for it, not a file.
    """

    CONTINUE = "continue"
    PAUSE = "pause"
    CHECKPOINT = "checkpoint"
    TRY_RATES = "try-rates"
    STOP = "stop"
    ABANDON = "abandon"


ONCE = (Request.CHECKPOINT, Request.TRY_RATES)
"""Done before the next step, then forgotten."""

NextRequest = Callable[[], Request]
