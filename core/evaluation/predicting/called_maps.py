"""A picture of where the network looks, for each finding that it calls in an image."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from core.data.images.decode import decode_grey
from core.data.images.given_decoding import DecodedImage
from core.data.images.refusal import UndecodableImage
from core.errors import DataError, RunFailedError
from core.evaluation.maps.cam_pictures import overlay
from core.evaluation.maps.candidates import Candidate
from core.evaluation.maps.found_maps import BATCH_IMAGES, FoundMap
from core.evaluation.maps.gradcam import finding_maps
from core.evaluation.maps.methods import METHODS, Method
from core.evaluation.maps.picture_layout import png_bytes
from core.evaluation.predict import Placement
from core.evaluation.predicting.predictor import Predictor, ScoredBatch
from core.evaluation.score_table import UNKNOWN_PATIENT
from core.model.memory import memory_errors_named
from core.store.files import write_whole

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_STEM = 60


def ready_map_folder(folder: Path) -> None:
    """Make the folder.

    Raises:
        DataError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"can't be made ({error.strerror})", where=folder, remedy="Name another with --maps"
        ) from error


def save_called_maps(predictor: Predictor, batch: ScoredBatch, folder: Path) -> int:
    """Save one PNG for each call of the batch; how many.

    The same image and finding have the same name, whichever start of a prediction makes them.

    Raises:
        RunFailedError: the disk is full, or can't be written; or memory doesn't suffice.
    """
    calls = list(_calls(predictor, batch))
    for start in range(0, len(calls), BATCH_IMAGES):
        some = calls[start : start + BATCH_IMAGES]
        for (decoded, _), found in zip(some, found_in(predictor, some, METHODS[0]), strict=True):
            _save(predictor, decoded, found, folder)
    return len(calls)


def found_in(
    predictor: Predictor, pairs: list[tuple[DecodedImage, str]], method: Method
) -> list[FoundMap]:
    """The map of each finding in its image; images must have pixels.

    Raises:
        RunFailedError: memory doesn't suffice.
    """
    pixels_BSS = np.stack([image.pixels_SS for image, _ in pairs if image.pixels_SS is not None])
    placement: Placement = predictor.placement
    with memory_errors_named():
        maps = finding_maps(
            predictor.model, placement.pixels_of(pixels_BSS), [name for _, name in pairs], method
        )
    return [
        FoundMap(
            candidate=given_candidate(image.file, finding, None),
            method=method,
            map_MM=map_MM,
            logit=float(logit),
            boxes_K4=np.empty((0, 4)),
            width_px=image.width_px,
            height_px=image.height_px,
            size_px=predictor.rule.size_px,
            resize=predictor.rule.resize,
            recalibrated=predictor.recalibrated(finding),
        )
        for (image, finding), map_MM, logit in zip(pairs, maps.maps_BMM, maps.logits_B, strict=True)
    ]


def given_candidate(file: str, finding: str, probability: float | None) -> Candidate:
    """A finding in an image of no table: without label, patient and boxes."""
    return Candidate(
        image=file,
        patient=UNKNOWN_PATIENT,
        finding=finding,
        label=math.nan,
        probability=probability,
        boxes_K4=np.empty((0, 4)),
        kind="unlabelled",
    )


def map_name(file: str, finding: str, method: Method) -> str:
    """Image, finding, method; maps of one image stand together, and no two share a name."""
    stem = _UNSAFE.sub("_", PurePosixPath(file).stem)[-_STEM:]
    path = file.encode("utf-8", "surrogateescape")
    told_apart = hashlib.blake2b(path, digest_size=8).hexdigest()
    return f"{stem}-{told_apart}-{finding}-{method.replace('+', 'p')}.png"


def _calls(predictor: Predictor, batch: ScoredBatch) -> Iterator[tuple[DecodedImage, str]]:
    for row, decoded in zip(batch.rows, batch.decoded, strict=True):
        called = row.called(predictor.findings, predictor.thresholds)
        for finding, call in zip(predictor.findings, called, strict=True):
            if call:
                yield decoded, finding


def _save(predictor: Predictor, image: DecodedImage, found: FoundMap, folder: Path) -> None:
    path = folder / map_name(image.file, found.candidate.finding, found.method)
    try:
        encoded = Path(image.file) if image.content is None else image.content
        grey_HW = decode_grey(encoded, image.file, predictor.rule.grey).pixels_HW
        picture = overlay(found, grey_HW)
    except (OSError, UndecodableImage, DataError):
        return  # changed or gone since it was scored: its row stays, and there is no map
    parameters = {
        "session": predictor.session.name,
        "checkpoint": predictor.checkpoint,
        "method": found.method,
        "input_px": found.size_px,
        "file": image.file.encode("utf-8", "backslashreplace").decode(),
        "digest": image.digest,
        "finding": found.candidate.finding,
        "probability": f"{found.probability:.6f}",
    }
    try:
        write_whole(path, png_bytes(picture, parameters), follow=True)
    except OSError as error:
        raise RunFailedError(
            f"can't be written: {error.strerror or error}",
            where=path,
            why="Maps and rows saved before are whole.",
            remedy="Free space on that disk, then run the same command with --resume.",
        ) from error
