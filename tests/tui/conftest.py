"""What the tests of the console share."""

from pathlib import Path

import pytest

from cxr_tui.console.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, cache_dir: Path) -> Workspace:
    """The console's state, its sessions in a folder of the test's own."""
    return Workspace(tmp_path / "sessions", cache_dir, device="cpu")
