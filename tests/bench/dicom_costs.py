"""An ingest of DICOM files beside the loop that people write with pydicom."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

from core.bench.blocks import Blocks
from core.data.cache.cache import open_cache
from core.data.cache.ingest import IngestProgress, usable_cores
from core.data.images.decode import decode_grey
from core.data.images.image_files import find_images

_CR = "1.2.840.10008.5.1.4.1.1.1"
_FILES, _HEIGHT_PX, _WIDTH_PX = 48, 2_022, 2_022
"""As large as a usual CR plate; 12 of 16 bits, uncompressed, 8 MB each."""

_TURNS = 5
_BARE_FILES = 12


@dataclass(frozen=True)
class DicomCosts:
    """Images per second, in blocks that take turns.

    Attributes:
        bare: one core: dcmread, pixel_array, pydicom's windowing, 8 bits.
        plain: one core: the same, but windowed in NumPy with float32.
        grey: one core: what an ingest does for the same picture.
        ingest: all cores: decoded, resized, checked and written to a cache.
    """

    bare: Blocks
    plain: Blocks
    grey: Blocks
    ingest: Blocks
    cores: int

    @property
    def ingest_to_cores(self) -> Blocks:
        """The ingest over as many cores that each do pydicom's loop."""
        return self.ingest.over(self.bare).times(1 / self.cores)


def dicom_costs(folder: Path, size_px: int) -> DicomCosts:
    """Write files, then read them by each way in turns."""
    paths = _written(folder / "dicom")
    files = find_images(folder / "dicom", [path.name for path in paths]).files
    bare, plain, grey, ingest = [], [], [], []
    for turn in range(_TURNS):
        bare.append(_rate(_windowed_by_pydicom, paths[:_BARE_FILES]))
        plain.append(_rate(_windowed_by_numpy, paths[:_BARE_FILES]))
        grey.append(_rate(_ours, paths[:_BARE_FILES]))
        last: list[IngestProgress] = []
        open_cache(
            folder / f"dicom-cache-{turn}",
            files,
            list(files),
            size_px=size_px,
            resize="squash",
            progress=lambda now, last=last: last.__setitem__(slice(None), [now]),
        )
        ingest.append(last[0].images_per_second)
    return DicomCosts(
        Blocks(tuple(bare)),
        Blocks(tuple(plain)),
        Blocks(tuple(grey)),
        Blocks(tuple(ingest)),
        usable_cores(),
    )


def _rate(read: Callable[[Path], NDArray[np.uint8]], paths: Sequence[Path]) -> float:
    began = time.perf_counter()
    for path in paths:
        read(path)
    return len(paths) / (time.perf_counter() - began)


def _ours(path: Path) -> NDArray[np.uint8]:
    return decode_grey(path, path.name).pixels_HW


def _windowed_by_pydicom(path: Path) -> NDArray[np.uint8]:
    header = dcmread(path)
    values_HW = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header, index=0)
    low, high = values_HW.min(), values_HW.max()
    return _upright(((values_HW - low) / (high - low) * 255).astype(np.uint8), header)


def _windowed_by_numpy(path: Path) -> NDArray[np.uint8]:
    header = dcmread(path)
    centre, width = float(header.WindowCenter), float(header.WindowWidth)
    values_HW = header.pixel_array.astype(np.float32)
    shares_HW = (values_HW - np.float32(centre - 0.5)) / np.float32(width - 1) + np.float32(0.5)
    return _upright((np.clip(shares_HW, 0, 1) * np.float32(255)).astype(np.uint8), header)


def _upright(grey_HW: NDArray[np.uint8], header: Dataset) -> NDArray[np.uint8]:
    return 255 - grey_HW if header.PhotometricInterpretation == "MONOCHROME1" else grey_HW


def _written(folder: Path) -> list[Path]:
    folder.mkdir()
    draw = np.random.default_rng(0)
    paths = []
    for number in range(_FILES):
        y_H1, x_1W = np.mgrid[0:_HEIGHT_PX, 0:_WIDTH_PX] / _WIDTH_PX
        waves_HW = np.sin(7 * x_1W + number) * np.cos(5 * y_H1)
        words_HW = 2048 + 1200 * waves_HW + draw.normal(0, 20, waves_HW.shape)
        paths.append(folder / f"{number:03d}.dcm")
        paths[-1].write_bytes(_encoded(words_HW.clip(0, 4095).astype(np.uint16)))
    return paths


def _encoded(words_HW: NDArray[np.uint16]) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _CR, "2.25.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = _CR, "2.25.1", "CR"
    file.PhotometricInterpretation, file.SamplesPerPixel = "MONOCHROME1", 1
    file.Rows, file.Columns = words_HW.shape
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelRepresentation = 0
    file.WindowCenter, file.WindowWidth = "2048", "2400"
    file.PixelData = words_HW.tobytes()
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
