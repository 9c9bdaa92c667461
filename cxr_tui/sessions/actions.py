"""What the Sessions screen does to sessions: resume, reuse, rename, tag, note, delete."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from core.errors import CxrError
from cxr_tui.console.console import Console
from cxr_tui.sessions.dialogs import (
    deletion_question,
    more_epochs_dialog,
    new_question,
    note_dialog,
    rename_dialog,
    search_deletion_question,
    tags_dialog,
)
from cxr_tui.terminal.key_names import key_of

if TYPE_CHECKING:
    from core.events import EpochDone
    from core.store.session import Session
    from core.store.summary import SessionSummary


class SessionActions:
    """Each asks first where it has to; ``changed`` is called after a change, from any thread."""

    def __init__(self, console: Console, changed: Callable[[], object]) -> None:
        self._console = console
        self._workspace = console.workspace
        self._changed = changed

    def new(self) -> None:
        """Ask what to train on."""
        self._console.push_screen(new_question(), self._on_new)

    def _on_new(self, answer: str | None) -> None:
        if answer == "enter":
            self.first_run()
        elif answer == "2":
            self.choose_data()

    def first_run(self) -> None:
        """Train on the synthetic set."""
        self._console.start_run(self._workspace.first_recipe())

    def choose_data(self) -> None:
        """Have the Data screen ask for a data set."""
        self._workspace.data_set_wanted = True
        self._console.action_mode("data")

    def resume(self, summary: SessionSummary) -> None:
        """Resume the session; for a finished one ask for the number of epochs."""
        if summary.state != "finished":
            self._console.resume_run(summary.name)
            return
        try:
            done = self._workspace.open(summary.name).recipe.train.epochs
        except CxrError as error:
            self._console.say(str(error))
            return

        def take(text: str | None) -> None:
            if text is not None:
                self._console.resume_run(summary.name, epochs=int(text))

        self._console.push_screen(more_epochs_dialog(summary.name, done), take)

    def compare(self, epochs_of: Mapping[str, tuple[EpochDone, ...]]) -> None:
        """Compare sessions, given by their epochs."""
        from cxr_tui.sessions.compared_curves import Compared
        from cxr_tui.sessions.comparison import ComparisonScreen

        compared = [Compared(name, epochs) for name, epochs in epochs_of.items()]
        self._console.push_screen(ComparisonScreen(self._workspace.sessions, compared))

    def reuse(self, name: str) -> None:
        """Use the session's recipe as the draft."""
        try:
            recipe = self._workspace.open(name).recipe
        except CxrError as error:
            self._console.say(str(error))
            return
        self._console.reuse(name, recipe)

    def rename(self, name: str, taken: Collection[str], then: Callable[[str], None]) -> None:
        """Ask for another name; ``then`` gets it once the session is renamed."""
        if self._session(name).is_being_written():
            self._console.say(f"{name} is locked by a process: rename it once that has ended")
            return

        def take(to: str | None) -> None:
            if to is not None and to != name and self._renamed(name, to):
                then(to)
                self._changed()

        self._console.push_screen(rename_dialog(name, taken), take)

    def _renamed(self, name: str, to: str) -> bool:
        from core.store.sessions import rename_session

        is_shown = self._is_shown(name)
        try:
            rename_session(self._session(name), to)
            if is_shown:  # what is shown is read from the folder's path
                self._workspace.show(to)
        except CxrError as error:
            self._console.say(str(error))
        return self._session(to).path.exists()

    def tag(self, chosen: Sequence[SessionSummary]) -> None:
        """Ask for the tags; of several sessions for those that all of them have."""
        common = [tag for tag in chosen[0].tags if all(tag in one.tags for one in chosen)]

        def take(text: str | None) -> None:
            from core.store.notes import read_notes, typed_tags, write_notes

            if text is None:
                return
            for summary in chosen:
                session = self._session(summary.name)
                with self._told():
                    own = [tag for tag in read_notes(session).tags if tag not in common]
                    write_notes(session, tags=typed_tags(" ".join([*own, text])))
            self._changed()

        self._console.push_screen(tags_dialog([one.name for one in chosen], common), take)

    def note(self, name: str) -> None:
        """Ask for the note."""
        from core.store.notes import read_notes, write_notes

        def take(text: str | None) -> None:
            if text is not None and text != before:
                with self._told():
                    write_notes(self._session(name), note=text)
                self._changed()

        with self._told():
            before = " ".join(read_notes(self._session(name)).note.splitlines())
            self._console.push_screen(note_dialog(name, before), take)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except CxrError as error:
            self._console.say(str(error))

    def delete(
        self, chosen: Sequence[SessionSummary], listed: Sequence[SessionSummary] = ()
    ) -> None:
        """Ask for confirmation, saying what will be deleted; locked ones stay.

        Beside a single one that failed, all that are ``listed`` and failed are offered.
        """
        held = {summary.name: why for summary in chosen if (why := self._held(summary))}
        going = [summary for summary in chosen if summary.name not in held]
        if going:
            is_one = [summary.state for summary in chosen] == ["failed"]
            failed = [one for one in listed if is_one and one.state == "failed"]
            answers = {
                "y": [summary.name for summary in going],
                "f": [summary.name for summary in failed],
            }
            self._console.push_screen(
                deletion_question(going, list(held), failed),
                lambda answer: self._on_delete(answers.get(answer or "", [])),
            )
        elif held:
            self._console.say("\n".join(held.values()))

    def delete_search(self, name: str, own: Sequence[SessionSummary]) -> None:
        """Ask for confirmation, then delete a search with its trials; not while one runs."""
        held = next((why for one in own if (why := self._held(one))), "")
        if held:
            self._console.say(held)
            return

        def take(answer: str | None) -> None:
            if answer == "y":
                names = [one.name for one in own]
                self._console.run_worker(
                    lambda: self._delete_search(name, names), thread=True, group="delete"
                )

        self._console.push_screen(search_deletion_question(name, own), take)

    def _delete_search(self, name: str, own: Sequence[str]) -> None:
        from core.search.place import delete_search

        with self._told():
            delete_search(self._workspace.sessions, name)  # first: it refuses what is worked on
            self._delete(own)
        self._changed()

    def _held(self, summary: SessionSummary) -> str:
        """Why the session can't be deleted now, or an empty string."""
        if summary.state in ("running", "paused"):
            return f"{summary.name} is running: stop it first (open it, {key_of('run.stop')})"
        if summary.state == "silent" and self._session(summary.name).is_being_written():
            return f"{summary.name} is locked by a silent process, perhaps suspended: end it first"
        return ""

    def _on_delete(self, names: list[str]) -> None:
        if not names:
            return
        if any(self._is_shown(name) for name in names):
            self._workspace.shown = None
        # On a thread: many large files take their time.
        self._console.run_worker(lambda: self._delete(names), thread=True, group="delete")

    def _delete(self, names: Sequence[str]) -> None:
        from core.store.sessions import delete_session

        for name in names:
            try:
                delete_session(self._session(name))
            except CxrError as error:
                self._console.say(str(error))
        self._changed()

    def _session(self, name: str) -> Session:
        from core.store.session import Session

        return Session(self._workspace.sessions / name)

    def _is_shown(self, name: str) -> bool:
        shown = self._workspace.shown
        try:
            return shown is not None and shown.session.path.samefile(self._session(name).path)
        except OSError:  # one of them is gone
            return False
