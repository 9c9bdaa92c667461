"""Some images of the finding under the cursor, with their boxes, where there is room for them."""

from __future__ import annotations

import numpy as np
from textual import work
from textual.message import Message

from core.data.images.full_image import read_images
from core.data.study.survey import Survey
from core.findings import PRESENT
from cxr_tui.widgets.xray_picture import Box, Shown
from cxr_tui.widgets.xray_rows import COLUMNS, Captioned, XrayRows

COUNT = 2 * COLUMNS


class SampleImages(XrayRows):
    """Up to eight images with a finding, those with a box first; decoded on a thread."""

    class Decoded(Message):
        """The images were read."""

        def __init__(self, asked: tuple[Survey, str], samples: list[Captioned]) -> None:
            super().__init__()
            self.asked, self.samples = asked, samples

    def __init__(self, *, ascii_only: bool, id: str) -> None:  # noqa: A002
        super().__init__(ascii_only=ascii_only, id=id)
        self._asked: tuple[Survey, str] | None = None

    def show(self, survey: Survey | None, finding: str) -> None:
        """Show images of a finding; nothing until the search for images is over."""
        asked = None if survey is None or not finding else (survey, finding)
        if not self.display or (asked and self._asked and _are_same(asked, self._asked)):
            return
        self._asked = asked
        self.put([])
        if asked is not None:
            self._decode(*asked)

    @work(thread=True, exclusive=True, group="samples")
    def _decode(self, survey: Survey, finding: str) -> None:
        samples = [
            Captioned(name, name, None, grey)
            if isinstance(grey, str)
            else Captioned(
                name, name, Shown(grey, boxes=_boxes_on(survey, name, finding, grey.shape[1]))
            )
            for name, grey in read_images(
                {name: survey.index.files[name] for name in samples_of(survey, finding)}
            )
        ]
        self.post_message(self.Decoded((survey, finding), samples))

    def on_sample_images_decoded(self, message: Decoded) -> None:
        """Show them, unless another finding was selected meanwhile."""
        message.stop()
        if self._asked is not None and _are_same(self._asked, message.asked):
            self.put([message.samples[:COLUMNS], message.samples[COLUMNS:]])


def _are_same(one: tuple[Survey, str], other: tuple[Survey, str]) -> bool:
    return one[0] is other[0] and one[1] == other[1]


def samples_of(survey: Survey, finding: str) -> list[str]:
    """Names of up to eight positive images, those with a box first, in the table's order.

    Members of archives are left out: an archive is read from its start.
    """
    index, boxes = survey.index, survey.boxes
    column = index.table.findings.index(finding)
    positive_N = index.table.labels_NA[:, column] == PRESENT
    names = [
        name
        for name in index.images[positive_N].tolist()
        if name in index.files and index.files[name].member is None
    ]
    boxed = set() if boxes is None else set(boxes.image[boxes.finding == finding].tolist())
    return sorted(names, key=lambda name: name not in boxed)[:COUNT]


def _boxes_on(survey: Survey, image: str, finding: str, width_px: int) -> tuple[Box, ...]:
    if survey.boxes is None:
        return ()
    scale = width_px / survey.boxes.size_px
    boxes_K4 = survey.boxes.of(image, finding) * scale
    return tuple(tuple(map(float, np.asarray(box))) for box in boxes_K4)  # type: ignore[misc]  # four numbers each
