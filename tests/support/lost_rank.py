"""The program, with a follower that is killed as it hears a word: DIES_AT=Score:2 is the second."""

import os
import signal
import sys

from core.training.distributed.following import _Follower
from cxr_tui.cli import main

NAME, COUNT = os.environ["DIES_AT"].split(":")
heard = []
obeyed = _Follower.obey


def obey(follower: _Follower, word: object) -> None:
    heard.append(type(word).__name__)
    if heard.count(NAME) == int(COUNT):
        os.kill(os.getpid(), signal.SIGKILL)
    obeyed(follower, word)


_Follower.obey = obey

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
