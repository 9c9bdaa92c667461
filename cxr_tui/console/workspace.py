"""What the console works on: the recipe being edited, the session shown, the one that runs.

The painting thread owns it. The engine's modules are loaded when they are first needed: the
console paints before any of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.requests import Request

if TYPE_CHECKING:
    from core.recipe import Recipe
    from core.store.session import Session
    from cxr_tui.runs.open_session import OpenSession

FIRST_RECIPE = "demo"
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class ImageToLookAt:
    """An image that one screen asks another to show, and the mode to come back to."""

    session: Path
    image: str
    finding: str
    back_to: str


@dataclass
class Workspace:
    """The console's state beside its widgets."""

    sessions: Path
    cache: Path
    device: str = "auto"
    preset: str = FIRST_RECIPE
    shown: OpenSession | None = None
    running: OpenSession | None = None
    _draft: Recipe | None = None
    _problem: tuple[Recipe, str] | None = None
    key_to_look_at: str | None = None
    """The recipe's field that was just changed for the user; the screen Recipe goes there once."""
    image_to_look_at: ImageToLookAt | None = None
    """What another screen wants to be seen; the screen CAMs goes there once."""

    @property
    def problem(self) -> str:
        """Why a run of the draft would be refused, as far as a screen has found out; or ''."""
        found = self._problem
        return found[1] if found is not None and found[0] is self._draft else ""

    def know_problem(self, draft: Recipe, problem: str) -> None:
        """What was found of a recipe; it holds for as long as that is the draft."""
        self._problem = (draft, problem)

    @property
    def draft(self) -> Recipe:
        """The recipe being edited."""
        if self._draft is None:
            self._draft = self.first_recipe()
        return self._draft

    @draft.setter
    def draft(self, recipe: Recipe) -> None:
        self._draft = recipe

    def first_recipe(self) -> Recipe:
        """What a new user trains on."""
        from core.recipe_toml import load_recipe

        return load_recipe(FIRST_RECIPE)

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
        """A new session of that recipe, running on a thread, and shown; gone if it is refused.

        Raises:
            SessionError: it can't be made.
        """
        from core.store.sessions import create_session

        session = self.open(create_session(self.sessions, recipe).path.absolute())
        return self._run(session, session.path.lstat())

    def resume(self, name: str, *, epochs: int | None = None) -> OpenSession:
        """Go on with a session, on a thread, and show it.

        Args:
            name: the session's.
            epochs: how many it is to have in all; None: as many as its recipe says.

        Raises:
            SessionError, RecipeError: it can't be opened.
        """
        session = self.open(name)
        if epochs is None:
            return self._run(session)
        from core.recipe_toml import changed_recipe

        return self._run(
            session, changed=changed_recipe(session.recipe, [f"train.epochs={epochs}"])
        )

    def open(self, name: str | Path) -> Session:
        """The session of that name.

        Raises:
            SessionError: there is none.
        """
        from core.store.sessions import open_session

        return open_session(name, self.sessions)

    def show(self, name: str | Path) -> OpenSession:
        """Show a session: ours where it runs here, else read from its files.

        Raises:
            SessionError, RecipeError: it can't be opened.
        """
        from cxr_tui.runs.open_session import followed

        session = self.open(name)
        if self.running is not None and _is_one_folder(self.running.session, session):
            return self._show(self.running)
        opened = self._show(followed(session))
        opened.begin()
        return opened

    def on_device(self, work: Callable[[], _Made]) -> _Made:
        """Compute something short: between two steps of our run, at once where none is on.

        For threads; whoever paints must not wait for it.
        """
        running = self.running
        return work() if running is None else running.between_steps(work)

    def ask(self, request: Request) -> None:
        """Ask the session shown, wherever it runs."""
        if self.shown is not None:
            self.shown.ask(request)

    def _run(
        self,
        session: Session,
        made: os.stat_result | None = None,
        changed: Recipe | None = None,
    ) -> OpenSession:
        from cxr_tui.runs.open_session import running

        opened = running(session, device=self.device, cache=self.cache, made=made, changed=changed)
        self.running = self._show(opened)
        self.running.begin()
        return self.running

    def _show(self, opened: OpenSession) -> OpenSession:
        if self.shown is not None:
            self.shown.close()
        self.shown = opened
        return opened


def _is_one_folder(one: Session, other: Session) -> bool:
    """Whether both are the same session, however its path is spelt: relative, or by a link."""
    try:
        return one.path.samefile(other.path)
    except OSError:  # one of them is gone
        return False
