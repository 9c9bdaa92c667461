"""The layers themselves are checked by import-linter in `make check`; this is what is loaded."""

import subprocess
import sys

import pytest


def loaded_by(code):
    """Top-level modules that a fresh interpreter has after running the code."""
    script = f"{code}\nimport sys; print('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


HELP = "import cxr_tui.cli\ntry: cxr_tui.cli.main(['--help'])\nexcept SystemExit: pass"


def test_the_engine_knows_no_screen():
    assert not {"cxr_tui", "textual", "rich"} & loaded_by("import core.run")


def test_help_loads_nothing_slow():
    slow = {"torch", "torchvision", "pandas", "sklearn", "scipy", "numpy", "rich", "PIL"}
    assert not slow & loaded_by(HELP)


def test_sessions_are_made_and_listed_without_torch_and_images():
    loaded = loaded_by("import core.store.session, core.store.recorder")
    assert not {"torch", "numpy", "PIL", "sklearn"} & loaded


@pytest.mark.parametrize("module", ["core.data.study.study", "cxr_tui.commands.audit"])
def test_an_audit_needs_neither_torch_nor_scikit_learn(module):
    assert not {"torch", "torchvision", "sklearn"} & loaded_by(f"import {module}")
