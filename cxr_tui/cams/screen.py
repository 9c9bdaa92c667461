"""6 CAMs: where the network looks, and whether the lesion is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Static

from core.words import number_of
from cxr_tui.cams.image_path import ImagePath
from cxr_tui.cams.map_maker import MapMaker
from cxr_tui.cams.map_picture import PICTURE_KEYS, MapPicture
from cxr_tui.cams.rows import FILTERS, ORDERS, CamRow, rows_of, standing_lines
from cxr_tui.cams.session_maps import METHOD_TITLES
from cxr_tui.cams.table import CamTable
from cxr_tui.cams.text import head, network_words, no_row_words, nothing_shown, untrained_words
from cxr_tui.console.dialogs import ChoiceList, Notes
from cxr_tui.console.screen import ConsoleScreen
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.evaluation.maps.found_maps import FoundMap
    from cxr_tui.cams.session_maps import SessionMaps


class CamsScreen(ConsoleScreen):
    """A list of images, the one at the cursor with its map, and the maps' overall result."""

    MODE = "cams"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "CamTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        *PICTURE_KEYS,
        Binding("f", "finding", "finding", id="cams.finding"),
        Binding("s", "save", "save", id="cams.save"),
        Binding("F", "filter", "hits", id="cams.filter"),
        Binding("K", "method", "method", id="cams.method"),
        Binding("L", "cover", "cover the lesion", id="cams.cover"),
        Binding("m", "localize", "measure all boxes", id="cams.localize"),
        Binding("A", "save_all", "save all", id="cams.save_all"),
        Binding("O", "order", "order", id="cams.order"),
        Binding("o", "open", "open an image", id="cams.open"),
        Binding("comma", "next_finding(-1)", "previous finding", id="cams.previous", show=False),
        Binding("full_stop", "next_finding(1)", "next finding", id="cams.next", show=False),
    ]

    NEEDS_SOMETHING = frozenset(
        {"picture", "finding", "save", "filter", "method", "cover", "localize", "save_all", "order"}
        | {"next_finding", "open"}
    )

    def __init__(self) -> None:
        super().__init__()
        self._maker, self._picture = MapMaker(), MapPicture(id="right")
        self._finding, self._method = "", next(iter(METHOD_TITLES))
        self._filter, self._order = FILTERS[0], ORDERS[0]
        self._rows: list[CamRow] = []
        self._begun: SessionMaps | None = None
        self._back_to = ""

    def compose_parts(self) -> ComposeResult:
        """Head; the list with its results, next to it the picture with its caption."""
        yield self._maker
        yield Static(id="head", classes="head")
        yield Static(id="nothing")
        with Horizontal(id="shown"):
            with Vertical(id="list"):
                yield CamTable(self._picture)
                yield Static(id="standing")
            yield self._picture

    @on(MapMaker.Did)
    @on(MapPicture.ImageRead)
    def refresh_view(self) -> None:
        """Show news of the session shown, and request what is missing."""
        if not self.query("#words"):
            return
        shown = self.workspace.shown
        if shown is not None:
            self._maker.follow(shown)
        kept = self._maker.kept
        self.query_one("#nothing").display = kept is None
        self.query_one("#shown").display = kept is not None
        self.follow_keys()
        if kept is None:
            if isinstance(self.focused, CamTable):
                self.set_focus(None)  # a hidden list must not show its keys
            self.query_one("#head", Static).update(self._head())
            self.query_one("#nothing", Static).update(Text(self._instead()))
            self._show_picture()
            return
        if self.focused is None and self.is_current:
            self.query_one(CamTable).focus()
        self._begin_with(kept)
        wanted = self._take_wanted(kept) or self._take_opened()
        self._rows = rows_of(kept, self._finding, self._method, self._filter, self._order)
        table = self.query_one(CamTable)
        table.show(self._rows)
        if wanted is not None:
            table.go_to(wanted)
        standing = kept.standing.get((self._method, self._finding))
        self.query_one("#standing", Static).update(standing_lines(standing))
        self.query_one("#head", Static).update(self._head())
        self._maker.ask(self._finding, self._method, wanted)
        self._show_picture()
        if self._maker.summary and self.is_current:
            lines, self._maker.summary = self._maker.summary, []
            where = kept.session.path / "evaluation" / "localization.json"
            self.app.push_screen(Notes("Maps against boxes", [*lines, f"written: {where}"]))

    def at_hand(self) -> str:
        """The image's name."""
        row = self.chosen_row()
        return "" if row is None else row.candidate.image

    def has_something(self) -> bool:
        """Whether there are images to look at."""
        return self._maker.kept is not None

    def on_screen_resume(self) -> None:
        """What could not be opened before may exist now."""
        self._maker.failed = ""
        if (wanted := self.workspace.image_to_look_at) is not None:
            self._back_to = wanted.back_to
        if self._maker.problem or (
            self.workspace.running is not None and self.workspace.running is self.workspace.shown
        ):
            self._maker.try_again()  # there may be a checkpoint now, or a better one
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        """After leaving for another mode, Escape no longer returns."""
        if self.console.current_mode != self.MODE:
            self._back_to = ""

    def on_resize(self) -> None:
        """One or two pictures may fit."""
        self.refresh_view()

    def on_data_table_row_highlighted(self) -> None:
        """Another image."""
        self._show_picture()

    def _show_picture(self) -> None:
        kept, row = self._maker.kept, self.chosen_row()
        only = "" if self._filter == FILTERS[0] else self._filter
        has_others = kept is not None and any(kept.candidates.values())
        instead = no_row_words(only, self._finding, has_others=has_others)
        self._picture.show(kept, row, instead, self._maker.failed)

    async def action_picture(self, action: str) -> None:
        """An action of the picture."""
        await self._picture.run_action(action)

    def _instead(self) -> str:
        shown = self.workspace.shown
        if shown is None:
            return nothing_shown()
        if self._maker.is_untrained:
            return untrained_words(
                shown.view,
                shown.name,
                is_reading=shown.source.past.is_reading,
                is_written=shown.is_ours or shown.session.is_being_written(),
            )
        return visible(self._maker.problem) or f"{self._maker.under_way or 'loading the network'} …"

    def _begin_with(self, kept: SessionMaps) -> None:
        """Start with a finding that has images; later use the chosen one."""
        if kept is self._begun and self._finding in kept.findings:
            return
        self._begun = kept
        if not kept.candidates.get(self._finding):
            with_images = [name for name in kept.findings if kept.candidates[name]]
            self._finding = (with_images or list(kept.findings))[0]

    def _take_wanted(self, kept: SessionMaps) -> str | None:
        """The image requested by another screen, once; None if there is none."""
        wanted, self.workspace.image_to_look_at = self.workspace.image_to_look_at, None
        if wanted is None or wanted.session != kept.session.path:
            return None
        if wanted.part and wanted.finding in kept.findings:  # of another data set, by its file
            self._finding, self._filter = wanted.finding, FILTERS[0]
            self._maker.open_external(kept, wanted.part, wanted.image)
            return None
        if wanted.finding not in kept.findings or not kept.with_image(wanted.image, wanted.finding):
            self.console.say(f"{wanted.image} is no longer in the data set")
            return None
        self._finding, self._filter = wanted.finding, FILTERS[0]
        return wanted.image

    def _take_opened(self) -> str | None:
        """The image that was opened by its path, once."""
        opened, self._maker.opened_image = self._maker.opened_image, None
        if opened is not None:
            self._filter = FILTERS[0]
        return opened

    def action_open(self) -> None:
        """Ask for any image's path, and score it."""
        if self._maker.kept is not None:
            self.app.push_screen(ImagePath(), self._open)

    def _open(self, path: Path | None) -> None:
        kept = self._maker.kept
        if kept is not None and path is not None:
            self._maker.open_image(kept, path)
            self.refresh_view()

    def _head(self) -> Text:
        kept, shown = self._maker.kept, self.workspace.shown
        if shown is None:
            return Text()
        if kept is None:
            return head(shown.name, {}, self.size.width)
        boxed = sum(row.candidate.has_boxes for row in self._rows)
        parts = {
            "finding": self._finding,
            "filter": "" if self._filter == FILTERS[0] else f"only {self._filter}",
            "images": number_of(len(self._rows), "image"),
            "boxed": f"{boxed} with a box",
            "method": METHOD_TITLES[self._method],
            "network": network_words(kept.source.checkpoint, kept.source.epoch),
            "under way": self._maker.under_way,
        }
        return head(shown.name, parts, self.size.width)

    def chosen_row(self) -> CamRow | None:
        """The row at the cursor."""
        at = self.query_one(CamTable).cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def action_method(self) -> None:
        """The next kind of map."""
        methods = list(METHOD_TITLES)
        self._method = methods[(methods.index(self._method) + 1) % len(methods)]
        self.refresh_view()

    def action_filter(self) -> None:
        """Hits, misses, outcomes; all."""
        self._filter = FILTERS[(FILTERS.index(self._filter) + 1) % len(FILTERS)]
        self.refresh_view()

    def action_order(self) -> None:
        """The next order."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.console.say(f"ordered by {self._order}")
        self.refresh_view()

    def action_next_finding(self, by: int) -> None:
        """The next finding, or the one before."""
        if self._maker.kept is not None and self._finding:
            names = self._maker.kept.findings
            self._take_finding(names[(names.index(self._finding) + by) % len(names)])

    def action_finding(self) -> None:
        """Ask for the finding."""
        kept = self._maker.kept
        if kept is None:
            return
        choices = [(name, f"{name}: {len(kept.candidates[name])} images") for name in kept.findings]
        self.app.push_screen(ChoiceList("Finding", choices, self._finding), self._take_finding)

    def _take_finding(self, finding: str | None) -> None:
        if finding is not None:
            self._finding = finding
            self.refresh_view()

    def on_data_table_row_selected(self, _message: DataTable.RowSelected) -> None:
        """Enter: show the picture alone, or the list next to it again."""
        self.toggle_class("large")
        self.call_after_refresh(self._show_picture)

    def step_out(self) -> bool:
        """Leave the zoom, then the large picture, then return to the calling screen."""
        if self._picture.look.is_zoomed:
            self._picture.action_zoom()
            return True
        if self.has_class("large"):
            self.remove_class("large")
            return True
        if not self._back_to:
            return False
        self.console.action_mode(self._back_to)
        return True

    def action_save(self) -> None:
        """Save the overlay at the cursor."""
        row, kept = self.chosen_row(), self._maker.kept
        if kept is not None and row is not None and row.found is not None:
            self._save(kept, [row.found])

    def action_save_all(self) -> None:
        """Save every overlay of the filtered list."""
        found = [row.found for row in self._rows if row.found is not None]
        if self._maker.kept is not None and found:
            self.console.say(f"saving {len(found)} overlays")
            self._save(self._maker.kept, found)

    def _save(self, kept: SessionMaps, found: Sequence[FoundMap]) -> None:
        look = self._picture.look
        self._maker.save(kept, found, look.opacity, look.threshold)

    def action_cover(self) -> None:
        """Drop of the logit without the content of the box."""
        row, kept = self.chosen_row(), self._maker.kept
        if kept is None or row is None or row.found is None or not len(row.found.boxes_K4):
            self.console.say("this image has no box to cover")
            return
        self._maker.cover(kept, row.found)

    def action_localize(self) -> None:
        """Measure all boxed images of the test part."""
        if self._maker.kept is not None:
            self._maker.localize(self._maker.kept, self._method)
            self.refresh_view()
