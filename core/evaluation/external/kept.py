"""What a session keeps of another data set: ``external/NAME/`` in its folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import RunFailedError, SessionError, UsageError
from core.evaluation.predictions import Predictions, write_predictions
from core.recipe import Recipe
from core.recipe_toml import recipe_toml
from core.store.files import token, write_json, write_whole
from core.store.plain_files import refuse_links
from core.store.session import EXTERNAL, Session

REPORT = "report.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def name_for(recipe: Recipe, part: str) -> str:
    """A name from where the data are, and the part if it isn't the whole."""
    dataset = recipe.dataset
    if dataset.phantom is not None:
        stem = f"phantom-{dataset.phantom.patients}-{dataset.phantom.seed}"
    elif dataset.images is not None:
        stem = dataset.images.name
    else:
        stem = "" if dataset.labels is None else dataset.labels.stem
    safe = safe_name(stem)
    return safe if part == "all" else f"{safe}-{part}"


def safe_name(stem: str) -> str:
    """The nearest name that a folder can have; ``set`` if nothing is left."""
    return _UNSAFE.sub("-", stem).strip("-._")[:60] or "set"


def is_set_name(name: str) -> bool:
    """Whether results can be kept under it."""
    return bool(_NAME.fullmatch(name))


def place_for(session: Session, name: str, *, replace: bool) -> Path:
    """The folder that the results will have, which is not made yet.

    Raises:
        UsageError: it can't be a name, or is taken.
        SessionError: a folder of the session is a link.
    """
    if not is_set_name(name):
        raise UsageError(
            "can't be a folder's name",
            where=f"--name {name[:100]}",
            remedy="Use letters, digits, dot, dash and underscore, at most 80.",
        )
    refuse_links(session.path)
    if (session.path / EXTERNAL).is_symlink():
        raise SessionError(
            "is a link",
            where=session.path / EXTERNAL,
            why="What is written there could overwrite something outside the session.",
            remedy="Move it away.",
        )
    place = session.path / EXTERNAL / name
    if place.exists() and not replace:
        raise UsageError(
            f"the session has results of the name {name} already",
            where=place,
            remedy=f"Choose another with --name, or overwrite them: --name {name} --replace.",
        )
    return place


def keep_external(
    place: Path, predictions: Predictions, report: Mapping[str, Any], recipe: Recipe
) -> None:
    """Write predictions.csv, report.json and recipe.toml; whole, or not at all.

    Raises:
        RunFailedError: the disk is full, or can't be written; older results stay.
    """
    unfinished = place.with_name(f".{place.name}.{token()}")
    old = place.with_name(f".{place.name}.{token()}")
    try:
        unfinished.mkdir(parents=True)
        write_predictions(unfinished / "predictions.csv", predictions)
        write_whole(unfinished / "recipe.toml", recipe_toml(recipe).encode())
        write_json(unfinished / REPORT, report)
        if place.exists():
            place.rename(old)
        unfinished.rename(place)
    except OSError as error:
        if old.exists() and not place.exists():
            old.rename(place)
        raise RunFailedError(
            f"can't be written: {error.strerror or error}",
            where=place,
            why="Nothing was kept, and older results of this name are as they were.",
            remedy="Free space on that disk, or allow writing there, then run it again.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
