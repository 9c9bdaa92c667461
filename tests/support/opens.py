"""Whether a console opens in a terminal and leaves it as it was: opens.py PROGRAM FOLDER."""

import sys
from pathlib import Path

from terminal import Terminal

with Terminal([sys.argv[1], "--cache", "cache"], folder=Path(sys.argv[2])) as terminal:
    terminal.shows("No sessions yet.")
    terminal.send("q")
    assert terminal.exit_code() == 0
    assert terminal.is_restored()
