"""The console's state: the recipe being edited, the session shown, the running session.

The UI thread owns it. The engine's modules are imported when first needed, after the first paint.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.requests import Request
from cxr_tui.terminal.key_names import key_of

if TYPE_CHECKING:
    from core.recipe import Recipe
    from core.store.session import Session
    from cxr_tui.runs.open_session import OpenSession

FIRST_RECIPE = "demo"
_MOST_EARLIER = 10
_Made = TypeVar("_Made")


def lacking_weights(recipe: Recipe) -> str:
    """Why a run could not start from its weights; '' if they are here."""
    from core.errors import CxrError
    from core.model.pretrained.places import require_weights
    from core.recipe import IMAGENET

    try:
        require_weights(recipe.model.weights)
    except CxrError as error:
        if recipe.model.weights == IMAGENET:
            keys = key_of("mode.recipe", "recipe.weights")
            return f"the ImageNet weights are not here, or damaged: {keys} fetches them"
        return f"model.weights: {error.what}"
    return ""


@dataclass(frozen=True)
class ImageToLookAt:
    """An image that one screen asks another to show, and the mode to return to.

    ``part``: ``external/NAME`` if it is of another data set than the session's own.
    """

    session: Path
    image: str
    finding: str
    back_to: str
    part: str = ""


@dataclass(frozen=True)
class EarlierDraft:
    """A draft that another one took the place of.

    Attributes:
        preset, base: what it began with, by name and in full.
        num_changes: keys that differ from that.
        left_at: seconds since the epoch.
    """

    recipe: Recipe
    preset: str
    base: Recipe
    num_changes: int
    left_at: float


@dataclass
class Workspace:
    """The console's state, apart from its widgets."""

    sessions: Path
    cache: Path
    device: str = "auto"
    on_end: str | None = None
    """The user's command for the end of a run; see ``cxr_tui.runs.on_end``."""
    tell: Callable[[str], None] = lambda _: None
    """Shows a warning that comes from a thread."""
    preset: str = FIRST_RECIPE
    """The name of what the draft began with: a recipe, a session, a file."""
    shown: OpenSession | None = None
    running: OpenSession | None = None
    earlier_drafts: list[EarlierDraft] = field(default_factory=list)
    """Those that had changes when another took their place, the latest first."""
    _draft: Recipe | None = None
    _base: Recipe | None = None
    _problem: tuple[Recipe, str] | None = None
    _at_their_end: list[threading.Thread] = field(default_factory=list)
    """Threads on which the user's command runs, or ran."""
    key_to_look_at: str | None = None
    """The recipe field just changed for the user; the Recipe screen moves there once."""
    key_changed_last: str = "train.learning_rate"
    """The recipe field that the user changed last; at first the one that most people change."""
    data_set_wanted: bool = False
    """Whether the Data screen is to ask for a data set, once."""
    image_to_look_at: ImageToLookAt | None = None
    """The image to show; the CAMs screen moves there once."""

    @property
    def problem(self) -> str:
        """Why a run of the draft would be refused, as far as is known; or ''."""
        if self._draft is None:
            return ""
        found = self._problem
        known = found[1] if found is not None and found[0] is self._draft else ""
        return known or lacking_weights(self._draft)

    def know_problem(self, draft: Recipe, problem: str) -> None:
        """Store a recipe's problem, valid while that recipe is the draft."""
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

    @property
    def base(self) -> Recipe:
        """The recipe that the draft began with."""
        if self._base is None:
            self._base = self.first_recipe()
        return self._base

    def begin(
        self, preset: str, recipe: Recipe, *, base: Recipe | None = None, keeps_data: bool = False
    ) -> EarlierDraft | None:
        """Take another recipe as the draft.

        Args:
            preset: its name.
            recipe: the new draft.
            base: what it began with, where it has changes already.
            keeps_data: put it on the files that the draft names, if it names any.

        Returns:
            The draft before, where it had changes: it is kept.

        Raises:
            RecipeError: the recipe can't be on these files.
        """
        from core.recipe_on_data import with_data_of
        from core.recipe_toml import differences

        before = self.draft
        left, draft = self.base, recipe
        if keeps_data:
            left, draft = with_data_of(left, before), with_data_of(recipe, before)
        num_changes = len(differences(left, before))
        kept = None
        if num_changes and before != draft:
            kept = EarlierDraft(before, self.preset, self.base, num_changes, time.time())
            self.earlier_drafts = [kept, *self.earlier_drafts][:_MOST_EARLIER]
        self.preset, self._base, self._draft = preset, base or draft, draft
        return kept

    def first_recipe(self) -> Recipe:
        """The recipe for a new user."""
        from core.recipe_toml import load_recipe

        return load_recipe(FIRST_RECIPE)

    def poll(self) -> bool:
        """Apply new events of the open sessions; whether there were any."""
        held = {id(item): item for item in (self.shown, self.running) if item is not None}
        changed = [item.take_events() for item in held.values()]
        if self.running is not None and not self.running.is_ours:
            self.running.take_events()  # events between the last poll and the thread's end
            self.running = None
            return True
        return any(changed)

    def start(self, recipe: Recipe) -> OpenSession:
        """Start and show a new session of that recipe, on a thread; removed if it is refused.

        Raises:
            SessionError: it can't be created.
        """
        from core.store.sessions import create_session

        session = self.open(create_session(self.sessions, recipe).path.absolute())
        return self._run(session, session.path.lstat())

    def resume(self, name: str, *, epochs: int | None = None) -> OpenSession:
        """Resume and show a session, on a thread.

        Args:
            name: the session's.
            epochs: total number of epochs; None: that of its recipe.

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

    def run_beside(self, session: Session) -> OpenSession:
        """Run a session of the queue, on a thread; it is shown where nothing else is looked at.

        Raises:
            SessionError, RecipeError: it can't be opened.
        """
        from cxr_tui.runs.open_session import running

        session = self.open(session.path.absolute())
        is_new = session.events_path.stat().st_size == 0
        made = session.path.lstat() if is_new else None
        at_end = self._run_on_end
        opened = running(session, device=self.device, cache=self.cache, made=made, at_end=at_end)
        if self.shown is None or self.shown.source.runs_here:  # a run of ours that has ended
            self._show(opened)
        self.running = opened
        opened.source.start()
        return opened

    def open(self, name: str | Path) -> Session:
        """Open the session of that name.

        Raises:
            SessionError: there is none.
        """
        from core.store.sessions import open_session

        return open_session(name, self.sessions)

    def show(self, name: str | Path) -> OpenSession:
        """Show a session: our own if it runs here, else read from its files.

        Raises:
            SessionError, RecipeError: it can't be opened.
        """
        from cxr_tui.runs.open_session import followed

        session = self.open(name)
        if self.running is not None and _is_one_folder(self.running.session, session):
            return self._show(self.running)
        opened = self._show(followed(session))
        opened.source.start()
        return opened

    def on_device(self, work: Callable[[], _Made]) -> _Made:
        """Run something short between two steps of our run, or immediately without one.

        Call it on a thread; the UI thread must not wait for it.
        """
        running = self.running
        return work() if running is None else running.source.between_steps(work)

    def ask(self, request: Request) -> None:
        """Send a request to the session shown, wherever it runs."""
        if self.shown is not None:
            self.shown.source.ask(request)

    def _run(
        self,
        session: Session,
        made: os.stat_result | None = None,
        changed: Recipe | None = None,
    ) -> OpenSession:
        from cxr_tui.runs.open_session import running

        opened = running(
            session,
            device=self.device,
            cache=self.cache,
            made=made,
            changed=changed,
            at_end=self._run_on_end,
        )
        self.running = self._show(opened)
        self.running.source.start()
        return self.running

    def _run_on_end(self, session: Session, exit_code: int, mean_auroc: float | None) -> None:
        """Run the user's command on a thread of its own, within its limit."""
        if self.on_end is None:
            return
        from cxr_tui.runs.on_end import OnEnd

        on_end = OnEnd(self.on_end)

        def act() -> None:
            if warning := on_end.run(session, exit_code, mean_auroc):
                self.tell(warning)

        thread = threading.Thread(target=act, name="on-end")
        self._at_their_end.append(thread)
        thread.start()

    def wait_for_on_end(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Wait for commands that still run, and say so first."""
        for thread in self._at_their_end:
            if thread.is_alive():
                say("waiting for the on-end command, a minute at most")
            thread.join()

    def _show(self, opened: OpenSession) -> OpenSession:
        if self.shown is not None:
            self.shown.source.close()
        self.shown = opened
        return opened


def _is_one_folder(one: Session, other: Session) -> bool:
    """Whether both paths, relative or through links, are the same session."""
    try:
        return one.path.samefile(other.path)
    except OSError:  # one of them is gone
        return False
