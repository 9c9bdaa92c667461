"""The picture of CAMs: the image at the cursor with its map, zoomed, panned, stronger or weaker."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Static

from cxr_tui.cams.map_worker import CamMakingScreen
from cxr_tui.cams.rows import CamRow, map_words
from cxr_tui.cams.table import CamTable
from cxr_tui.cams.xray_picture import VIEWS, Look, Shown, picture, stricter, stronger, zoomed_to
from cxr_tui.cams.xray_view import XrayView
from cxr_tui.console.dialogs import Question
from cxr_tui.terminal.graphics import KITTY, SIXEL, graphics

if TYPE_CHECKING:
    from core.evaluation.maps.found_maps import FoundMap
    from core.evaluation.maps.overlay import Grey

BESIDE = "side by side"
_VIEWS = (*VIEWS, BESIDE)
_BESIDE_FROM = 70
"""Columns of the picture from which two stand beside each other."""

_WHOLE = (0.0, 0.0, 1.0, 1.0)


class CamPictureScreen(CamMakingScreen):
    """Shows one row's image; which row that is, a subclass says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "zoom", "zoom", id="cams.zoom"),
        Binding("m", "view", "map", id="cams.view"),
        Binding("b", "boxes", "box", id="cams.boxes"),
        Binding(
            "plus,equals_sign", "strength(0.1)", "strength", id="cams.stronger", key_display="+ -"
        ),
        Binding("minus", "strength(-0.1)", "weaker", id="cams.weaker", show=False),
        Binding(
            "less_than_sign", "threshold(-0.1)", "lower threshold", id="cams.lower", show=False
        ),
        Binding(
            "greater_than_sign", "threshold(0.1)", "threshold", id="cams.higher", key_display="< >"
        ),
        Binding("k", "graphics", "Kitty, Sixel", id="cams.graphics", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._look, self._view = Look(), _VIEWS[0]
        self._zoomed_on = ""
        self._last_shown: tuple[object, object, Shown] | None = None

    def chosen_row(self) -> CamRow | None:
        """The row at the cursor."""
        return None

    def no_row_words(self) -> str:
        """What stands in place of a picture where there is no row."""
        return ""

    def _show_picture(self) -> None:
        kept, row = self.kept, self.chosen_row()
        view, words = self.query_one(XrayView), self.query_one("#words", Static)
        if kept is None or row is None:
            view.show(None, (self._look,), self.no_row_words())
            words.update("")
            return
        image = row.candidate.image
        if self._zoomed_on != image:
            self._zoomed_on, self._look = image, replace(self._look, region=_WHOLE)
            self.query_one(CamTable).pans = False
        words.update(map_words(row, self._looked(row), self.failed))
        shown = self._shown_of(row)
        view.show(shown, self._looks(), "" if shown else self._waiting(row))

    def _waiting(self, row: CamRow) -> str:
        kept = self.kept
        if kept is None or row.unreadable:
            return "can't be read"
        image = row.candidate.image
        if image not in self.being_read:
            self.being_read = {image}  # a read under way gives way to this one
            self.read(kept, image)
        return "reading the image …"

    def _shown_of(self, row: CamRow) -> Shown | None:
        kept = self.kept
        grey = None if kept is None else kept.images.get(row.candidate.image)
        if grey is None:
            return None
        last = self._last_shown
        if last is None or last[0] is not grey or last[1] is not row.found:
            last = self._last_shown = grey, row.found, self._made(grey, row.found)
        return last[2]

    def _made(self, grey: Grey, found: FoundMap | None) -> Shown:
        if found is None or grey.shape != (found.height_px, found.width_px):
            return Shown(grey)  # no map yet, or one of another image that had this name
        from core.evaluation.maps.cam_files import strength_on_image  # the network is loaded by now

        peak = None if found.peak is None else found.on_image(*found.peak)
        boxes = [tuple(box) for box in found.boxes_on_image().tolist()]
        strength = strength_on_image(found) if found.has_evidence else None
        return Shown(grey, strength, boxes, peak)

    def _looks(self) -> tuple[Look, ...]:
        if self._view != BESIDE:
            view = next(name for name in VIEWS if name == self._view)
            return (replace(self._look, view=view),)
        both = (replace(self._look, view="image"), replace(self._look, view="map"))
        return both if self.query_one(XrayView).size.width >= _BESIDE_FROM else both[1:]

    def _looked(self, row: CamRow) -> str:
        kept = self.kept
        key = row.candidate.image, row.candidate.finding
        drop = None if kept is None else kept.drops.get(key)
        parts = []
        if drop is not None:
            other = "no room for a box elsewhere"
            if drop.elsewhere is not None:
                other = f"an equal box elsewhere {-drop.elsewhere:+.2f}"
            parts.append(f"box covered: logit {-drop.box:+.2f}, {other}")
        if self._look.threshold:
            parts.append(f"from {100 * self._look.threshold:.0f} % of the peak")
        return " · ".join(parts)

    def on_cam_table_panned(self, message: CamTable.Panned) -> None:
        """Over the image."""
        self._take_look(self._look.moved(message.across, message.down))

    def _take_look(self, look: Look) -> None:
        self._look = look
        self.query_one(CamTable).pans = look.is_zoomed
        self._show_picture()

    def action_zoom(self) -> None:
        """To the box, or the peak where there is none; out again."""
        row = self.chosen_row()
        shown = None if row is None else self._shown_of(row)
        if self._look.is_zoomed or shown is None:
            self._take_look(replace(self._look, region=_WHOLE))
            return
        height, width = shown.grey_HW.shape
        if shown.boxes:
            target = shown.boxes[0]
        else:
            x, y = shown.peak or (width / 2, height / 2)
            target = (x - width / 12, y - height / 12, width / 6, height / 6)
        self._take_look(zoomed_to(self._look, shown, target))

    def action_view(self) -> None:
        """Image with map, image alone, map alone, both beside each other."""
        has_room = self.query_one(XrayView).size.width >= _BESIDE_FROM
        views = _VIEWS if has_room else _VIEWS[:-1]
        at = views.index(self._view) if self._view in views else 0
        self._view = views[(at + 1) % len(views)]
        self._show_picture()

    def action_boxes(self) -> None:
        """With boxes, or without."""
        self._take_look(replace(self._look, with_boxes=not self._look.with_boxes))

    def action_strength(self, by: float) -> None:
        """More of the map's colour, or less."""
        self._take_look(stronger(self._look, by))

    def action_threshold(self, by: float) -> None:
        """Only what is above a share of the map's peak."""
        self._take_look(stricter(self._look, by))

    def action_graphics(self) -> None:
        """The picture in full, in a protocol that this terminal may or may not know."""
        answers = [("k", "Kitty graphics"), ("x", "Sixel")]
        text = "Only where your terminal knows one of them; Enter comes back."
        self.app.push_screen(Question("The image in full", text, answers), self._on_graphics)

    def _on_graphics(self, answer: str | None) -> None:
        row = self.chosen_row()
        shown = None if row is None else self._shown_of(row)
        protocol = {"k": KITTY, "x": SIXEL}.get(answer or "")
        if shown is None or protocol is None:
            return
        height, width = shown.grey_HW.shape
        drawn = picture(shown, self._looks()[-1], width, height)
        self.console.show_outside(graphics(drawn, protocol, os.environ))
