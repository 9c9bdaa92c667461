"""Known weights to start from: a list, and a dialog that fetches what is not here."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import ProgressBar, Static

from core.errors import CxrError
from core.model.pretrained.fetching import Progress, fetch
from core.model.pretrained.known import KnownWeights
from core.model.pretrained.places import own_folder, place_of
from core.recipe import IMAGENET
from core.recipe_toml import changed_recipe
from core.store.disk import size_in_words
from cxr_tui.config import user_config
from cxr_tui.console.console import Console
from cxr_tui.console.dialogs import ChoiceList, Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.terminal.safe_text import visible
from cxr_tui.weights_table import with_tables

_SECONDS_BETWEEN = 0.1


def offer_weights(console: Console) -> None:
    """List the weights that can be fetched; the draft starts from the one chosen."""
    try:
        every = with_tables(user_config().weights)
    except CxrError as error:
        console.say(str(error))
        return
    by_name = {known.name: known for known in every if known.url}
    width = max(len(name) for name in by_name)
    choices = [(name, f"{name:<{width}}  {_line(known)}") for name, known in by_name.items()]
    dialog = ChoiceList("Start from weights trained on …", choices, IMAGENET)
    console.push_screen(
        dialog, lambda name: None if name is None else _on_chosen(console, by_name[name])
    )


def _line(known: KnownWeights) -> str:
    where = "here" if place_of(known) is not None else f"fetch {known.size}".rstrip()
    return f"{where:<14}  {known.trained_on}"


def _on_chosen(console: Console, known: KnownWeights) -> None:
    place = place_of(known)
    if place is not None:
        _take(console, known, place)
        return

    def on_end(place: Path | None) -> None:
        if place is not None:
            _take(console, known, place)

    console.push_screen(FetchDialog(known), on_end)


def _take(console: Console, known: KnownWeights, place: Path) -> None:
    choice = IMAGENET if known.name == IMAGENET else str(place)
    try:
        draft = changed_recipe(console.workspace.draft, [f"model.weights={choice}"])
    except CxrError as error:
        console.say(str(error))
        return
    console.workspace.draft = draft
    console.say(f"model.weights is {choice}")
    console.news.publish(None)


class FetchDialog(Dialog[Path | None]):
    """Fetches on a thread; dismissed with the file's path, or None when it is left."""

    CSS = """
    FetchDialog > Vertical { padding: 1 2; }
    FetchDialog ProgressBar { width: 1fr; margin: 1 0; }
    FetchDialog Bar { width: 1fr; }
    FetchDialog #note { color: $text-muted; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", id="fetch.back", show=False),
        Binding("enter", "again", "try again", id="fetch.again", show=False),
    ]

    class Progressed(Message):
        """More has come, or something happened."""

        def __init__(self, progress: Progress) -> None:
            super().__init__()
            self.progress = progress

    class Ended(Message):
        """It is in place, or why it is not."""

        def __init__(self, place: Path | None, error: str) -> None:
            super().__init__()
            self.place, self.error = place, error

    def __init__(self, known: KnownWeights) -> None:
        super().__init__()
        self._known = known
        self._stop = threading.Event()
        self._is_fetching = False

    def compose(self) -> ComposeResult:
        """What is fetched and from where, the bar, what happened."""
        with Vertical():
            yield Static(Content(f"Fetching {visible(self._known.title)}"), classes="title")
            yield Static(Content(visible(self._known.url)))
            yield ProgressBar(total=self._known.num_bytes)
            yield Static(id="note")
            yield Static(id="fault")
            yield Static(key_words(("esc", "break off; what has come stays")))

    def on_mount(self) -> None:
        """Begin."""
        self.action_again()

    def on_unmount(self) -> None:
        """Break off, however the dialog is left."""
        self._stop.set()

    def action_again(self) -> None:
        """Begin, or go on after a fault."""
        if not self._is_fetching:
            self._is_fetching = True
            self.query_one("#fault", Static).update("")
            # A daemon: a server that is silent must not hold up the end of the console.
            threading.Thread(target=self._fetch, name="fetch", daemon=True).start()

    def _fetch(self) -> None:
        told_at = 0.0

        def tell(progress: Progress) -> None:
            nonlocal told_at
            now = time.monotonic()
            if progress.note or now - told_at > _SECONDS_BETWEEN:
                told_at = now
                self.post_message(self.Progressed(progress))

        try:
            place = fetch(self._known, own_folder(), tell=tell, stop=self._stop)
        except CxrError as error:
            self.post_message(self.Ended(None, str(error)))
        else:
            self.post_message(self.Ended(place, ""))

    def on_fetch_dialog_progressed(self, message: Progressed) -> None:
        """Move the bar."""
        progress = message.progress
        self.query_one(ProgressBar).update(total=progress.total, progress=progress.done)
        of = f" of {size_in_words(progress.total)}" if progress.total else ""
        said = progress.note or f"{size_in_words(progress.done)}{of}"
        self.query_one("#note", Static).update(Content(visible(said)))

    def on_fetch_dialog_ended(self, message: Ended) -> None:
        """Leave with the file, or show why there is none; Enter tries again."""
        self._is_fetching = False
        if message.place is not None:
            self.dismiss(message.place)
            return
        self.query_one("#note", Static).update("Enter tries again.")
        self.query_one("#fault", Static).update(Content(f"✗ {visible(message.error)}"))
