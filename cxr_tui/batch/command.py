"""``--batch`` and ``--resume``: a run without a screen; data on stdout, narration on stderr."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from core.errors import CxrError, UsageError
from core.recipe import Recipe
from core.recipe_toml import changed_recipe
from core.store.session import Session
from core.store.sessions import create_session, open_session
from core.tracking.tracker import require_trackers
from core.training.distributed.introductions import digest_of_shared
from core.training.distributed.ranks import launch_of
from cxr_tui.arguments import cache_folder
from cxr_tui.batch.headless import (
    Output,
    Place,
    go_on_with,
    require_weights_early,
    run_new,
    start_or_go_on,
)
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.ranks import Others, follow, lead
from cxr_tui.own_data import own_recipe
from cxr_tui.terminal.streams import outlive_readers

_CHECK_IMAGES_PER_BATCH = 2

_Run = Callable[[argparse.Namespace, "Others | None"], int]


def start_batch(arguments: argparse.Namespace) -> int:
    """``--batch RECIPE``: a new session, or with --session the one with that name."""
    return _on_ranks(arguments, _start)


def resume_batch(arguments: argparse.Namespace) -> int:
    """``--resume SESSION``: continue with the session's own recipe."""
    return _on_ranks(arguments, _resume)


def _on_ranks(arguments: argparse.Namespace, run: _Run) -> int:
    """Run alone, or as one of several processes of which only the first reports."""
    outlive_readers(json_on_stdout=arguments.json)
    launch = launch_of(os.environ)
    if launch is None:
        return run(arguments, None)
    # Before torch is loaded: it prints a C++ stack for each connection closed by another process.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    others = Others(launch, cache_folder(arguments.cache), _asked(arguments))
    if launch.leads:
        return lead(others, lambda: run(arguments, others))
    return follow(others, arguments.device)


def _asked(arguments: argparse.Namespace) -> str | None:
    """A digest of the arguments common to all processes of a run; None if it can't be computed
    here.

    Only rank 0 reports errors in a recipe, and it may be the only one that has the session.
    """
    try:
        if arguments.batch is not None:
            recipe = own_recipe(arguments.batch, arguments.set)
        else:
            session = open_session(arguments.resume, arguments.sessions)
            recipe = changed_recipe(session.recipe, arguments.set)
    except CxrError:
        return None
    return digest_of_shared(recipe, is_check=arguments.check)


def _start(arguments: argparse.Namespace, others: Others | None) -> int:
    recipe = own_recipe(arguments.batch, arguments.set)
    place = _place(arguments, others)
    if arguments.session is not None and not arguments.check:
        return start_or_go_on(arguments.sessions, arguments.session, recipe, place)
    require_weights_early(recipe, place.cache)
    require_trackers(recipe.train.trackers)
    if arguments.check:
        return _check(recipe, arguments.sessions, place)
    return run_new(create_session(arguments.sessions, recipe), place)


def _resume(arguments: argparse.Namespace, others: Others | None) -> int:
    if arguments.check or arguments.session is not None:
        raise UsageError("--check and --session go with --batch, not with --resume")
    session = open_session(arguments.resume, arguments.sessions)
    recipe = changed_recipe(session.recipe, arguments.set)
    return go_on_with(session, recipe, _place(arguments, others))


def _place(arguments: argparse.Namespace, others: Others | None) -> Place:
    output = Output.EVENTS if arguments.json else Output.FIGURES
    cache = cache_folder(arguments.cache)
    return Place(arguments.device, cache, output, others=others, on_end=arguments.on_end)


def _check(recipe: Recipe, sessions: Path, place: Place) -> int:
    """A full run in miniature; its session is deleted unless something failed."""
    smaller = changed_recipe(
        recipe,
        [
            "train.epochs=1",
            "train.warmup_epochs=0",
            f"evaluate.bootstrap={min(50, recipe.evaluate.bootstrap)}",
            f"name=check-{recipe.name}"[: len("name=") + 80],
        ],
    )
    images = max(4, _CHECK_IMAGES_PER_BATCH * recipe.train.batch_size)
    session = create_session(sessions, smaller)
    code = run_new(session, dataclasses.replace(place, miniature_images=images))
    if code == 0:
        looked_at = _looked_at(session)
        shutil.rmtree(session.path)
        Narrator().tell(
            "check     passed: data, ingest, weights, two steps, validation, checkpoint, scoring"
            + looked_at
        )
    return code


def _looked_at(session: Session) -> str:
    """A note that an image not decoded here may still be unusable."""
    described = session.read_json("dataset.json") or {}
    parts = described.get("parts", {}).values()
    some, every = sum(part["images"] for part in parts), described.get("images", 0)
    return f"; {some:,} of {every:,} images were decoded; a run decodes all" if some < every else ""
