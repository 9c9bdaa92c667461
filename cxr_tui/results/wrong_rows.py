"""The most wrong images of the finding at the cursor, where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import work
from textual.message import Message

from core.errors import CxrError
from core.evaluation.maps.overlay import Grey
from core.evaluation.part_scores import PartScores, WrongImage, wrong_images
from cxr_tui.console.background import Background
from cxr_tui.runs.figures_cache import Version
from cxr_tui.widgets.xray_picture import Shown
from cxr_tui.widgets.xray_rows import COLUMNS, Captioned, XrayRows

_TITLES = ("labelled absent, scored highest", "labelled present, scored lowest")
_MOST_KEPT = 15
"""Findings whose images are kept, so that going back to one reads nothing again."""

Asked = tuple[Version, str]
"""Which predictions, and the finding."""


class WrongRows(XrayRows):
    """Four highest-scored negatives above four lowest-scored positives."""

    def __init__(self, *, ascii_only: bool, id: str) -> None:  # noqa: A002
        super().__init__(ascii_only=ascii_only, titles=_TITLES, id=id)
        self._asked: Asked | None = None

    class Wanted(Message):
        """Images to read."""

        def __init__(self, asked: Asked, lists: Sequence[Sequence[WrongImage]]) -> None:
            super().__init__()
            self.asked, self.lists = asked, lists

    def show(self, version: Version | None, scores: PartScores | None, finding: str) -> None:
        """Show the finding's, once they are read; nothing without scores."""
        asked = None if version is None or scores is None else (version, finding)
        if not self.display or asked == self._asked:
            return
        self._asked = asked
        self.put([])
        if asked is not None and scores is not None:
            lists = [images[:COLUMNS] for images in wrong_images(scores, finding)]
            self.post_message(self.Wanted(asked, lists))

    def put_read(self, asked: Asked, rows: Sequence[Sequence[Captioned]]) -> None:
        """Show them, unless another finding was selected meanwhile."""
        if asked == self._asked:
            self.put(rows)


class WrongReader(Background):
    """Reads them on a thread."""

    class Read(Message):
        """They were read, or can't be."""

        def __init__(self, asked: Asked, rows: list[list[Captioned]]) -> None:
            super().__init__()
            self.asked, self.rows = asked, rows

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[Asked, list[list[Captioned]]] = {}

    def ask(self, wanted: WrongRows.Wanted) -> None:
        """Answer with ``Read``."""
        kept = self._kept.get(wanted.asked)
        if kept is not None:
            self.post_message(self.Read(wanted.asked, kept))
        else:
            self._read(self.workspace.cache, wanted.asked, wanted.lists)

    @work(thread=True, exclusive=True, group="wrong", description="read the most wrong images")
    def _read(self, cache: Path, asked: Asked, lists: Sequence[Sequence[WrongImage]]) -> None:
        from core.evaluation.wrong_sheet import read_small

        names = {wrong.image for images in lists for wrong in images}
        try:
            small = read_small(asked[0].session, cache, names, asked[0].part)
        except (CxrError, OSError) as error:
            small = dict.fromkeys(names, str(error))
        rows = [
            [_captioned(wrong, small.get(wrong.image, "it is gone")) for wrong in images]
            for images in lists
        ]
        self.post_message(self.Read(asked, rows))

    def on_wrong_reader_read(self, message: Read) -> None:
        """Keep them."""
        self._kept[message.asked] = message.rows
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]


def _captioned(wrong: WrongImage, grey: Grey | str) -> Captioned:
    caption = f"{wrong.score:.3f} {wrong.image}"
    if isinstance(grey, str):
        return Captioned(wrong.image, caption, None, grey)
    return Captioned(wrong.image, caption, Shown(grey))
