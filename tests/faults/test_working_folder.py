"""The folder we are in may be a data set from elsewhere: no module is taken from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.data.phantom import drawing, write_phantom

ROOT = Path(drawing.__file__).parents[3]


@pytest.fixture
def lured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a module of the folder we are in was imported."""
    marker, folder = tmp_path / "imported", tmp_path / "data set"
    folder.mkdir()
    for name in ("json", "numpy", "argparse", "platformdirs", "sitecustomize"):
        (folder / f"{name}.py").write_text(f"open({os.fspath(marker)!r}, 'a').write({name!r})")
    monkeypatch.chdir(folder)
    return marker


def test_a_process_that_draws_imports_nothing_from_the_folder_we_are_in(
    lured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    monkeypatch.setattr(drawing, "_SECONDS_A_PROCESS", 1e-6)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    write_phantom(tmp_path / "set", patients=2, size_px=32, seed=0)
    assert not lured.exists()


@pytest.mark.parametrize("arguments", [["--help"], ["sessions"]])
def test_the_program_as_a_module_imports_nothing_from_the_folder_we_are_in(
    lured: Path, arguments: list[str]
) -> None:
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "cxr_tui", *arguments], env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert not lured.exists()
