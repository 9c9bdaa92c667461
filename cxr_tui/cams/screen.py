"""6 CAMs: where the network looks, and whether the lesion is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Static

from core.words import number_of
from cxr_tui.cams.picture_screen import CamPictureScreen
from cxr_tui.cams.rows import FILTERS, ORDERS, CamRow, rows_of, standing_lines
from cxr_tui.cams.session_maps import METHOD_TITLES
from cxr_tui.cams.table import CamTable
from cxr_tui.cams.text import head, network_words, untrained_words
from cxr_tui.cams.xray_view import XrayView
from cxr_tui.console.dialogs import ChoiceList, Notes
from cxr_tui.terminal.safe_text import visible

if TYPE_CHECKING:
    from core.evaluation.maps.candidates import Candidate
    from cxr_tui.cams.session_maps import SessionMaps

_NOTHING_SHOWN = """No session is shown.

1             choose one
1, n          train on the synthetic set"""


class CamsScreen(CamPictureScreen):
    """A list of images, the one at the cursor with its map, and how the map does in all."""

    MODE = "cams"
    CSS_PATH = "screen.tcss"
    AUTO_FOCUS = "CamTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "finding", "finding", id="cams.finding"),
        Binding("s", "save", "save", id="cams.save"),
        Binding("h,slash", "filter", "hits", id="cams.filter", key_display="h"),
        Binding("g", "method", "method", id="cams.method"),
        Binding("c", "cover", "cover the lesion", id="cams.cover"),
        Binding("l", "localize", "measure all boxes", id="cams.localize"),
        Binding("a", "save_all", "save all", id="cams.save_all"),
        Binding("o", "order", "order", id="cams.order"),
        Binding("comma", "next_finding(-1)", "previous finding", id="cams.previous", show=False),
        Binding("full_stop", "next_finding(1)", "next finding", id="cams.next", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._finding, self._method = "", next(iter(METHOD_TITLES))
        self._filter, self._order = FILTERS[0], ORDERS[0]
        self._rows: list[CamRow] = []
        self._asked: set[object] = set()
        self._begun: SessionMaps | None = None
        self._back_to = ""

    def compose_parts(self) -> ComposeResult:
        """Head; the list with how it stands, beside it the picture with its words."""
        yield Static(id="head", classes="head")
        yield Static(id="nothing")
        with Horizontal(id="shown"):
            with Vertical(id="list"):
                yield CamTable()
                yield Static(id="standing")
            with Vertical(id="right"):
                yield XrayView(ascii_only=self.console.ascii_only)
                yield Static(id="words")

    def refresh_view(self) -> None:
        """Show what is new of the session shown, and ask for what is missing."""
        if not self.query("#words"):
            return
        shown = self.workspace.shown
        if shown is not None:
            best = shown.view.best
            is_open = shown.view.state in ("running", "paused")
            # While a run goes on its maps stay of the network that they were opened with; where
            # there was none yet, of its first.
            seen: tuple[object, ...] = (shown.view.report is not None,)
            if is_open:
                seen = ("running", shown.view.kept is not None)
            self.open_session(
                shown.session, (*seen, None if is_open or best is None else best.epoch)
            )
        kept = self.kept
        self.query_one("#nothing").display = kept is None
        self.query_one("#shown").display = kept is not None
        if kept is None:
            self.query_one("#head", Static).update(self._head())
            self.query_one("#nothing", Static).update(Text(self._instead()))
            return
        self._begin_with(kept)
        wanted = self._take_wanted(kept)
        self._rows = rows_of(kept, self._finding, self._method, self._filter, self._order)
        table = self.query_one(CamTable)
        table.show(self._rows)
        if wanted is not None:
            table.go_to(wanted)
        table.pans = self._look.is_zoomed
        standing = kept.standing.get((self._method, self._finding))
        self.query_one("#standing", Static).update(standing_lines(standing))
        self.query_one("#head", Static).update(self._head())
        self._ask_for_maps(wanted)
        self._show_picture()
        if self.summary and self.is_current:
            lines, self.summary = self.summary, []
            where = kept.session.path / "evaluation" / "localization.json"
            self.app.push_screen(Notes("Maps against boxes", [*lines, f"written: {where}"]))

    def on_screen_resume(self) -> None:
        """What could not be opened before may be there now."""
        self.failed = ""
        if (wanted := self.workspace.image_to_look_at) is not None:
            self._back_to = wanted.back_to
        if self.problem or (
            self.workspace.running is not None and self.workspace.running is self.workspace.shown
        ):
            self.try_again()  # by now there may be a checkpoint, or a better one
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        """Who leaves for another mode is not brought back by Escape later."""
        if self.console.current_mode != self.MODE:
            self._back_to = ""

    def on_resize(self) -> None:
        """Two pictures may fit, or one only."""
        self.refresh_view()

    def on_data_table_row_highlighted(self) -> None:
        """Another image."""
        self._show_picture()

    def _instead(self) -> str:
        shown = self.workspace.shown
        if shown is None:
            return _NOTHING_SHOWN
        if self.is_untrained:
            return untrained_words(
                shown.view,
                shown.name,
                is_reading=bool(getattr(shown.source, "is_reading", False)),
                is_written=shown.is_ours or shown.session.is_being_written(),
            )
        return visible(self.problem) or f"{self.under_way or 'loading the network'} …"

    def _begin_with(self, kept: SessionMaps) -> None:
        """With a finding that has images; once begun, with the one that was chosen."""
        if kept is self._begun and self._finding in kept.findings:
            return
        self._begun = kept
        if not kept.candidates.get(self._finding):
            with_images = [name for name in kept.findings if kept.candidates[name]]
            self._finding = (with_images or list(kept.findings))[0]

    def _take_wanted(self, kept: SessionMaps) -> str | None:
        """The image that another screen wants to be seen, once; None where there is none."""
        wanted, self.workspace.image_to_look_at = self.workspace.image_to_look_at, None
        if wanted is None or wanted.session != kept.session.path:
            return None
        if wanted.finding not in kept.findings or not kept.with_image(wanted.image, wanted.finding):
            self.console.say(f"{wanted.image} is not in the data set any more")
            return None
        self._finding, self._filter = wanted.finding, FILTERS[0]
        return wanted.image

    def _head(self) -> Text:
        kept, shown = self.kept, self.workspace.shown
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
            "under way": self.under_way,
        }
        return head(shown.name, parts, self.size.width)

    def chosen_row(self) -> CamRow | None:
        """The row at the cursor."""
        at = self.query_one(CamTable).cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def no_row_words(self) -> str:
        """What there is instead."""
        if self._filter != FILTERS[0]:
            return f"No image is «{self._filter}». h shows others."
        kept = self.kept
        if kept is None or not any(kept.candidates.values()):
            return "No image to show, of any finding: none with a box, none that was called."
        return (
            f"No image of {visible(self._finding)} to show: none with a box, none that was "
            "called. f or . chooses another finding."
        )

    def _ask_for_maps(self, wanted: str | None) -> None:
        """All of the finding's in the list's order, once for each method; ``wanted`` first."""
        kept = self.kept
        if kept is None:
            return
        if wanted is None and (id(kept), self._finding, self._method) in self._asked:
            return
        missing: list[Candidate] = [
            candidate
            for candidate in kept.candidates[self._finding]
            if kept.found(self._method, candidate) is None
            and candidate.image not in kept.unreadable
        ]
        missing.sort(key=lambda candidate: candidate.image != wanted)
        candidates = missing or kept.candidates[self._finding][:1]
        # Another finding or method takes the place of the one under way, which is asked for again.
        self._asked = {(id(kept), self._finding, self._method)}
        if candidates and (missing or (self._method, self._finding) not in kept.standing):
            self.failed = ""
            self.make(kept, candidates, self._method)

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
        if self.kept is not None and self._finding:
            names = self.kept.findings
            self._take_finding(names[(names.index(self._finding) + by) % len(names)])

    def action_finding(self) -> None:
        """Ask which."""
        kept = self.kept
        if kept is None:
            return
        choices = [(name, f"{name}: {len(kept.candidates[name])} images") for name in kept.findings]
        self.app.push_screen(ChoiceList("Finding", choices, self._finding), self._take_finding)

    def _take_finding(self, finding: str | None) -> None:
        if finding is not None:
            self._finding = finding
            self.refresh_view()

    def on_data_table_row_selected(self, _message: DataTable.RowSelected) -> None:
        """Enter: the picture alone, or the list beside it again."""
        self.toggle_class("large")
        self.call_after_refresh(self._show_picture)

    def step_out(self) -> bool:
        """Out of the zoom, out of the large picture, back to the screen that sent us here."""
        if self._look.is_zoomed:
            self.action_zoom()
            return True
        if self.has_class("large"):
            self.remove_class("large")
            return True
        if not self._back_to:
            return False
        self.console.action_mode(self._back_to)
        return True

    def action_save(self) -> None:
        """The overlay at the cursor."""
        row, kept = self.chosen_row(), self.kept
        if kept is not None and row is not None and row.found is not None:
            self.save(kept, [row.found], self._look.opacity, self._look.threshold)

    def action_save_all(self) -> None:
        """Every overlay of the filtered list."""
        found = [row.found for row in self._rows if row.found is not None]
        if self.kept is not None and found:
            self.console.say(f"saving {len(found)} overlays")
            self.save(self.kept, found, self._look.opacity, self._look.threshold)

    def action_cover(self) -> None:
        """What the logit loses without what is in the box."""
        row, kept = self.chosen_row(), self.kept
        if kept is None or row is None or row.found is None or not len(row.found.boxes_K4):
            self.console.say("there is no box to cover on this image")
            return
        self.cover(kept, row.found)

    def action_localize(self) -> None:
        """All boxed images of the test part."""
        if self.kept is not None:
            self.under_way = "measuring"
            self.localize(self.kept, self._method)
            self.refresh_view()
