"""A run with no screen: stdout is data, stderr is narration."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from core.errors import RecipeError, UsageError
from core.events import Evaluated, Event, Finished, event_line
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import changed_recipe, differences, load_recipe
from core.store.session import Session, create_session, open_session
from cxr_tui.arguments import cache_folder
from cxr_tui.auroc_report import print_report
from cxr_tui.narration import Narrator
from cxr_tui.output import Outliving, outlive_readers
from cxr_tui.stop_signals import StopSignals

STOPPED = 75
"""EX_TEMPFAIL: run it again, it goes on."""

_CHECK_IMAGES_PER_BATCH = 2
_SAFE_TO_CHANGE = (
    "train.epochs",
    "train.checkpoint_minutes",
    "train.disk_wait_minutes",
    "train.early_stopping",
    "train.few_images_first",
    "note",
)
_SAFE_SECTIONS = ("evaluate.",)
_SAFE_PATHS = PATH_KEYS


@dataclass(frozen=True)
class _Place:
    """Where to compute, from the command line."""

    device: str
    cache: Path
    as_json: bool
    miniature_images: int | None = None

    def flags(self) -> str:
        """What has to be said again to go on in the same place."""
        cache = "" if self.cache == cache_folder(None) else f" --cache {self.cache}"
        return cache + ("" if self.device == "auto" else f" --device {self.device}")


def start_batch(arguments: argparse.Namespace) -> int:
    """``--batch RECIPE``: a new session, or with --session the one that has that name."""
    outlive_readers()
    recipe = load_recipe(arguments.batch, arguments.set)
    place = _place(arguments)
    if arguments.check:
        return _check(recipe, arguments.sessions, place)
    existing = arguments.sessions / (arguments.session or "")
    if arguments.session and (existing / "recipe.toml").is_file():
        session = open_session(arguments.session, arguments.sessions)
        return _go_on(session, recipe, place)
    return _run(create_session(arguments.sessions, recipe, arguments.session), place)


def resume_batch(arguments: argparse.Namespace) -> int:
    """``--resume SESSION``: go on with the session's own recipe."""
    outlive_readers()
    if arguments.check or arguments.session:
        raise UsageError("--check and --session go with --batch, not with --resume")
    session = open_session(arguments.resume, arguments.sessions)
    return _go_on(session, changed_recipe(session.recipe, arguments.set), _place(arguments))


def _place(arguments: argparse.Namespace) -> _Place:
    return _Place(arguments.device, cache_folder(arguments.cache), arguments.json)


def _go_on(session: Session, recipe: Recipe, place: _Place) -> int:
    """Go on with a session under a recipe that may differ only where that is safe."""
    changed = differences(session.recipe, recipe)
    unsafe = {
        key: values
        for key, values in changed.items()
        if key not in (*_SAFE_TO_CHANGE, *_SAFE_PATHS, "name")
        and not key.startswith(_SAFE_SECTIONS)
    }
    if unsafe:
        raise RecipeError(
            "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in unsafe.items()),
            where=f"session {session.name}",
            why="A run that goes on under other settings is neither run.",
            remedy=f"Start a new session for that. Safe to change: {', '.join(_SAFE_TO_CHANGE)}, "
            "and where the same data set lies.",
        )
    for key, (old, new) in changed.items():
        Narrator().tell(f"changed   {key} was {old}, is {new}: safe to change")
    figures, last = _ending(session)
    if isinstance(last, Finished) and not _asks_for_more(session.recipe, recipe, changed):
        return _show_finished(session, figures, last, place)
    return _run(session, place, recipe if changed else None)


def _asks_for_more(before: Recipe, after: Recipe, changed: Collection[str]) -> bool:
    """Whether a finished session has something left to do under the changed recipe."""
    return (
        after.train.epochs > before.train.epochs
        or "train.early_stopping" in changed
        or any(key.startswith(_SAFE_SECTIONS) for key in changed)
    )


def _show_finished(
    session: Session, figures: Evaluated | None, last: Finished, place: _Place
) -> int:
    """A requeued job may come back to a session that is done: show what it reached."""
    Narrator().tell(f"{session.path} is finished already")
    if place.as_json:
        ending = [event_line(event) for event in (figures, last) if event is not None]
        sys.stdout.write("\n".join(ending) + "\n")
    elif figures is not None:
        print_report(figures.report)
    return 0


def _check(recipe: Recipe, sessions: Path, place: _Place) -> int:
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
    code = _run(session, _Place(place.device, place.cache, place.as_json, images))
    if code == 0:
        shutil.rmtree(session.path)
        Narrator().tell(
            "check     passed: data, ingest, weights, two steps, validation, checkpoint, scoring"
        )
    return code


def _run(session: Session, place: _Place, changed: Recipe | None = None) -> int:
    recipe = changed or session.recipe
    narrator = Narrator()
    with StopSignals() as signals:
        narrator.starts(str(session.path), recipe.train.epochs)
        # torch is loaded here, after the session exists: a stop or a crash leaves its trace.
        from core.run import Machine, run

        machine = Machine(place.device, place.cache, place.miniature_images)
        try:
            emit = _emit(narrator, place, session)
            finished = run(session, emit, signals.next_request, machine, changed)
        except KeyboardInterrupt:
            return STOPPED  # left at once; the last checkpoint is whole
        finally:
            narrator.close()
    if not finished:
        narrator.tell(f"go on with: cxr-tui --resume {session.path}{place.flags()}")
        return STOPPED
    if not place.as_json and narrator.report is not None:
        print_report(narrator.report)
    return 0


def _emit(narrator: Narrator, place: _Place, session: Session) -> Callable[[Event], None]:
    """Tells and prints each event; that the output's reader has left is told once."""
    is_told = False

    def tell(event: Event) -> None:
        nonlocal is_told
        narrator(event)
        if not place.as_json:
            return
        sys.stdout.write(event_line(event) + "\n")
        sys.stdout.flush()
        if not is_told and isinstance(sys.stdout, Outliving) and sys.stdout.error is not None:
            is_told = True
            why = sys.stdout.error.strerror
            narrator.warn(f"stdout: {why}; every event is in {session.events_path}")

    return tell


def _ending(session: Session) -> tuple[Evaluated | None, Event | None]:
    """The session's figures and its last word, as far as there are any."""
    figures, last = None, None
    for event in session.events():
        last = event
        figures = event if isinstance(event, Evaluated) else figures
    return figures, last
