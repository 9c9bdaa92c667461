"""DICOM radiographs of invented pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CR = "1.2.840.10008.5.1.4.1.1.1"


def chest(height_px: int = 64, width_px: int = 56, *, brightest: int = 3000) -> NDArray[np.uint16]:
    """A smooth picture of 12 bits: gradients, as a chest has, from 500 up."""
    y_H1, x_1W = np.mgrid[0:height_px, 0:width_px]
    waves = np.sin(x_1W / width_px * 7) * np.cos(y_H1 / height_px * 5)
    return (500 + (waves + 1) / 2 * (brightest - 500)).astype(np.uint16)


def dicom(words_HW: NDArray[Any], *, bits_stored: int = 12, **elements: Any) -> bytes:
    """A file with these stored pixels; ``elements`` are set, or removed where they are None."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CR, "2.25.1"
    meta.TransferSyntaxUID = elements.pop("syntax", ExplicitVRLittleEndian)
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bits_allocated = 8 * words_HW.dtype.itemsize
    header: dict[str, Any] = {
        "SOPClassUID": CR,
        "SOPInstanceUID": "2.25.1",
        "Modality": "CR",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": words_HW.shape[0],
        "Columns": words_HW.shape[1],
        "BitsAllocated": bits_allocated,
        "BitsStored": min(bits_stored, bits_allocated),
        "HighBit": min(bits_stored, bits_allocated) - 1,
        "PixelRepresentation": 0,
        "PixelData": words_HW.tobytes(),
    }
    for keyword, value in (header | elements).items():
        if value is not None:
            setattr(file, keyword, value)
    if "PixelData" in file:
        file["PixelData"].VR = "OW" if bits_allocated > 8 else "OB"
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write_dicom(path: Path, words_HW: NDArray[Any], **elements: Any) -> Path:
    """The same as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom(words_HW, **elements))
    return path


def item(**elements: Any) -> Dataset:
    """One item of a sequence."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def hospital(folder: Path, *, patients: int = 12) -> Path:
    """DICOM files without endings, and a CSV of three columns: what a hospital hands out."""
    rows = ["exam;nodule seen;tube".replace(";", ",")]
    for number in range(patients * 2):
        name = f"IM{number:06}"
        write_dicom(
            folder / "images" / name,
            chest(64 + number % 3, 64),
            PatientID=f"P-{number // 2}",
            PatientAge=f"{30 + number:03}Y",
            PatientSex="MF"[number // 2 % 2],
            ViewPosition="LL" if number % 8 == 7 else "PA",
            BurnedInAnnotation="YES" if number == 3 else "NO",
        )
        rows.append(f"{name},{number % 3 // 2},{number % 2}")
    (folder / "exams.csv").write_text("\n".join(rows) + "\n")
    return folder
