"""Where the repository's folders are, for tests that start programs or read sources."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SUPPORT = REPOSITORY / "tests/support"
BENCH = REPOSITORY / "tests/bench"
