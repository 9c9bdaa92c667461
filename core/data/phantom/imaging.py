"""Compose one image of one patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.data.phantom.anatomy import Chest, posed
from core.data.phantom.lesions import DRAWING_ORDER, Lesion, Site, altered, box_on, followed_up
from core.data.phantom.painting import paint
from core.data.phantom.radiograph import add_marks, expose, normal_tissue
from core.data.phantom.streams import Key, generator


def lesions_on_image(
    chest: Chest, sites: Sequence[Site], stream: np.random.SeedSequence, *, view: str
) -> tuple[Chest, tuple[Lesion, ...]]:
    """The chest on one image, altered by its findings, and its lesions.

    It is independent of pixels: the same chest and lesions can be rendered at any size.
    """
    chest = posed(chest, generator(stream, Key.POSE), view=view)
    now = [
        followed_up(site, generator(stream, Key.LESIONS, DRAWING_ORDER.index(site.finding)))
        for site in sites
    ]
    chest = altered(chest, now)
    return chest, tuple(Lesion(site, box_on(site, chest)) for site in now)


def render(
    chest: Chest,
    lesions: Sequence[Lesion],
    *,
    size_px: int,
    view: str,
    patient_stream: np.random.SeedSequence,
    stream: np.random.SeedSequence,
) -> npt.NDArray[np.uint8]:
    """Grey values (size_px, size_px) of a chest and lesions from ``lesions_on_image``."""
    tissue = normal_tissue(chest, size_px, generator(patient_stream, Key.VESSELS))
    for lesion in lesions:
        paint(lesion, tissue)
    add_marks(tissue, generator(stream, Key.MARKS), view=view)
    grey_SS = expose(tissue, generator(stream, Key.EXPOSURE), view=view)
    return np.clip(np.rint(grey_SS), 0, 255).astype(np.uint8)
