"""One session trained without a screen, from wherever it stands to its test figures."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from core.errors import CxrError, StoppedError
from core.event_lines import event_line
from core.events import Event
from core.going_on import safe_differences
from core.in_slices import in_slices
from core.recipe import Recipe
from core.store.files import is_file
from core.store.past import Ending, is_done
from core.store.refused import take_away_refused
from core.store.seals import kept_seals
from core.store.session import Session
from core.store.sessions import check_name, create_session, open_session
from cxr_tui.arguments import cache_folder
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.ranks import Others
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.terminal.stdout import print_json_line
from cxr_tui.terminal.streams import Outliving, Unawaited, lost_lines

STOPPED = 75
"""EX_TEMPFAIL: run it again, it goes on."""


class Output(Enum):
    """What a run puts on stdout."""

    FIGURES = "figures"  # of test, at its end
    EVENTS = "events"  # each as a line of JSON
    NOTHING = "nothing"  # stdout is for something else


@dataclass(frozen=True)
class Place:
    """Where to compute and what to print, from the command line."""

    device: str
    cache: Path
    output: Output = Output.FIGURES
    miniature_images: int | None = None
    how_to_go_on: str | None = None
    """The command that goes on after a stop; None: ``--resume`` with the session."""
    others: Others | None = None
    """The other processes of the run, where torchrun started several."""

    def go_on_by(self, session: Session) -> str:
        """What has to be said to go on with the session in the same place."""
        if self.how_to_go_on is not None:
            return self.how_to_go_on
        cache = "" if self.cache == cache_folder(None) else f" --cache {self.cache}"
        device = "" if self.device == "auto" else f" --device {self.device}"
        program = "cxr-tui" if self.others is None else self.others.command
        return f"{program} --resume {session.path}{cache}{device}"


def start_or_go_on(sessions: Path, name: str, recipe: Recipe, place: Place) -> int:
    """The session of that name, whether it is there already or not: what a requeued job needs.

    Raises:
        RecipeError: it is there, with other settings.
        SessionError: no session can have that name.
        CxrError: see ``run_session``.
    """
    check_name(name)
    if is_file(sessions / name / "recipe.toml"):
        return go_on_with(open_session(name, sessions), recipe, place)
    return run_new(create_session(sessions, recipe, name), place)


def run_new(session: Session, place: Place) -> int:
    """Train and score a session that was made just now; where its start is refused, it goes.

    Raises:
        CxrError: see ``run_session``.
    """
    made = session.path.lstat()
    try:
        return run_session(session, place)
    except CxrError as error:
        if take_away_refused(session, made, error):
            Narrator().tell("session   taken away again: nothing of it had begun")
        raise


def run_session(session: Session, place: Place, changed: Recipe | None = None) -> int:
    """Train and score, or go on where the session stands; the exit code.

    Raises:
        CxrError: the run could not go on, or was stopped before there was anything to keep.
    """
    recipe = changed or session.recipe
    narrator = Narrator()
    with StopSignals(is_one_of_many=place.others is not None) as signals:
        narrator.starts(str(session.path), recipe.train.epochs)
        # torch is loaded here, after the session exists: a stop or a crash leaves its trace.
        if not _engine_loaded(signals):
            narrator.tell(f"stopped   before it began; go on with: {place.go_on_by(session)}")
            return STOPPED
        from core.run import Machine, run

        machine = Machine(place.device, place.cache, place.miniature_images)
        if place.others is not None:
            team = place.others.met(lambda: signals.stop_requested)
            device = place.others.device(place.device)
            machine = dataclasses.replace(machine, device=device, ranks=team)
        try:
            emit = _emit(narrator, place, session)
            finished = run(session, emit, signals.next_request, machine, changed)
        except KeyboardInterrupt:
            return STOPPED  # left at once; the last checkpoint is whole
        finally:
            narrator.close()
    if not finished:
        if narrator.moved_to:  # under its name another one would begin
            session = Session(Path(narrator.moved_to))
            place = dataclasses.replace(place, how_to_go_on=None)
        narrator.tell(f"go on with: {place.go_on_by(session)}")
        return STOPPED
    if place.output is Output.FIGURES and narrator.report is not None:
        print_report(narrator.report)
    return 0


def _engine_loaded(signals: StopSignals) -> bool:
    """Load it; False where a stop comes meanwhile: off a busy file server it takes minutes."""

    def ask() -> None:
        if signals.stop_requested:
            raise StoppedError("asked to stop while torch was loaded")

    try:
        in_slices(lambda: importlib.import_module("core.run"), ask)
    except StoppedError:
        return False
    return True


def go_on_with(session: Session, recipe: Recipe, place: Place) -> int:
    """Go on with a session under a recipe that may differ only where that is safe.

    Raises:
        RecipeError: it differs elsewhere.
        CxrError: see ``run_session``.
    """
    if (seals := kept_seals(session)) is not None:  # of a finished one no run will look
        seals.refuse_another_recipe(session.recipe, session.path / "recipe.toml")
    recipe = session.in_its_sense(recipe)
    changed = safe_differences(session.recipe, recipe, f"session {session.name}")
    for key, (old, new) in changed.items():
        Narrator().tell(f"changed   {key} was {old}, is {new}: safe to change")
    ending = is_done(session, recipe)
    if ending is not None:
        return _show_finished(session, ending, place)
    return run_session(session, place, recipe if changed else None)


def _show_finished(session: Session, ending: Ending, place: Place) -> int:
    """A requeued job may come back to a session that is done: show what it reached."""
    figures = ending.figures
    Narrator().tell(f"{session.path} is finished already")
    if place.output is Output.EVENTS:
        for event in (figures, ending.last):
            if event is not None:
                print_json_line(event_line(event))
    elif place.output is Output.FIGURES and figures is not None:
        print_report(figures.report)
    return 0


def _emit(narrator: Narrator, place: Place, session: Session) -> Callable[[Event], None]:
    """Tells and prints each event; that the output's reader has left is told once.

    So is what a reader has missed, each time that it reads again.
    """
    is_told = False

    def tell(event: Event) -> None:
        nonlocal is_told
        narrator(event)
        if place.output is not Output.EVENTS:
            return
        print_json_line(event_line(event))
        if isinstance(sys.stdout, Unawaited) and (lost := sys.stdout.outlet.passed_lines()):
            narrator.warn(f"stdout: {lost_lines(lost)}; every event is in {session.events_path}")
        if not is_told and isinstance(sys.stdout, Outliving) and sys.stdout.error is not None:
            is_told = True
            why = sys.stdout.error.strerror
            narrator.warn(f"stdout: {why}; every event is in {session.events_path}")

    return tell
