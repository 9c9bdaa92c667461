"""Small runs in real processes: made, watched by their files, and what the kernel says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import warm_start
from terminal import Terminal

from core.evaluation.maps.map_source import open_map_source
from core.evaluation.predictions import read_predictions
from core.model.precision import Precision, autocast
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session
from core.training.distributed.job_secret import VARIABLE

NAME = "mine"
RANKS_SECRET = "of this test, and nobody else's"


def made_session(folder: Path, phantom_dir: Path, *, epochs: int, **changes: object) -> Session:
    """A session that was made and not begun."""
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "image.size_px": 32,
        "train.epochs": epochs,
        "evaluate.bootstrap": 20,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
    } | changes
    made = load_recipe("demo", [f"{key}={value}" for key, value in keys.items()])
    return create_session(folder / "sessions", made, NAME)


def program(cache_dir: Path, *arguments: str) -> list[str]:
    """The program's command line."""
    places = ["--cache", str(cache_dir), "--device", "cpu"]
    return [sys.executable, "-m", "cxr_tui", *places, *arguments]


def console(folder: Path, cache_dir: Path, *arguments: str, **settings: Any) -> Terminal:
    """The console in a terminal."""
    return Terminal(program(cache_dir, *arguments), folder=folder, **settings)


def go_on(terminal: Terminal) -> None:
    """Run the session that the console was attached to, from the list of sessions."""
    terminal.shows(f"{NAME} · · new")
    terminal.send("1")
    terminal.shows("1 session,")  # the foot comes after the rows
    terminal.send("r")


def events_of(session: Session) -> list[Mapping[str, Any]]:
    """What it recorded so far, whole lines only."""
    try:
        text = (session.path / "events.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]


def kinds_of(session: Session) -> list[str]:
    """The kinds of its events."""
    return [event["event"] for event in events_of(session)]


def until(predicate: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < end, f"{what} not within {seconds} s"
        time.sleep(0.02)


def children_of(pid: int) -> Iterator[int]:
    """The processes that it started and that are still there."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, children.read_text().split())


def state_of(pid: int) -> str:
    """One letter of the kernel's: T is stopped."""
    return _stat(Path(f"/proc/{pid}/stat"))[0]


def cpu_seconds(pid: int, *, main_thread: bool = False) -> float:
    """Processor time that it has used, all threads or the main one alone."""
    stat = Path(f"/proc/{pid}/task/{pid}/stat" if main_thread else f"/proc/{pid}/stat")
    user, system = _stat(stat)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> list[str]:
    return path.read_text().rpartition(")")[2].split()


def scores_of(session: Session) -> tuple[bytes, bytes]:
    """Every prediction that the run left."""
    val, test = (session.predictions / name for name in ("val.csv", "test.csv"))
    return val.read_bytes(), test.read_bytes()


def off_the_networks(session: Session, cache_dir: Path, part: str, precision: str) -> float:
    """How far a part's kept probabilities are, at most, from those of the best weights."""
    kept = read_predictions(session.predictions / f"{part}.csv")
    source = open_map_source(session, cache_dir, "cpu")
    cache = source.cache(list(kept.images))
    pixels = source.pixels(cache.pixels(cache.rows_of(list(kept.images))))
    with torch.inference_mode(), autocast(Precision(precision, "a test"), source.device):
        probabilities = torch.sigmoid(source.model(pixels).double()).numpy()
    return float(np.abs(probabilities - kept.scores_NF).max())


def listed_state(session: Session) -> str:
    """Its state by `cxr-tui sessions`."""
    command = [sys.executable, "-m", "cxr_tui", "sessions", "--json", "--sessions"]
    told = subprocess.run(
        [*command, str(session.path.parent)], capture_output=True, text=True, check=True
    )
    (summary,) = json.loads(told.stdout)["sessions"]
    return str(summary["state"])


def json_lines(text: str) -> list[dict[str, Any]]:
    """The objects of a stream of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def rank_arguments(phantom_dir, cache_dir, **changes):
    """27 images to train on: three batches of eight, and three images that are one rank's alone."""
    keys = {
        "dataset.phantom": "none",
        "dataset.images": phantom_dir,
        "dataset.findings": '["Cardiomegaly","Effusion"]',
        "image.size_px": 32,
        "subset.max_images": 45,
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.precision": "fp32",
        "train.few_images_first": "never",
        "evaluate.bootstrap": 20,
    } | changes
    sets = [item for key, value in keys.items() for item in ("--set", f"{key}={value}")]
    return ["--batch", "demo", "--cache", cache_dir, "--device", "cpu", *sets]


def rank_process(folder, rank, port, *what):
    """One process of two, as a scheduler starts it; its output in files."""
    folder.mkdir(exist_ok=True)
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), VARIABLE: RANKS_SECRET}
    numbers = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    with (folder / f"out{rank}").open("w") as out, (folder / f"err{rank}").open("w") as err:
        return warm_start.Popen(
            [sys.executable, "-m", "cxr_tui", *map(str, what)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=os.environ | places | numbers,
        )
