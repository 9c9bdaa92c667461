"""The image at the cursor with its map, zoom, pan and strength, and its caption."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from core.errors import CxrError
from core.words import signed
from cxr_tui.cams.rows import CamRow, map_words
from cxr_tui.cams.session_maps import SessionMaps, full_image
from cxr_tui.cams.text import means_words
from cxr_tui.console.console import Console
from cxr_tui.console.dialogs import Question
from cxr_tui.terminal.graphics import KITTY, SIXEL, graphics
from cxr_tui.terminal.safe_text import visible
from cxr_tui.widgets.xray_picture import VIEWS, Look, Shown, picture, stricter, stronger, zoomed_to
from cxr_tui.widgets.xray_view import XrayView

if TYPE_CHECKING:
    from core.evaluation.maps.found_maps import FoundMap
    from core.evaluation.maps.overlay import Grey

BESIDE = "side by side"
_VIEWS = (*VIEWS, BESIDE)
_BESIDE_FROM = 70
"""Columns of the picture from which two are shown side by side."""

_WHOLE = (0.0, 0.0, 1.0, 1.0)


PICTURE_KEYS: list[BindingType] = [
    Binding("z", "picture('zoom')", "zoom", id="cams.zoom"),
    Binding("v", "picture('view')", "view", id="cams.view"),
    Binding("x", "picture('boxes')", "box", id="cams.boxes"),
    Binding(
        "plus,equals_sign",
        "picture('strength(0.1)')",
        "strength",
        id="cams.stronger",
        key_display="+ -",
    ),
    Binding("minus", "picture('strength(-0.1)')", "weaker", id="cams.weaker", show=False),
    Binding(
        "less_than_sign",
        "picture('threshold(-0.1)')",
        "lower threshold",
        id="cams.lower",
        show=False,
    ),
    Binding(
        "greater_than_sign",
        "picture('threshold(0.1)')",
        "threshold",
        id="cams.higher",
        key_display="< >",
    ),
    Binding("I", "picture('graphics')", "Kitty, Sixel", id="cams.graphics", show=False),
]
"""For the screen: the list has the focus."""


class MapPicture(Vertical):
    """Shows one row's image; reads it on a thread first."""

    console = getters.app(Console)

    class ImageRead(Message):
        """The image's pixels, or why it can't be read; ``kept`` now has them."""

        def __init__(self, kept: SessionMaps, image: str, grey: Grey | str) -> None:
            super().__init__()
            self.kept, self.image, self.grey = kept, image, grey

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.look = Look()
        self._view = _VIEWS[0]
        self._kept: SessionMaps | None = None
        self._row: CamRow | None = None
        self._instead = self._failed = ""
        self._being_read = ""
        self._zoomed_on = ""
        self._last_shown: tuple[object, object, Shown] | None = None
        self._has_told_means = False

    def compose(self) -> ComposeResult:
        """The picture with its caption."""
        yield XrayView(ascii_only=self.console.ascii_only)
        yield Static(id="words")

    def show(self, kept: SessionMaps | None, row: CamRow | None, instead: str, failed: str) -> None:
        """Show the row; ``instead`` if there is none, ``failed`` if it can't have a map."""
        self._kept, self._row, self._instead, self._failed = kept, row, instead, failed
        self._draw()

    def _draw(self) -> None:
        row = self._row
        view, words = self.query_one(XrayView), self.query_one("#words", Static)
        if self._kept is None or row is None:
            view.show(None, (self.look,), self._instead)
            words.update("")
            return
        image = row.candidate.image
        if self._zoomed_on != image:
            self._zoomed_on, self.look = image, replace(self.look, region=_WHOLE)
        words.update(map_words(row, self._looked(row), self._failed))
        shown = self._shown_of(row)
        view.show(shown, self._looks(), "" if shown else self._waiting(row))
        if shown is not None and shown.strength_HW is not None and not self._has_told_means:
            self._has_told_means = True
            is_plain = self.console.ascii_only or self.app.no_color
            colours = None if is_plain else self.app.console.color_system
            if told := means_words(view.means, colours):
                self.console.say(told)

    def _waiting(self, row: CamRow) -> str:
        if self._kept is None or row.unreadable:
            return "can't be read"
        image = row.candidate.image
        if image != self._being_read:
            self._being_read = image
            self._read(self._kept, image)
        return "reading the image …"

    # The next read replaces a current one.
    @work(thread=True, exclusive=True, group="images", description="read an image")
    def _read(self, kept: SessionMaps, image: str) -> None:
        try:
            grey = full_image(kept, image)
        except (CxrError, OSError) as error:
            self.post_message(self.ImageRead(kept, image, str(error)))
            return
        self.post_message(self.ImageRead(kept, image, grey))

    def on_map_picture_image_read(self, message: ImageRead) -> None:
        """Store it."""
        if message.image == self._being_read:
            self._being_read = ""
        if isinstance(message.grey, str):
            message.kept.unreadable[message.image] = message.grey
        else:
            message.kept.take_image(message.image, message.grey)

    def _shown_of(self, row: CamRow) -> Shown | None:
        kept = self._kept
        grey = None if kept is None else kept.images.get(row.candidate.image)
        if grey is None:
            return None
        last = self._last_shown
        if last is None or last[0] is not grey or last[1] is not row.found:
            last = self._last_shown = grey, row.found, self._made(grey, row.found)
        return last[2]

    def _made(self, grey: Grey, found: FoundMap | None) -> Shown:
        if found is None or grey.shape != (found.height_px, found.width_px):
            return Shown(grey)  # no map yet, or one of an earlier image with this name
        from core.evaluation.maps.cam_pictures import (
            strength_on_image,
        )  # the network is loaded by now

        peak = None if found.peak is None else found.on_image(*found.peak)
        boxes = [tuple(box) for box in found.boxes_on_image().tolist()]
        strength = strength_on_image(found) if found.has_evidence else None
        return Shown(grey, strength, boxes, peak)

    def _looks(self) -> tuple[Look, ...]:
        if self._view != BESIDE:
            view = next(name for name in VIEWS if name == self._view)
            return (replace(self.look, view=view),)
        both = (replace(self.look, view="image"), replace(self.look, view="map"))
        return both if self.query_one(XrayView).size.width >= _BESIDE_FROM else both[1:]

    def _looked(self, row: CamRow) -> str:
        kept = self._kept
        key = row.candidate.image, row.candidate.finding
        drop = None if kept is None else kept.drops.get(key)
        parts: list[str] = []
        seen = None if kept is None else kept.given.get(row.candidate.image)
        if seen is not None:
            parts += map(visible, seen.words(row.candidate.finding))
        if drop is not None:
            other = "no space for a box elsewhere"
            if drop.elsewhere is not None:
                other = f"an equal box elsewhere {signed(-drop.elsewhere, 2)}"
            parts.append(f"box covered: logit {signed(-drop.box, 2)}, {other}")
        if self.look.threshold:
            parts.append(f"from {100 * self.look.threshold:.0f} % of the peak")
        return " · ".join(parts)

    def pan(self, across: int, down: int) -> None:
        """Pan over the image."""
        self._take_look(self.look.moved(across, down))

    def _take_look(self, look: Look) -> None:
        self.look = look
        self._draw()

    def action_zoom(self) -> None:
        """Zoom to the box, or the peak if there is none; or out again."""
        row = self._row
        shown = None if row is None else self._shown_of(row)
        if self.look.is_zoomed or shown is None:
            self._take_look(replace(self.look, region=_WHOLE))
            return
        height, width = shown.grey_HW.shape
        if shown.boxes:
            target = shown.boxes[0]
        else:
            x, y = shown.peak or (width / 2, height / 2)
            target = (x - width / 12, y - height / 12, width / 6, height / 6)
        self._take_look(zoomed_to(self.look, shown, target))

    def action_view(self) -> None:
        """Image with map, image alone, map alone, or both side by side."""
        has_room = self.query_one(XrayView).size.width >= _BESIDE_FROM
        views = _VIEWS if has_room else _VIEWS[:-1]
        at = views.index(self._view) if self._view in views else 0
        self._view = views[(at + 1) % len(views)]
        self._draw()

    def action_boxes(self) -> None:
        """With boxes, or without."""
        self._take_look(replace(self.look, with_boxes=not self.look.with_boxes))

    def action_strength(self, by: float) -> None:
        """More of the map's colour, or less."""
        self._take_look(stronger(self.look, by))

    def action_threshold(self, by: float) -> None:
        """Only what is above a share of the map's peak."""
        self._take_look(stricter(self.look, by))

    def action_graphics(self) -> None:
        """Show the picture in full, in a protocol that this terminal may or may not support."""
        answers = [("k", "Kitty graphics"), ("x", "Sixel")]
        text = "Only if your terminal supports one of them; Enter returns."
        self.app.push_screen(Question("The image in full", text, answers), self._on_graphics)

    def _on_graphics(self, answer: str | None) -> None:
        row = self._row
        shown = None if row is None else self._shown_of(row)
        protocol = {"k": KITTY, "x": SIXEL}.get(answer or "")
        if shown is None or protocol is None:
            return
        height, width = shown.grey_HW.shape
        drawn = picture(shown, self._looks()[-1], width, height)
        self.console.show_outside(graphics(drawn, protocol, os.environ))
