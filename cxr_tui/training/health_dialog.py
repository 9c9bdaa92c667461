"""All that health checks found of a session, in full; a change to try is one key away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core.errors import CxrError
from core.events import Diagnosed
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, differences
from cxr_tui.terminal.safe_text import visible
from cxr_tui.training.text import unasked
from cxr_tui.widgets.health_panel import in_full, mark_of

if TYPE_CHECKING:
    from cxr_tui.console.console import Console
    from cxr_tui.runs.open_session import OpenSession

_LOOK_SECONDS = 0.5
_WITH_CHANGES = "enter, a into a duplicate   ↑ ↓ choose   esc back"
_WITHOUT = "↑ ↓ choose   esc back"


class HealthDialog(ModalScreen[Diagnosed | None]):
    """Dismissed with the answer whose changes are wanted; Escape answers None."""

    CSS = """
    HealthDialog { align: center middle; }
    HealthDialog > VerticalScroll {
        width: 110; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        border: round $primary; background: $surface; scrollbar-size-vertical: 1;
        border-title-style: bold;
    }
    HealthDialog .line { height: auto; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q", "leave", "back", id="health.back", show=False),
        Binding("enter,a", "apply", "apply", id="health.apply", show=False),
        Binding("up", "move(-1)", "up", id="health.up", show=False),
        Binding("down", "move(1)", "down", id="health.down", show=False),
        Binding("pageup", "move(-10)", "ten lines up", id="health.page-up", show=False),
        Binding("pagedown", "move(10)", "ten lines down", id="health.page-down", show=False),
    ]

    def __init__(self, shown: OpenSession, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._session, self._ascii_only = shown, ascii_only
        self._answers: tuple[Diagnosed, ...] = ()
        self._chosen = 0

    def compose(self) -> ComposeResult:
        """Title and keys on the frame of the answers: they stay while those are scrolled."""
        with VerticalScroll(can_focus=False) as frame:
            frame.border_title = Content(
                visible(f"Health of {self._session.name}, the gravest first")
            )
            yield Static(id="nothing", classes="line")

    def on_mount(self) -> None:
        """The first answer is chosen; what a run finds meanwhile is added."""
        self._follow()
        self.set_interval(_LOOK_SECONDS, self._follow)

    def _follow(self) -> None:
        if not self.query("#nothing"):  # left before it was put up
            return
        answers = tuple(self._session.view.health.values())
        chosen = self._answer
        if answers != self._answers:
            self._answers = answers
            checks = [answer.check for answer in answers]
            self._chosen = checks.index(chosen.check) if chosen and chosen.check in checks else 0
            missing = len(answers) - len(self._items)
            new = [Static(classes="line answer") for _ in range(missing)]
            self.query_one(VerticalScroll).mount(*new)
            self._show()
        if not answers:
            share_read = getattr(self._session.source, "share_read", None)
            nothing = unasked(self._session.view, share_read)
            self.query_one("#nothing", Static).update(Content(nothing))
            self._tell_keys("esc back")

    @property
    def _items(self) -> list[Static]:
        return list(self.query(".answer").results(Static))

    def _show(self) -> None:
        self.query_one("#nothing").display = not self._answers
        for place, item in enumerate(self._items):
            item.display = place < len(self._answers)
            if item.display:
                item.update(self._drawn(self._answers[place], is_chosen=place == self._chosen))
        chosen = self._answer
        self._tell_keys(_WITH_CHANGES if chosen is not None and chosen.changes else _WITHOUT)

    def _tell_keys(self, keys: str) -> None:
        self.query_one(VerticalScroll).border_subtitle = Content(keys)

    def _drawn(self, answer: Diagnosed, *, is_chosen: bool) -> Table:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        cursor = (">" if self._ascii_only else "▸") if is_chosen else " "
        text = in_full(answer, ascii_only=self._ascii_only)
        for change in answer.changes:
            text.append(f"\n  {visible(change)}", style="not bold")
        grid.add_row(Text(cursor), mark_of(answer, ascii_only=self._ascii_only), text)
        return grid

    @property
    def _answer(self) -> Diagnosed | None:
        return self._answers[self._chosen] if self._answers else None

    def action_move(self, by: int) -> None:
        """The next answer, or the one before; one that is taller than the list moves first."""
        if not self._answers:
            return
        view, items = self.query_one(VerticalScroll), self._items
        region = items[self._chosen].virtual_region
        hidden = region.bottom - (view.scroll_offset.y + view.size.height)
        if by < 0:
            hidden = view.scroll_offset.y - region.y
        if hidden > 0:
            lines = min(hidden, abs(by))
            view.scroll_relative(y=lines if by > 0 else -lines, animate=False)
            return
        step = 1 if by > 0 else -1
        self._chosen = min(len(self._answers) - 1, max(0, self._chosen + step))
        self._show()
        view.scroll_to_widget(items[self._chosen], animate=False, top=by > 0)

    def action_apply(self) -> None:
        """Take the chosen answer's changes, where it has any."""
        chosen = self._answer
        if chosen is not None and chosen.changes:
            self.dismiss(chosen)

    def action_leave(self) -> None:
        """Back to the screen."""
        self.dismiss(None)


def show_health(console: Console, shown: OpenSession) -> None:
    """The answers of a session over the screen; what is to be tried becomes the draft."""
    dialog = HealthDialog(shown, ascii_only=console.ascii_only)
    console.push_screen(dialog, lambda answer: _try_changes(console, shown, answer))


def _try_changes(console: Console, shown: OpenSession, answer: Diagnosed | None) -> None:
    """The session's recipe with the answer's changes is the draft; the session stays."""
    if answer is None:
        return
    try:
        recipe, changes = duplicate_with(shown.session.recipe, answer)
    except CxrError as error:
        console.say(str(error))
        return
    if not changes:
        console.say(f"The recipe of {shown.name} says so already.")
        return
    console.workspace.draft, console.workspace.preset = recipe, shown.name
    console.workspace.key_to_look_at = answer.changes[0].partition("=")[0].strip()
    console.action_mode("recipe")
    console.say(f"{changes}, in a duplicate: {shown.name} stays as it is. S starts it.")


def duplicate_with(recipe: Recipe, answer: Diagnosed) -> tuple[Recipe, str]:
    """The recipe with the answer's changes, and in words what they change; '' where nothing.

    Raises:
        RecipeError: a change that this version does not know.
    """
    changed = changed_recipe(recipe, answer.changes)
    found = differences(recipe, changed).items()
    return changed, ", ".join(f"{key} {_said(old)} → {_said(new)}" for key, (old, new) in found)


def _said(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
