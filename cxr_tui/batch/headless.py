"""Trains one session without a screen, from wherever it is to its test results."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TextIO, cast

from core.errors import CxrError, StoppedError
from core.event_lines import event_line
from core.events import Event
from core.going_on import safe_differences
from core.in_slices import in_slices
from core.model.pretrained.needed import require_named_data
from core.model.pretrained.places import require_weights
from core.recipe import Recipe
from core.report_shape import PartReport
from core.store.files import is_file
from core.store.ledger import look, looks_so_far
from core.store.past import Ending, is_done
from core.store.refused import take_away_refused
from core.store.sealed import HOW_TO_OPEN, is_sealed
from core.store.seals import kept_seals
from core.store.session import Session
from core.store.sessions import check_name, create_session, open_session
from core.tracking.tracker import require_trackers
from cxr_tui.arguments import cache_folder
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.ranks import Others
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.runs.on_end import OnEnd, RunWatch, end_in_words
from cxr_tui.terminal.stdout import print_json_line
from cxr_tui.terminal.streams import Outliving, Unawaited, lost_lines
from cxr_tui.terminal.title import Title

STOPPED = 75
"""EX_TEMPFAIL: run again to continue."""


class Output(Enum):
    """What a run prints on stdout."""

    FIGURES = "figures"  # of test, at its end
    EVENTS = "events"  # each as a line of JSON
    NOTHING = "nothing"  # stdout is used for something else


@dataclass(frozen=True)
class Place:
    """Where to compute and what to print, from the command line."""

    device: str
    cache: Path
    output: Output = Output.FIGURES
    miniature_images: int | None = None
    how_to_go_on: str | None = None
    """The command that continues after a stop; None: ``--resume`` with the session."""
    opens_test: bool = False
    """Whether a sealed test part is scored."""
    others: Others | None = None
    """The other processes of the run, if torchrun started several."""
    on_end: str | None = None
    """The user's command for the end of a run; see ``cxr_tui.runs.on_end``."""

    def go_on_by(self, session: Session) -> str:
        """The command that continues the session in the same place."""
        if self.how_to_go_on is not None:
            return self.how_to_go_on
        cache = "" if self.cache == cache_folder(None) else f" --cache {self.cache}"
        device = "" if self.device == "auto" else f" --device {self.device}"
        program = "cxr-tui" if self.others is None else self.others.command
        return f"{program} --resume {session.path}{cache}{device}"


def start_or_go_on(sessions: Path, name: str, recipe: Recipe, place: Place) -> int:
    """Start the session with that name, or continue it if it exists: what a requeued job needs.

    Raises:
        RecipeError: it exists with other settings.
        SessionError: no session can have that name.
        CxrError: see ``run_session``.
    """
    check_name(name)
    if is_file(sessions / name / "recipe.toml"):
        return go_on_with(open_session(name, sessions), recipe, place)
    require_weights_early(recipe, place.cache)
    require_trackers(recipe.train.trackers)
    return run_new(create_session(sessions, recipe, name), place)


def require_weights_early(recipe: Recipe, cache: Path) -> None:
    """Refuse a run that lacks its weights before it has a session and torch is loaded.

    What is wrong with its data is told first, and by the run.

    Raises:
        DataError: the weights are not here, or damaged.
    """
    try:
        require_named_data(recipe, cache)
    except (CxrError, OSError):
        return
    require_weights(recipe.model.weights)


def run_new(session: Session, place: Place) -> int:
    """Train and score a new session; if its start is refused, it is deleted.

    Raises:
        CxrError: see ``run_session``.
    """
    made = session.path.lstat()
    try:
        return run_session(session, place)
    except CxrError as error:
        if take_away_refused(session, made, error):
            Narrator().tell("session   deleted: its run did not start")
        raise


def run_session(session: Session, place: Place, changed: Recipe | None = None) -> int:
    """Train and score a session from wherever it is; returns the exit code.

    Raises:
        CxrError: the run failed, or was stopped before there was anything to save.
    """
    watch, code = RunWatch(), 1
    with Title(cast("TextIO", Outliving(sys.stderr))) as title:
        title.say(f"{session.name} is running")
        try:
            code = _run_session(session, place, changed, watch)
        except CxrError as error:
            code = error.exit_code
            raise
        finally:
            if watch.has_begun and place.miniature_images is None:
                told = Session(Path(watch.moved_to)) if watch.moved_to else session
                title.say(end_in_words(told.name, code, watch.mean_auroc), rings=True)
                _run_on_end(told, place, code, watch.mean_auroc)
    return code


