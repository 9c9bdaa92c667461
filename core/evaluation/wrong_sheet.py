"""The images that the scores of a finding get most wrong, on one picture; needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from core.data.images.full_image import read_images
from core.data.images.grey_rule import GreyRule
from core.data.images.image_file import ImageFile
from core.data.study.found_images import with_images
from core.data.study.index import build_index
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.evaluation.maps.overlay import Colours, Grey
from core.evaluation.maps.picture_layout import TILE_PX, png_bytes, resized, sheet, tile
from core.evaluation.part_scores import WrongImage
from core.recipe_toml import recorded_recipe
from core.store.files import write_whole
from core.store.session import EXTERNAL, Session

EACH = 16
"""Images of each kind on the sheet."""

_NO_IMAGE = 34
"""The grey in place of an image that can't be read."""


def save_wrong_sheet(
    session: Session,
    cache: Path,
    finding: str,
    part: str,
    highest: Sequence[WrongImage],
    lowest: Sequence[WrongImage],
    path: Path,
) -> Path:
    """Write the ``EACH`` worst images of both kinds, with their scores, as one PNG.

    Args:
        highest: labelled absent, the highest score first.
        lowest: labelled present, the lowest score first.

    Raises:
        DataError: none of the images is there any more.
        OSError: the file can't be written.
    """
    kinds = {
        f"{words} ({min(EACH, len(images))} of {len(images)} listed)": images[:EACH]
        for words, images in (
            ("labelled absent, scored highest", highest),
            ("labelled present, scored lowest", lowest),
        )
    }
    names = {wrong.image for images in kinds.values() for wrong in images}
    small = read_small(session, cache, names, part)
    groups = [
        (words, [_tile(wrong, small) for wrong in images])
        for words, images in kinds.items()
        if images
    ]
    title = f"{finding}, {part}: images by error · {session.name}"
    about = {"session": session.name, "finding": finding, "part": part}
    write_whole(path, png_bytes(sheet(groups, title=title), about))
    return path


def read_small(
    session: Session, cache: Path, names: Collection[str], part: str = ""
) -> dict[str, Grey | str]:
    """Images of a session's data set, at most ``TILE_PX`` a side, or why one can't be read.

    ``part``: ``external/NAME`` for those of another data set.

    Raises:
        DataError: none of them is there any more.
        RecipeError: it isn't known how the other data set was read.
    """
    files = _files(session, cache, names, part)
    # Shrunk at once: 32 whole images may take hundreds of megabytes.
    return {
        name: grey if isinstance(grey, str) else _fitted(grey)
        for name, grey in read_images(files, GreyRule.of(session.recipe.image))
    }


def path_of_image(session: Session, cache: Path, name: str, part: str) -> Path:
    """The file of an image of ``external/NAME``.

    Raises:
        DataError: it is gone, or inside an archive.
        RecipeError: it isn't known how the data set was read.
    """
    file = _files(session, cache, {name}, part).get(name)
    if file is None:
        raise DataError("is no longer in the data set", where=name)
    if file.member is not None:
        raise DataError(
            "is inside an archive",
            where=f"{file.place}/{file.member}",
            why="A map is made of a file.",
            remedy="Unpack the archive, then open the image by its path.",
        )
    return Path(file.place)


def _files(
    session: Session, cache: Path, names: Collection[str], part: str
) -> dict[str, ImageFile]:
    is_own = not part.startswith(f"{EXTERNAL}/")
    recipe = session.recipe if is_own else recorded_recipe(session.path / part / "recipe.toml")
    sources = locate_sources(recipe, cache=cache)
    index = build_index(recipe, sources, labels_only=True, every_finding=not is_own)
    is_linked = any(own.images_from_header for own in (index.table, *index.each.values()))
    listed = index if is_linked else index.take(np.flatnonzero(np.isin(index.images, list(names))))
    files = with_images(listed, sources, partial=True, listings=cache / "listings").files
    return {name: file for name, file in files.items() if name in names}


def _fitted(grey_HW: Grey) -> Grey:
    scale = TILE_PX / max(grey_HW.shape)
    height, width = (max(1, round(scale * side)) for side in grey_HW.shape)
    return resized(grey_HW, (width, height))


def _tile(wrong: WrongImage, small: dict[str, Grey | str]) -> Colours:
    grey = small.get(wrong.image, "it is gone")
    patient = "" if wrong.patient is None else f" · patient {wrong.patient}"
    lines = [
        f"{wrong.image}{patient}",
        f"score {wrong.score:.4f}",
        f"other findings: {', '.join(wrong.others) or 'none'}",
    ]
    if isinstance(grey, str):
        lines[1] += f" · can't be read: {grey}"
        grey = np.full((TILE_PX, TILE_PX), _NO_IMAGE, dtype=np.uint8)
    return tile(np.repeat(grey[..., None], 3, axis=2), lines)
