"""Where a run's tables, lists and images are: named in the recipe, or found by their names."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.data.collections.registry import COLLECTIONS, collection_in, collection_of, header_of
from core.data.phantom.folder import fill_in, is_whole
from core.data.tables.parquet import parquet_refused
from core.errors import DataError, RecipeError
from core.recipe import PhantomSettings, Recipe
from core.store.files import is_file, is_folder, token
from core.store.own_folder import require_own

LABEL_TABLE_NAMES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", "sample_labels.csv")
_OWN_KINDS = ("nih", "table")
_MOST_NAMED = 6
BOX_TABLE_NAME = "BBox_List_2017.csv"
TRAIN_VAL_LIST_NAME = "train_val_list.txt"
TEST_LIST_NAME = "test_list.txt"

MakePhantom = Callable[[PhantomSettings, Path], Path]
"""Writes a phantom into a folder that doesn't exist yet, and returns that folder."""


@dataclass(frozen=True)
class DataSources:
    """The files of one data set.

    ``images`` is a folder; None: not named and not found. ``labels_found``: the label table was not
    named but found in that folder, so other tables of its collection there are read too. ``each``
    has the files of several data sets by their names; the others are then the first one's.
    """

    labels: Path
    images: Path | None
    boxes: Path | None
    train_val_list: Path | None
    test_list: Path | None
    val_list: Path | None
    labels_found: bool = False
    each: Mapping[str, DataSources] = field(default_factory=dict)


def locate_sources(
    recipe: Recipe,
    *,
    cache: Path,
    labels_only: bool = False,
    make_phantom: MakePhantom | None = None,
) -> DataSources:
    """Locate the tables, lists and images of a recipe. Of the label table the first line is read.

    What the recipe does not name is looked for under its NIH name in ``dataset.images``, then next
    to the label table; a label table also under another collection's name, in the folder or right
    below it, or as the one CSV file in the folder. A phantom is written into the cache folder if
    it is not there yet.

    Args:
        recipe: names the files, or a phantom.
        cache: the folder for phantoms.
        labels_only: images may be missing.
        make_phantom: writes a phantom, instead of ``core.data.phantom``.

    Raises:
        RecipeError: no data set is named.
        DataError: a named file or folder is missing, or no label table is found.
    """
    if recipe.datasets:
        each = {
            name: locate_sources(
                own, cache=cache, labels_only=labels_only, make_phantom=make_phantom
            )
            for name, own in recipe.sources
        }
        first = next(iter(each.values()))
        return replace(first, boxes=None, train_val_list=None, test_list=None, each=each)
    dataset, split = recipe.dataset, recipe.split
    if dataset.phantom is not None:
        images: Path | None = _made(dataset.phantom, cache, make_phantom or _write_phantom)
    else:
        images = _image_folder(recipe, labels_only=labels_only)
    labels = dataset.labels or _label_table(images, dataset.kind)
    if labels is None:
        raise _no_label_table(images)
    # A table of another collection has no part in NIH's boxes and lists that may lie beside it.
    is_nih = dataset.kind in _OWN_KINDS or collection_of(header_of(labels)) is None

    def found(key: str, named: Path | None, nih_name: str) -> Path | None:
        if named is not None:
            return _checked_file(key, named)
        if not is_nih:
            return None
        return _found(images, (nih_name,)) or _found(labels.parent, (nih_name,))

    return DataSources(
        labels=_checked_file("dataset.labels", labels),
        images=images,
        boxes=found("dataset.boxes", dataset.boxes, BOX_TABLE_NAME),
        train_val_list=found("split.train_val_list", split.train_val_list, TRAIN_VAL_LIST_NAME),
        test_list=found("split.test_list", split.test_list, TEST_LIST_NAME),
        val_list=split.val_list and _checked_file("split.val_list", split.val_list),
        labels_found=dataset.labels is None,
    )


def _label_table(images: Path | None, kind: str | None) -> Path | None:
    """The label table of a folder of images, by its name or as the only one there."""
    is_own = kind in (None, *_OWN_KINDS)
    found = _found(images, LABEL_TABLE_NAMES) if is_own else None
    if found is not None or images is None:
        return found
    of_collection = None if kind in _OWN_KINDS else collection_in(images, kind)
    if of_collection is not None:
        return of_collection[1]
    return _only_table(images) if is_own else None


