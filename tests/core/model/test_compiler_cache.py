"""What torch's compiler executes lies where nobody but the user can have put it."""

from __future__ import annotations

import getpass
import os
import stat
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import platformdirs
import pytest
import torch
from tiny_training import tiny_trainer
from torch._inductor.runtime.cache_dir_utils import cache_dir, triton_cache_dir

from core.events import Warned
from core.training.step.device_use import take_best_step
from core.training.step.engines import made_engine

INDUCTOR, TRITON = "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"
OTHERS_NUMBER = 4_242_424


@pytest.fixture(autouse=True)
def shared_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for everybody's temporary files, and no word of where the compiler keeps its own."""
    (shared := tmp_path / "tmp").mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(shared))
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in (INDUCTOR, TRITON):
        monkeypatch.setenv(name, "")  # so that what the test leaves there is undone
        monkeypatch.delenv(name)
    return shared


def compiled() -> tuple[str, list[str]]:
    """The kind of step that was taken where a compiled one is asked for, and what was said."""
    torch.compiler.reset()
    events: list[object] = []
    make = partial(made_engine, backend="aot_eager")
    choice = take_best_step(tiny_trainer(step="compiled"), events.append, make)
    return choice.kind, [event.message for event in events if isinstance(event, Warned)]


@pytest.mark.parametrize("is_named_by_torch", [True, False])
def test_a_folder_that_anybody_can_make_first_is_not_the_compiler_s(
    shared_tmp: Path, monkeypatch: pytest.MonkeyPatch, is_named_by_torch: bool
) -> None:
    planted = shared_tmp / f"torchinductor_{getpass.getuser()}"
    planted.mkdir(mode=0o777)
    if is_named_by_torch:  # as it does when it is imported
        monkeypatch.setenv(INDUCTOR, str(planted))
    assert compiled() == ("compiled", [])
    for folder in (Path(cache_dir()), Path(triton_cache_dir(0))):
        assert folder.is_relative_to(platformdirs.user_cache_path("cxr-tui"))
    kept = platformdirs.user_cache_path("cxr-tui") / "torch-compiler"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    from torch._inductor import config

    assert not config.cpp_cache_precompile_headers  # these would be in the planted one regardless


def test_where_the_user_s_caches_are_open_to_others_a_fresh_folder_is_taken(
    shared_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    planted = platformdirs.user_cache_path("cxr-tui") / "torch-compiler"
    planted.mkdir(parents=True)
    planted.chmod(0o777)
    assert compiled() == ("compiled", [])
    (fresh,) = shared_tmp.iterdir()
    assert Path(cache_dir()).is_relative_to(fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", [INDUCTOR, TRITON])
def test_a_folder_of_the_user_s_own_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "mine"))
    assert compiled() == ("compiled", [])
    assert os.environ[variable] == str(tmp_path / "mine")


@pytest.mark.parametrize("variable", [INDUCTOR, TRITON])
def test_a_folder_that_others_may_write_to_is_refused_by_name(
    shared_tmp: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (folder := shared_tmp / "kernels").mkdir()
    folder.chmod(0o775)
    monkeypatch.setenv(variable, str(folder))
    kind, (said,) = compiled()
    assert kind == "eager"
    assert f"{variable} names {folder}, which others can write to (mode 775)" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
@pytest.mark.parametrize("made", ["kernels", "."])
def test_a_folder_of_another_user_s_is_refused_by_name(
    shared_tmp: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    (folder := shared_tmp / "tools" / "kernels").mkdir(parents=True)
    os.chown(folder.parent / made, OTHERS_NUMBER, -1)
    monkeypatch.setenv(INDUCTOR, str(folder))
    kind, (said,) = compiled()
    assert kind == "eager"
    assert f"{folder}, which belongs to another user (number {OTHERS_NUMBER})" in said


def test_torch_finds_its_folder_named_when_it_is_imported(shared_tmp: Path) -> None:
    planted = shared_tmp / f"torchinductor_{getpass.getuser()}"
    planted.write_text("no folder, at which an import would fail")
    program = "import os, core.model.densenet; print(os.environ['TORCHINDUCTOR_CACHE_DIR'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    caches = platformdirs.user_cache_path("cxr-tui")
    assert (done.returncode, Path(done.stdout.strip()).is_relative_to(caches)) == (0, True)
    assert list(shared_tmp.iterdir()) == [planted]
