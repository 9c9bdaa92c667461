"""What several tests share: a small phantom, real images where they are, the program itself."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import warm_start
from filelock import FileLock

# Screens are drawn as in a terminal with all colours, whatever the tests run in.
os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}

# The networks here are tiny. On a busy machine a second thread costs more than it brings: each of
# the thousands of parallel regions of a step waits for it to be scheduled.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Memory that a step gives back is taken again by the next: to return it to the kernel in between,
# page by page, costs a small network a tenth of its time.
_MEMORY_KEPT_BYTES = 1 << 30
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(_MEMORY_KEPT_BYTES))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(_MEMORY_KEPT_BYTES))

# Programs find the modules compiled, as an installed package's are: a quarter of a second each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The collector goes through half a million objects of torch, pandas and Textual again and again: a
# quarter of what a test of a screen costs. What is there between two files of tests stays.
gc.set_threshold(5000, 10, 10)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Leave out of later collections what the tests of this file imported."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


_STARTS_PROGRAMS = {"cxr_tui", "trained_dir"}
"""Fixtures that train, or start the program."""

_SLOW = (
    *("tests/faults/", "tests/whole/", "tests/core/bench/", "tests/core/document/"),
    *("tests/core/export/", "tests/core/tracking/", "tests/core/test_replay.py"),
    *(
        f"tests/core/data/test_{name}.py"
        for name in ("nih", "cache_processes", "other_forms", "together", "phantom")
    ),
    *(f"tests/core/evaluation/test_{name}.py" for name in ("resolution", "subgroup_coverage")),
    *(
        f"tests/core/health/test_{name}.py"
        for name in ("few_images", "real_scores", "table_read", "training", "range_test", "images")
    ),
    *(f"tests/core/model/test_{name}.py" for name in ("compiler_cache", "precision_runs")),
    *("tests/core/search/test_study.py", "tests/core/store/test_ledger.py"),
    *(
        f"tests/core/training/test_{name}.py"
        for name in ("as_left", "engines", "hostile_ranks", "keeping", "ranks", "room")
    ),
    *(
        f"tests/tui/app/test_{name}.py"
        for name in (
            *("console", "console_doors", "console_terminal", "journeys", "long_sessions"),
            *("mouse", "queue_turns", "small_terminals", "snapshots", "typing"),
        )
    ),
    *("tests/tui/batch/", "tests/tui/cams/", "tests/tui/recipe/test_recipe.py"),
    *("tests/tui/results/test_results.py", "tests/tui/sessions/test_queue.py"),
    *("tests/tui/data/test_data.py", "tests/tui/training/"),
)
"""Files that train, wait for processes and terminals, or draw a screen again and again: `make
quick` leaves them out."""

_QUICK = ("tests/whole/test_docs_links.py", "tests/whole/test_wall.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make quick` leaves out."""
    root = Path(__file__).parents[1]
    for item in items:
        name = item.path.relative_to(root).as_posix()
        starts = _STARTS_PROGRAMS.intersection(getattr(item, "fixturenames", ()))
        if starts or (name.startswith(_SLOW) and name not in _QUICK):
            item.add_marker(pytest.mark.slow)
    # Two workers end together only where the long files do not come last.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The user's folders, for this process and all that it starts."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ[name] = str(tmp_path_factory.mktemp(name.lower()))


@pytest.fixture(scope="session")
def nih_dir() -> Path:
    """The folder of real NIH tables and images."""
    folder = os.environ.get("CXR_NIH_DIR")
    if not folder:
        pytest.skip("CXR_NIH_DIR is not set: no real NIH tables and images here")
    return Path(folder)


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder, made by the first process that asks for it; the others wait."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            made = folder.with_name(f"{folder.name}.unfinished")
            make(made)
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def phantom_dir(shared_dir: Path) -> Path:
    """A small synthetic set; tests must not write into it."""
    from core.data.phantom import write_phantom

    def make(folder: Path) -> None:
        write_phantom(folder / "set", patients=60, size_px=64, seed=3)

    return made_once(shared_dir / "phantom", make) / "set"


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests, so that each ingests only what is new."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def trained_dir(shared_dir: Path, phantom_dir: Path, cache_dir: Path) -> Path:
    """A session that was run to its end on the small set; tests must work on a copy."""
    from core.recipe_toml import load_recipe
    from core.requests import Request
    from core.run import Machine, run
    from core.store.sessions import create_session

    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 64,
        "train.epochs": 8,  # fewer, and no finding has evidence anywhere
        "train.batch_size": 16,
        "train.learning_rate": 0.002,
        "train.precision": "fp32",
        "evaluate.bootstrap": 20,
    }
    recipe = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])

    def make(folder: Path) -> None:
        session = create_session(folder, recipe, "trained")
        run(session, lambda _: None, lambda: Request.CONTINUE, Machine("cpu", cache_dir))

    return made_once(shared_dir / "sessions", make) / "trained"


class HangError(BaseException):
    """Nothing takes it for an error of its own."""


@pytest.fixture
def within_a_minute() -> Iterator[None]:
    """Ends a test that waits for a pipe's other end, or computes for twenty seconds."""

    def too_long(*_: object) -> None:
        raise HangError("a minute by the clock, or twenty seconds of work")

    timers = (signal.ITIMER_REAL, signal.SIGALRM, 60), (signal.ITIMER_PROF, signal.SIGPROF, 20)
    before = [signal.signal(kind, too_long) for _, kind, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    yield
    for (timer, kind, _), handler in zip(timers, before, strict=True):
        signal.setitimer(timer, 0)
        signal.signal(kind, handler)


Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cxr_tui(tmp_path: Path) -> Program:
    """Runs the program as a user would, in an empty folder, without a terminal."""

    def run(*arguments: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return warm_start.run(
            [sys.executable, "-m", "cxr_tui", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run
