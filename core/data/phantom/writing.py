"""Write a phantom atomically, in NIH's layout and with its quirks."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.data.phantom.cohort import Patient, draw_cohort
from core.data.phantom.drawing import ImageJob, chest_and_lesions, draw_images
from core.data.phantom.lesions import Lesion
from core.errors import DataError, UsageError
from core.findings import NO_FINDING

LABELS_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOXES_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
TRUTH_HEADER = "Image Index,finding,x,y,w,h"

BOXED_FINDINGS = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Effusion",
    "Infiltration": "Infiltrate",  # spelled so only in NIH's box table
    "Mass": "Mass",
    "Nodule": "Nodule",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
}
"""The findings with boxes, in the order and the spelling of NIH's box table."""

_FOLDERS, _IMAGES_PER_FOLDER = 12, 60
_RGBA_EVERY = 60  # so that a small set has some of NIH's files with four channels
_SECONDS_BETWEEN_REPORTS = 0.1
_SMALLEST_PX, _LARGEST_PX, _MOST_PATIENTS = 32, 1024, 99_999


@dataclass(frozen=True)
class PhantomCounts:
    """The counts of a written phantom."""

    images: int
    patients: int
    boxes: int  # in the box table; truth.csv has all lesions of all images


_Shown = tuple[ImageJob, tuple[Lesion, ...]]


def write_phantom(
    folder: Path,
    *,
    patients: int,
    size_px: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> PhantomCounts:
    """Write a synthetic NIH ChestX-ray14 of ``patients`` patients into ``folder``.

    The label table, the box table (1024-pixel units, test images only), the two official lists,
    grey PNG files of ``size_px`` × ``size_px`` under ``images_001/images`` and so on, and
    ``truth.csv`` with every lesion. Patients, labels and boxes depend only on ``patients`` and
    ``seed``; the bytes of all files only on those and ``size_px``.

    Args:
        folder: must not exist, or be empty. Files are written to a hidden folder next to it
            (``.NAME.unfinished-…``), which is renamed at the end and removed on errors. Only a kill
            leaves it behind; it can then be deleted.
        patients: 2 or more; about three images each.
        size_px: 32 to 1024.
        seed: 0 or more.
        progress: called with (images done, images in all) from this thread, several times a
            second; it may raise.

    Raises:
        UsageError: a number is out of bounds.
        DataError: ``folder`` is in use, or can't be written.
    """
    _check_numbers(patients, size_px, seed)
    # Resolve links first, so that the rename at the end goes where the link points.
    folder = Path(os.path.realpath(folder))
    _check_free(folder)
    building = folder.with_name(f".{folder.name}.unfinished-{secrets.token_hex(4)}")
    try:
        building.mkdir(parents=True)
        try:
            counts = _write_all(building, patients, size_px, seed, progress)
            # Otherwise a power loss could leave the name with empty files.
            os.sync()
            building.rename(folder)
        finally:
            # After the rename nothing is left here; after a failure, everything.
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the phantom can't be written: {error.strerror or error}",
            where=folder,
            why="Nothing of it was kept",
            remedy="Name a new folder on a disk with enough space and write permission.",
        ) from error
    return counts


def _check_numbers(patients: int, size_px: int, seed: int) -> None:
    bounds = (
        ("patients", patients, 2, _MOST_PATIENTS),
        ("size_px", size_px, _SMALLEST_PX, _LARGEST_PX),
        ("seed", seed, 0, 2**63 - 1),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            raise UsageError(f"a phantom's {name} must be {low} to {high}, got {value}", where=name)


def _check_free(folder: Path) -> None:
    try:
        in_use = any(folder.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise DataError(
            "this is a file, not a folder", where=folder, remedy="Name a new folder."
        ) from error
    except OSError as error:
        raise DataError(
            f"the folder can't be read: {error.strerror}",
            where=folder,
            remedy="Name a folder that you may read and write.",
        ) from error
    if in_use:
        raise DataError(
            "the folder is not empty",
            where=folder,
            why="A phantom could not be told apart from the other files",
            remedy="Name a new folder, or empty this one.",
        )


def _write_all(
    folder: Path,
    patients: int,
    size_px: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> PhantomCounts:
    cohort = draw_cohort(patients, seed)
    jobs = _jobs(cohort)
    for name in sorted({job.folder for job in jobs}):
        (folder / name / "images").mkdir(parents=True)
    told = 0.0
    with closing(draw_images(folder, jobs, size_px=size_px, seed=seed)) as drawn:
        for done in drawn:
            if progress is not None and (
                time.monotonic() - told > _SECONDS_BETWEEN_REPORTS or done == len(jobs)
            ):
                told = time.monotonic()
                progress(done, len(jobs))
    shown = [(job, chest_and_lesions(job, seed)[1]) for job in jobs]
    boxes = _box_rows(shown)
    _write_table(folder / "Data_Entry_2017_v2020.csv", LABELS_HEADER, map(_label_row, jobs))
    _write_table(folder / "BBox_List_2017.csv", BOXES_HEADER, boxes)
    _write_table(folder / "truth.csv", TRUTH_HEADER, _truth_rows(shown))
    for name, in_test in (("train_val_list.txt", False), ("test_list.txt", True)):
        names = [job.visit.file_name for job in jobs if job.patient.in_test == in_test]
        # NIH's lists end without a newline.
        (folder / name).write_bytes("\n".join(names).encode())
    return PhantomCounts(images=len(jobs), patients=patients, boxes=len(boxes))


def _jobs(cohort: Sequence[Patient]) -> list[ImageJob]:
    images = [(patient, visit) for patient in cohort for visit in patient.visits]
    folders = min(_FOLDERS, max(2, -(-len(images) // _IMAGES_PER_FOLDER)))
    return [
        ImageJob(
            patient=patient,
            visit=visit,
            folder=f"images_{1 + position * folders // len(images):03d}",
            rgba=position % _RGBA_EVERY == 1,
        )
        for position, (patient, visit) in enumerate(images)
    ]


def _label_row(job: ImageJob) -> str:
    patient, visit = job.patient, job.visit
    fields = (
        visit.file_name,
        "|".join(visit.findings) or NO_FINDING,
        visit.follow_up,
        patient.number,
        visit.age,
        "F" if patient.female else "M",
        visit.view,
        visit.width_px,
        visit.height_px,
        visit.spacing,
        visit.spacing,
    )
    return ",".join(map(str, fields))


def _box_rows(shown: Sequence[_Shown]) -> list[str]:
    return [
        _lesion_row(job, lesion, spelling)
        for finding, spelling in BOXED_FINDINGS.items()
        for job, lesions in shown
        if job.patient.in_test
        for lesion in lesions
        if lesion.finding == finding
    ]


def _truth_rows(shown: Iterable[_Shown]) -> Iterator[str]:
    for job, lesions in shown:
        for lesion in lesions:
            yield _lesion_row(job, lesion, lesion.finding)


def _lesion_row(job: ImageJob, lesion: Lesion, spelling: str) -> str:
    box = lesion.box
    sides = (format(side, ".15g") for side in (box.x, box.y, box.w, box.h))
    return ",".join((job.visit.file_name, spelling, *sides))


def _write_table(path: Path, header: str, rows: Iterable[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in (header, *rows)).encode())
