"""All diagnoses of a session in full; a change to try is one key away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.errors import CxrError
from core.events import Diagnosed
from core.recipe import Recipe
from core.recipe_toml import changed_recipe, differences
from cxr_tui.console.dialogs import Dialog
from cxr_tui.console.key_words import key_words
from cxr_tui.terminal.key_names import key_of
from cxr_tui.terminal.safe_text import visible
from cxr_tui.training.text import unasked
from cxr_tui.widgets.health_panel import in_full, mark_of
from cxr_tui.widgets.lists import ListKeys

if TYPE_CHECKING:
    from cxr_tui.console.console import Console
    from cxr_tui.runs.open_session import OpenSession

_LOOK_SECONDS = 0.5
_WITHOUT = (("↑ ↓", "choose"), ("esc", "back"))
_WITH_CHANGES = (("enter", "into a duplicate"), *_WITHOUT)


class HealthDialog(Dialog[Diagnosed | None], ListKeys):
    """Returns the diagnosis whose changes are to be tried; Escape returns None."""

    CSS = """
    HealthDialog > VerticalScroll { width: 110; padding: 0 1; }
    HealthDialog .line { height: auto; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,q", "leave", "back", id="health.back", show=False),
        Binding("enter", "apply", "apply", id="health.apply", show=False),
        Binding("up,k", "move(-1)", "up", id="health.up", show=False),
        Binding("down,j", "move(1)", "down", id="health.down", show=False),
        Binding("pageup", "move(-10)", "ten lines up", id="health.page-up", show=False),
        Binding("pagedown", "move(10)", "ten lines down", id="health.page-down", show=False),
    ]

    def __init__(self, shown: OpenSession, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._session, self._ascii_only = shown, ascii_only
        self._answers: tuple[Diagnosed, ...] = ()
        self._chosen = 0

    def compose(self) -> ComposeResult:
        """Title and keys are on the frame, so they stay while the diagnoses scroll."""
        with VerticalScroll(can_focus=False) as frame:
            frame.border_title = Content(
                visible(f"Health of {self._session.name}, the most serious first")
            )
            yield Static(id="nothing", classes="line")

    def on_mount(self) -> None:
        """The first diagnosis is chosen; new ones are added while a run continues."""
        self._follow()
        self.set_interval(_LOOK_SECONDS, self._follow)

    def _follow(self) -> None:
        if not self.query("#nothing"):  # closed before it was mounted
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
            share_read = self._session.source.past.share_read
            nothing = unasked(self._session.view, share_read)
            self.query_one("#nothing", Static).update(Content(nothing))
            self._tell_keys(("esc", "back"))

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
        self._tell_keys(*(_WITH_CHANGES if chosen is not None and chosen.changes else _WITHOUT))

    def _tell_keys(self, *keys: tuple[str, str]) -> None:
        self.frame_words = key_words(*keys)
        self.query_one(VerticalScroll).border_subtitle = self.frame_words

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

    def list_lines(self) -> Sequence[str]:
        """The answers in full."""
        return [in_full(answer, ascii_only=self._ascii_only).plain for answer in self._answers]

    def list_at(self) -> int:
        """The chosen one."""
        return self._chosen

    def list_go(self, row: int) -> None:
        """Choose that one."""
        self._chosen = row
        self._show()
        frame = self.query_one(VerticalScroll)
        frame.scroll_to_widget(self._items[row], animate=False, top=True)

    def action_move(self, by: int) -> None:
        """Choose the next or previous diagnosis; one taller than the list scrolls first."""
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
        """Try the chosen diagnosis's changes, if it has any."""
        chosen = self._answer
        if chosen is not None and chosen.changes:
            self.dismiss(chosen)


def show_health(console: Console, shown: OpenSession) -> None:
    """Show a session's diagnoses over the screen; changes to try become the draft."""
    dialog = HealthDialog(shown, ascii_only=console.ascii_only)
    console.push_screen(dialog, lambda answer: _try_changes(console, shown, answer))


def _try_changes(console: Console, shown: OpenSession, answer: Diagnosed | None) -> None:
    """Make the session's recipe with the diagnosis's changes the draft; the session is
    unchanged."""
    if answer is None:
        return
    try:
        recipe, changes = duplicate_with(shown.session.recipe, answer)
    except CxrError as error:
        console.say(str(error))
        return
    if not changes:
        console.say(f"The recipe of {shown.name} already has these values.")
        return
    console.begin(shown.name, recipe, base=shown.session.recipe)
    console.workspace.key_to_look_at = answer.changes[0].partition("=")[0].strip()
    console.action_mode("recipe")
    starts = key_of("run.start")
    console.say(
        f"{changes}, in a duplicate: {shown.name} is unchanged. {starts} starts the duplicate."
    )


def duplicate_with(recipe: Recipe, answer: Diagnosed) -> tuple[Recipe, str]:
    """The recipe with the diagnosis's changes, and the changes in words; '' if there are none.

    Raises:
        RecipeError: this version does not know a change.
    """
    changed = changed_recipe(recipe, answer.changes)
    found = differences(recipe, changed).items()
    return changed, ", ".join(f"{key} {_said(old)} → {_said(new)}" for key, (old, new) in found)


def _said(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
