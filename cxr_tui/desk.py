"""What the console works on: the recipe being edited, the session shown, the one that runs.

The painting thread owns it. Nothing here imports Textual.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.requests import Request
from core.store.session import Session, create_session, open_session
from cxr_tui.follower import Follower
from cxr_tui.run_view import RunView
from cxr_tui.runner import Runner

FIRST_RECIPE = "demo"


@dataclass
class OpenSession:
    """A session with what is known of it; ``source`` is a Runner where it is ours."""

    session: Session
    recipe: Recipe
    source: Runner | Follower
    view: RunView = field(default_factory=RunView)

    @property
    def name(self) -> str:
        """The session's name."""
        return self.session.name

    @property
    def is_ours(self) -> bool:
        """Whether this process writes it."""
        return isinstance(self.source, Runner) and self.source.is_running

    def stop(self) -> None:
        """Ask for a stop with a checkpoint, wherever it runs."""
        self.ask(Request.STOP)

    def ask(self, request: Request) -> None:
        """Ask our thread, or by a file the process that writes the session."""
        if isinstance(self.source, Runner):
            self.source.ask(request)
        else:
            self.session.ask(request)

    def wait(self) -> None:
        """Wait for our thread to end; nothing where another process runs it."""
        if isinstance(self.source, Runner):
            self.source.join()

    def take_events(self) -> bool:
        """Apply what is new; whether there was anything."""
        taken = self.source.take_events()
        for event in taken:
            self.view.apply(event)
        return bool(taken)


@dataclass
class Desk:
    """The console's state beside its widgets."""

    sessions: Path
    cache: Path
    device: str = "auto"
    preset: str = FIRST_RECIPE
    draft: Recipe = field(default_factory=lambda: load_recipe(FIRST_RECIPE))
    shown: OpenSession | None = None
    running: OpenSession | None = None

    def poll(self) -> bool:
        """Apply what is new of the sessions held; whether there was anything."""
        held = {id(item): item for item in (self.shown, self.running) if item is not None}
        changed = [item.take_events() for item in held.values()]
        if self.running is not None and not self.running.is_ours:
            self.running.take_events()  # what came between the last look and the thread's end
            self.running = None
            return True
        return any(changed)

    def start(self, recipe: Recipe) -> OpenSession:
        """A new session of that recipe, running on a thread, and shown.

        Raises:
            SessionError: it can't be made.
        """
        return self._run(create_session(self.sessions, recipe))

    def resume(self, name: str) -> OpenSession:
        """Go on with a session, on a thread, and show it."""
        return self._run(open_session(name, self.sessions))

    def show(self, name: str | Path) -> OpenSession:
        """Show a session: ours where it runs here, else read from its files.

        Raises:
            SessionError, RecipeError: it can't be opened.
        """
        session = open_session(name, self.sessions)
        if self.running is not None and self.running.session == session:
            self._put_away()
            self.shown = self.running
            return self.running
        opened = OpenSession(session, session.recipe, Follower(session))
        opened.view.epochs = opened.recipe.train.epochs
        opened.source.start()
        self._put_away()
        self.shown = opened
        return opened

    def ask(self, request: Request) -> None:
        """Ask the session shown, wherever it runs."""
        if self.shown is not None:
            self.shown.ask(request)

    def _run(self, session: Session) -> OpenSession:
        recipe = session.recipe
        runner = Runner(session, device=self.device, cache=self.cache)
        opened = OpenSession(session, recipe, runner)
        opened.view.epochs = recipe.train.epochs
        for event in session.events():  # what an earlier run of this session did
            opened.view.apply(event)
        opened.view.state, opened.view.stage = "running", "starting"
        self._put_away()
        self.shown = self.running = opened
        runner.start()
        return opened

    def _put_away(self) -> None:
        if self.shown is not None and isinstance(self.shown.source, Follower):
            self.shown.source.close()
