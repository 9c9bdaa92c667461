"""Where a run's tables, lists and images are: named by the recipe, or found by NIH's names."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.data.phantom.folder import fill_in, is_whole
from core.errors import DataError, RecipeError
from core.recipe import PhantomSettings, Recipe
from core.store.files import is_file, is_folder, token
from core.store.own_folder import require_own

LABEL_TABLE_NAMES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
BOX_TABLE_NAME = "BBox_List_2017.csv"
TRAIN_VAL_LIST_NAME = "train_val_list.txt"
TEST_LIST_NAME = "test_list.txt"

MakePhantom = Callable[[PhantomSettings, Path], Path]
"""Writes a phantom into a folder that is not there yet, and returns that folder."""


@dataclass(frozen=True)
class DataSources:
    """The files of one data set. ``images`` is a folder; None: not named and not found."""

    labels: Path
    images: Path | None
    boxes: Path | None
    train_val_list: Path | None
    test_list: Path | None
    val_list: Path | None


def locate_sources(
    recipe: Recipe,
    *,
    cache: Path,
    labels_only: bool = False,
    make_phantom: MakePhantom | None = None,
) -> DataSources:
    """The tables, lists and images of a recipe, without opening any of them.

    What the recipe does not name is looked for under its NIH name in ``dataset.images``, then
    beside the label table. A phantom is written into the cache folder where it is not there yet.

    Args:
        recipe: names the files, or a phantom.
        cache: the folder for phantoms.
        labels_only: images need not be there.
        make_phantom: writes a phantom, instead of ``core.data.phantom``.

    Raises:
        RecipeError: no data set is named.
        DataError: a file or folder that is named is not there, or no label table is found.
    """
    dataset, split = recipe.dataset, recipe.split
    if dataset.phantom is not None:
        images: Path | None = _made(dataset.phantom, cache, make_phantom or _write_phantom)
    else:
        images = _image_folder(recipe, labels_only=labels_only)
    labels = dataset.labels or _found(images, LABEL_TABLE_NAMES)
    if labels is None:
        raise DataError(
            f"no label table; looked for {' and '.join(LABEL_TABLE_NAMES)}",
            where=images,
            remedy="Put NIH's table there, or name one as dataset.labels.",
        )

    def found(key: str, named: Path | None, nih_name: str) -> Path | None:
        if named is not None:
            return _checked_file(key, named)
        return _found(images, (nih_name,)) or _found(labels.parent, (nih_name,))

    return DataSources(
        labels=_checked_file("dataset.labels", labels),
        images=images,
        boxes=found("dataset.boxes", dataset.boxes, BOX_TABLE_NAME),
        train_val_list=found("split.train_val_list", split.train_val_list, TRAIN_VAL_LIST_NAME),
        test_list=found("split.test_list", split.test_list, TEST_LIST_NAME),
        val_list=split.val_list and _checked_file("split.val_list", split.val_list),
    )


def _image_folder(recipe: Recipe, *, labels_only: bool) -> Path | None:
    """``dataset.images``, which may be absent only where a label table is all that is needed."""
    images, labels = recipe.dataset.images, recipe.dataset.labels
    if images is not None and is_folder(images):
        return images
    if labels is not None and labels_only:
        return None
    if images is None:
        raise RecipeError(
            "no data set is named" if labels is None else "no folder of images is named",
            where="dataset.images",
            remedy="Name a folder, as in --set dataset.images=/data/nih, or let one be made: "
            "--set 'dataset.phantom={patients=400}'.",
        )
    raise DataError(
        f"{images} is {'not a folder' if is_file(images) else 'not there, or closed to us'}",
        where="dataset.images",
        remedy="Name the folder that holds the images, or NIH's images_*.tar.gz.",
    )


def phantom_folder(settings: PhantomSettings, cache: Path) -> Path:
    """The folder in the cache that holds the phantom of these settings."""
    return cache / f"phantom-{settings.patients}-{settings.size_px}-{settings.seed}"


def _made(settings: PhantomSettings, cache: Path, make: MakePhantom) -> Path:
    """Makes the phantom where it is not there; of one that is no longer whole, what it lacks."""
    folder = phantom_folder(settings, cache)
    try:
        require_own(folder)
        if is_folder(folder) and is_whole(folder):
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with _drawing_in(cache):
            # Not by the process's number, which another container may have given out as well.
            unfinished = cache / f".{folder.name}.{token()}"
            try:
                made = make(settings, unfinished)
                try:
                    made.rename(folder)
                except OSError:
                    if not is_folder(folder):  # neither another run nor an earlier one: a failure
                        raise
                    fill_in(folder, made)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the phantom can't be written ({error.strerror})",
            where=folder,
            remedy="Free some space there, or name another cache folder with --cache.",
        ) from error
    return folder


_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 100, 0.02
_UNFINISHED = re.compile(r"\.?\.phantom-\d+-\d+-\d+\.[0-9a-f]{8}(\.unfinished-[0-9a-f]{8})?")


@contextmanager
def _drawing_in(cache: Path) -> Iterator[None]:
    """While phantoms are drawn in there; what killed ones left goes once nobody draws.

    Whoever draws holds the folder's lock together with the others. Where the file system has no
    such lock, nothing is removed.
    """
    descriptor = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in cache.iterdir():
                if _UNFINISHED.fullmatch(left.name):
                    shutil.rmtree(left, ignore_errors=True)
        for _ in range(_LOCK_TRIES):  # another may be clearing up just now
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE_SECONDS)
            except OSError:
                break
        yield
    finally:
        os.close(descriptor)


def _write_phantom(settings: PhantomSettings, folder: Path) -> Path:
    # Drawing pulls in the image library; runs on real images never need it here.
    from core.data.phantom import write_phantom

    write_phantom(folder, patients=settings.patients, size_px=settings.size_px, seed=settings.seed)
    return folder


def _found(folder: Path | None, names: tuple[str, ...]) -> Path | None:
    if folder is None:
        return None
    return next((folder / name for name in names if is_file(folder / name)), None)


def _checked_file(key: str, path: Path) -> Path:
    if not is_file(path):
        found = "not there, or closed to us"
        if is_folder(path):
            found = "a folder"
        elif os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder is closed
            found = "a pipe or a device, not a regular file"
        raise DataError(f"{path} is {found}", where=key, remedy="Name the file itself.")
    return path
