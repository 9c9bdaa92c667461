"""Small pictures inside the page: the most wrong images of each finding, and maps."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.document.blocks import Picture, Pictures
from core.document.facts import Facts, words_of
from core.document.values import three
from core.errors import CxrError
from core.evaluation.maps.cam_table import read_maps
from core.evaluation.maps.overlay import Grey
from core.evaluation.part_scores import WrongImage, wrong_images
from core.evaluation.wrong_sheet import read_small
from core.regular_file import read_regular

if TYPE_CHECKING:
    from pandas import DataFrame

EACH = 4
"""Images of each kind and finding."""

MOST_MAPS = 12
_WRONG_PX, _MAP_PX = 190, 460
_QUALITY = 80
_MOST_MAP_BYTES = 64 * 2**20
_KINDS = ("labelled absent, scored highest", "labelled present, scored lowest")


def wrong_pictures(facts: Facts, *, with_images: bool) -> tuple[list[Pictures], str]:
    """The images that the scores of each finding get most wrong, and why images are missing.

    Args:
        with_images: False leaves out the pictures, and patients are not named.
    """
    scores = facts.scores
    if scores is None:
        return [], facts.scores_missing
    chosen = {
        finding: [images[:EACH] for images in wrong_images(scores, finding)]
        for finding in scores.predictions.findings
    }
    names = {one.image for kinds in chosen.values() for images in kinds for one in images}
    small, missing = _small(facts, names) if with_images else ({}, "they were not asked for.")
    rows = [
        Pictures(
            f"{finding}: {words}",
            tuple(_wrong(one, small, with_images) for one in images),
            large=False,
        )
        for finding, kinds in chosen.items()
        for words, images in zip(_KINDS, kinds, strict=True)
        if images
    ]
    return rows, missing


def _small(facts: Facts, names: set[str]) -> tuple[Mapping[str, Grey | str], str]:
    try:
        return read_small(facts.session, facts.cache, names), ""
    except CxrError as error:
        return {}, words_of(error)
    except OSError as error:
        return {}, f"The images can't be read ({error.strerror})."


def _wrong(one: WrongImage, small: Mapping[str, Grey | str], with_images: bool) -> Picture:
    grey = small.get(one.image, "it is gone")
    others = ", ".join(one.others) or "no other finding"
    lines = [*([one.image] if with_images else []), f"score {one.score:.3f} · {others}"]
    if isinstance(grey, str):
        if with_images and small:
            lines.append(f"can't be read: {grey}")
        return Picture(None, tuple(lines))
    return Picture(_jpeg(grey, _WRONG_PX), tuple(lines))


def map_pictures(facts: Facts) -> Pictures | None:
    """Maps that the session holds, at most ``MOST_MAPS``, spread over findings; None without."""
    frame = read_maps(facts.session.path / "cams" / "cams.csv")
    pictures = []
    for row in _spread(frame):
        path = facts.session.path / "cams" / str(frame["file"].iloc[row])
        uri = _map_uri(path) if path.name == str(frame["file"].iloc[row]) else None
        if uri is not None:
            pictures.append(Picture(uri, _map_lines(frame, row)))
        if len(pictures) == MOST_MAPS:
            break
    if not pictures:
        return None
    note = f"{len(pictures)} of {len(frame):,} saved maps: image, and map with boxes and peak."
    return Pictures("Maps", tuple(pictures), note, large=True)


def _spread(frame: DataFrame) -> list[int]:
    """Rows in turns over the findings, so that each is seen before one is seen twice."""
    turns = frame.groupby("finding", sort=False).cumcount()
    order: Sequence[int] = turns.argsort(kind="stable").tolist()
    return list(order)


def _map_lines(frame: DataFrame, row: int) -> tuple[str, ...]:
    one = frame.iloc[row]
    probability = float(one["probability"])
    words = "" if math.isnan(probability) else f", probability {three(probability)}"
    hit = one["hit"]
    known = {True: " · peak in the box", False: " · peak outside the box"}
    told = (
        known.get(bool(hit), "")
        if hit is True or hit is False or str(hit) in ("True", "False")
        else ""
    )
    return (f"{one['finding']}{words}{told}", str(one["Image Index"]))


def _map_uri(path: Path) -> str | None:
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(read_regular(path, _MOST_MAP_BYTES)), formats=("PNG",))
        picture.thumbnail((_MAP_PX, 4 * _MAP_PX), Image.Resampling.LANCZOS)
        small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_QUALITY)
    return _uri(written.getvalue())


def _jpeg(grey_HW: Grey, longest_px: int) -> str:
    from PIL import Image

    picture = Image.fromarray(grey_HW)
    picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=_QUALITY)
    return _uri(written.getvalue())


def _uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