def _run_on_end(session: Session, place: Place, code: int, mean_auroc: float | None) -> None:
    """Run the user's command; a signal ends it, and nothing of it changes the exit code."""
    if place.on_end is None:
        return
    said, is_one_of_many = "ending the on-end command", place.others is not None
    with (
        contextlib.suppress(KeyboardInterrupt),
        StopSignals(said, is_one_of_many=is_one_of_many) as signals,
    ):
        on_end = OnEnd(place.on_end, should_end=lambda: signals.stop_requested)
        if warning := on_end.run(session, code, mean_auroc):
            Narrator().warn(warning)


def _run_session(session: Session, place: Place, changed: Recipe | None, watch: RunWatch) -> int:
    recipe = changed or session.recipe
    narrator = Narrator()
    with StopSignals(is_one_of_many=place.others is not None) as signals:
        narrator.starts(str(session.path), recipe.train.epochs)
        # torch is loaded here, after the session exists: a stop or a crash leaves a trace.
        if not _engine_loaded(signals):
            watch.has_begun = True  # and has ended
            narrator.tell(f"stopped   before it started; continue with: {place.go_on_by(session)}")
            return STOPPED
        from core.run import Machine, run

        machine = Machine(
            place.device, place.cache, place.miniature_images, opens_test=place.opens_test
        )
        if place.others is not None:
            team = place.others.met(lambda: signals.stop_requested)
            device = place.others.device(place.device)
            machine = dataclasses.replace(machine, device=device, ranks=team)
        try:
            emit = _emit(narrator, watch, place, session)
            finished = run(session, emit, signals.next_request, machine, changed)
        except KeyboardInterrupt:
            return STOPPED  # left immediately; the last checkpoint is intact
        finally:
            narrator.close()
    if not finished:
        if narrator.moved_to:  # its old name would start a new one
            session = Session(Path(narrator.moved_to))
            place = dataclasses.replace(place, how_to_go_on=None)
        narrator.tell(f"continue with: {place.go_on_by(session)}")
        return STOPPED
    if narrator.report is None and is_sealed(session):
        narrator.tell(f"sealed    test was not scored; {HOW_TO_OPEN.format(name=session.path)}")
    if place.output is Output.FIGURES and narrator.report is not None:
        looks = None if machine.miniature_images else looks_so_far(session).as_json()
        print_report(narrator.report.counted(looks))
    return 0


def _engine_loaded(signals: StopSignals) -> bool:
    """Load torch; False if a stop comes meanwhile: from a busy file server it takes minutes."""

    def ask() -> None:
        if signals.stop_requested:
            raise StoppedError("asked to stop while loading torch")

    try:
        in_slices(lambda: importlib.import_module("core.run"), ask)
    except StoppedError:
        return False
    return True


def go_on_with(session: Session, recipe: Recipe, place: Place) -> int:
    """Continue a session with a recipe that differs only in settings that are safe to change.

    Raises:
        RecipeError: it differs elsewhere.
        CxrError: see ``run_session``.
    """
    if (seals := kept_seals(session)) is not None:  # a finished session has no run to check them
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
    """Show the results of a finished session, to which a requeued job may return."""
    figures = ending.figures
    Narrator().tell(f"{session.path} is already finished")
    if is_sealed(session):
        Narrator().tell(f"sealed    test was not scored; {HOW_TO_OPEN.format(name=session.path)}")
    if place.output is Output.EVENTS:
        for event in (figures, ending.last):
            if event is not None:
                print_json_line(event_line(event))
    elif place.output is Output.FIGURES and figures is not None:
        looks = look(session, "resume").as_json()
        print_report(PartReport.of(figures.report).counted(looks))
    return 0


def _emit(
    narrator: Narrator, watch: RunWatch, place: Place, session: Session
) -> Callable[[Event], None]:
    """Narrates and prints each event; a closed stdout is reported once.

    Lines that a slow reader missed are reported each time it reads again.
    """
    is_told = False

    def tell(event: Event) -> None:
        nonlocal is_told
        watch(event)
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
