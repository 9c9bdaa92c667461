"""What the tests of the console share."""

from pathlib import Path

import pytest

from cxr_tui.console.workspace import Desk


@pytest.fixture
def desk(tmp_path: Path, cache_dir: Path) -> Desk:
    """The console's state, its sessions in a folder of the test's own."""
    return Desk(tmp_path / "sessions", cache_dir, device="cpu")
