"""The package as users install it: a wheel, away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import REPOSITORY
from terminal import Terminal

PACKAGES = ("core", "cxr_tui")
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: a build leaves folders beside what it builds."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        copied = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=copied)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    built = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", built]
    subprocess.run([*PIP, "wheel", *options, source], check=True)
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with it alone; what it depends on is shared."""
    site = tmp_path_factory.mktemp("site")
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True
    )
    return site


@pytest.fixture
def program(installed, tmp_path, monkeypatch):
    """The installed command, started in an empty folder."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    where = [sys.executable, "-c", "import cxr_tui; print(cxr_tui.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    return [sys.executable, installed / "bin" / "cxr-tui"]


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    ours = {
        path.relative_to(REPOSITORY).as_posix()
        for name in PACKAGES
        for path in (REPOSITORY / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(ours - set(zipfile.ZipFile(wheel).namelist())) == []


def test_the_console_of_an_installed_wheel_opens(program, tmp_path):
    places = ["--sessions", "sessions", "--cache", "cache"]
    with Terminal([*map(str, program), *places], folder=tmp_path) as terminal:
        terminal.shows("No sessions yet.")
        terminal.send("q")
        assert terminal.exit_code() == 0


def test_an_installed_wheel_checks_the_demo(program, tmp_path, cache_dir, phantom_dir):
    data = ["--set", "dataset.phantom=none", "--set", f"dataset.images={phantom_dir}"]
    small = ["--set", "image.size_px=64", "--set", "train.batch_size=4"]
    done = subprocess.run(
        [*program, "--batch", "demo", "--check", "--cache", cache_dir, *data, *small],
        cwd=tmp_path,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "check     passed" in done.stderr