def _no_label_table(images: Path | None) -> DataError:
    """The error for a folder without one; it names what lies there in its place."""
    in_parquet = None if images is None else next(iter(sorted(images.glob("*.parquet"))), None)
    if in_parquet is not None:
        return parquet_refused(in_parquet)
    spreadsheet = None if images is None else _spreadsheet(images)
    if spreadsheet is not None:
        return DataError(
            "a spreadsheet is no label table",
            where=spreadsheet,
            remedy="Save the sheet with the labels as CSV there.",
        )
    looked_for = [*LABEL_TABLE_NAMES, *(known.table_names[0] for known in COLLECTIONS)]
    return DataError(
        f"no label table; looked for {', '.join(dict.fromkeys(looked_for))}",
        where=images,
        remedy="Put the collection's table there, or name one as dataset.labels.",
    )


def _only_table(folder: Path) -> Path | None:
    """The one CSV file in a folder; None if there is none.

    Raises:
        DataError: there are several.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if _is_table(entry.name))
    except OSError:
        return None
    if len(names) > 1:
        shown = ", ".join(names[:_MOST_NAMED]) + (" …" if len(names) > _MOST_NAMED else "")
        raise DataError(
            f"{len(names)} tables, none of them known by its name: {shown}",
            where=folder,
            remedy=f"Name the one with the labels, as in --set dataset.labels={folder}/{names[0]}",
        )
    return folder / names[0] if names else None


def _spreadsheet(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob("*.*")) if _is_spreadsheet(path.name)), None)


def _is_spreadsheet(name: str) -> bool:
    return name.lower().endswith((".xlsx", ".xls", ".ods")) and not name.startswith((".", "~"))


def _is_table(name: str) -> bool:
    return name.lower().endswith((".csv", ".csv.gz", ".csv.zip")) and not name.startswith(".")


def _image_folder(recipe: Recipe, *, labels_only: bool) -> Path | None:
    """``dataset.images``, which may be missing only if a label table is all that is needed."""
    images, labels = recipe.dataset.images, recipe.dataset.labels
    if images is not None and is_folder(images):
        return images
    if labels is not None and labels_only:
        return None
    if images is None:
        raise RecipeError(
            "no data set is named" if labels is None else "no folder of images is named",
            where="dataset.images",
            remedy="Name a folder, as in --set dataset.images=/data/nih, or have one created: "
            "--set 'dataset.phantom={patients=400}'.",
        )
    raise DataError(
        f"{images} is {'not a folder' if is_file(images) else 'missing, or not accessible'}",
        where="dataset.images",
        remedy="Name the folder that holds the images, or NIH's images_*.tar.gz.",
    )


def phantom_folder(settings: PhantomSettings, cache: Path) -> Path:
    """The folder in the cache that holds the phantom of these settings."""
    return cache / f"phantom-{settings.patients}-{settings.size_px}-{settings.seed}"


def _made(settings: PhantomSettings, cache: Path, make: MakePhantom) -> Path:
    """Write the phantom if it is missing; if it is incomplete, write what is missing."""
    folder = phantom_folder(settings, cache)
    try:
        require_own(folder)
        if is_folder(folder) and is_whole(folder):
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with _drawing_in(cache):
            # Not the process number, which another container may use as well.
            unfinished = cache / f".{folder.name}.{token()}"
            try:
                made = make(settings, unfinished)
                try:
                    made.rename(folder)
                except OSError:
                    if not is_folder(folder):  # no other run made it: a failure
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
    """While phantoms are drawn in the folder; leftovers of killed runs are removed when nobody
    draws.

    Each process that draws holds a shared lock on the folder. If the file system has no such lock,
    nothing is removed.
    """
    descriptor = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in cache.iterdir():
                if _UNFINISHED.fullmatch(left.name):
                    shutil.rmtree(left, ignore_errors=True)
        for _ in range(_LOCK_TRIES):  # another process may be cleaning up
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
    # Drawing imports the image library, which runs on real images never need here.
    from core.data.phantom import write_phantom

    write_phantom(folder, patients=settings.patients, size_px=settings.size_px, seed=settings.seed)
    return folder


def _found(folder: Path | None, names: tuple[str, ...]) -> Path | None:
    if folder is None:
        return None
    return next((folder / name for name in names if is_file(folder / name)), None)


def _checked_file(key: str, path: Path) -> Path:
    if not is_file(path):
        found = "missing, or not accessible"
        if is_folder(path):
            found = "a folder"
        elif os.path.exists(path):  # noqa: PTH110 - Path.exists raises for inaccessible folders
            found = "a pipe or a device, not a regular file"
        raise DataError(f"{path} is {found}", where=key, remedy="Name the file itself.")
    return path
