"""``--batch`` and ``--resume``: a run with no screen; stdout is data, stderr is narration."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from core.errors import CxrError, UsageError
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, load_recipe
from core.store.session import Session
from core.store.sessions import create_session, open_session
from core.training.distributed.introductions import digest_of_shared
from core.training.distributed.ranks import launch_of
from cxr_tui.arguments import cache_folder
from cxr_tui.batch.headless import Output, Place, go_on_with, run_new, start_or_go_on
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.ranks import Others, follow, lead
from cxr_tui.terminal.streams import outlive_readers

_CHECK_IMAGES_PER_BATCH = 2

_Run = Callable[[argparse.Namespace, "Others | None"], int]


def start_batch(arguments: argparse.Namespace) -> int:
    """``--batch RECIPE``: a new session, or with --session the one that has that name."""
    return _on_ranks(arguments, _start)


def resume_batch(arguments: argparse.Namespace) -> int:
    """``--resume SESSION``: go on with the session's own recipe."""
    return _on_ranks(arguments, _resume)


def _on_ranks(arguments: argparse.Namespace, run: _Run) -> int:
    """Run alone, or as one of several processes of which the first does all that is seen."""
    outlive_readers(json_on_stdout=arguments.json)
    launch = launch_of(os.environ)
    if launch is None:
        return run(arguments, None)
    # Before torch is loaded: it writes a stack of C++ for each connection that another one closed.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    others = Others(launch, cache_folder(arguments.cache), _asked(arguments))
    if launch.leads:
        return lead(others, lambda: run(arguments, others))
    return follow(others, arguments.device)


def _asked(arguments: argparse.Namespace) -> str | None:
    """A digest of what all processes of a run are asked alike; None where it can't be told here.

    Rank 0 alone says what is wrong with a recipe, and it may be the only one that has the session.
    """
    try:
        if arguments.batch is not None:
            recipe = load_recipe(arguments.batch, arguments.set)
        else:
            session = open_session(arguments.resume, arguments.sessions)
            recipe = changed_recipe(session.recipe, arguments.set)
    except CxrError:
        return None
    return digest_of_shared(recipe, is_check=arguments.check)


def _start(arguments: argparse.Namespace, others: Others | None) -> int:
    recipe = load_recipe(arguments.batch, arguments.set)
    place = _place(arguments, others)
    if arguments.check:
        return _check(recipe, arguments.sessions, place)
    if arguments.session is not None:
        return start_or_go_on(arguments.sessions, arguments.session, recipe, place)
    return run_new(create_session(arguments.sessions, recipe), place)


def _resume(arguments: argparse.Namespace, others: Others | None) -> int:
    if arguments.check or arguments.session is not None:
        raise UsageError("--check and --session go with --batch, not with --resume")
    session = open_session(arguments.resume, arguments.sessions)
    recipe = changed_recipe(session.recipe, arguments.set)
    return go_on_with(session, recipe, _place(arguments, others))


def _place(arguments: argparse.Namespace, others: Others | None) -> Place:
    output = Output.EVENTS if arguments.json else Output.FIGURES
    return Place(arguments.device, cache_folder(arguments.cache), output, others=others)


def _check(recipe: Recipe, sessions: Path, place: Place) -> int:
    """The whole path in miniature; its session is taken away unless something failed."""
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
    """That an image which can't be used may still be among the others."""
    described = session.read_json("dataset.json") or {}
    parts = described.get("parts", {}).values()
    some, every = sum(part["images"] for part in parts), described.get("images", 0)
    return f"; {some:,} of {every:,} images were decoded, a run decodes all" if some < every else ""
