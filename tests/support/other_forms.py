"""The synthetic set written in other collections' forms: the same pixels, labels and patients."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dicoms import write_dicom
from PIL import Image as PillowImage

CHEXPERT_COLUMNS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)
SHARED_WITH_CHEXPERT = ("Cardiomegaly", "Effusion", "Pneumothorax")
"""Findings of the synthetic set that have a column in CheXpert's tables."""


@dataclass(frozen=True)
class Image:
    """One row of the synthetic set's table."""

    name: str
    findings: frozenset[str]
    patient: int
    number: int
    age: str
    sex: str
    view: str

    @property
    def file(self) -> str:
        """Its file name."""
        return self.name


def images_of(phantom: Path) -> list[Image]:
    """The rows of a synthetic set's table."""
    with (phantom / "Data_Entry_2017_v2020.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Image(
            row["Image Index"],
            frozenset(row["Finding Labels"].split("|")),
            int(row["Patient ID"]),
            int(row["Follow-up #"]),
            row["Patient Age"],
            row["Patient Gender"],
            row["View Position"],
        )
        for row in rows
    ]


def parts_of(phantom: Path) -> Mapping[str, str]:
    """Image -> ``train_val`` or ``test``, from the synthetic set's lists."""
    part_of = {}
    for part in ("train_val", "test"):
        for name in (phantom / f"{part}_list.txt").read_text().split():
            part_of[name] = part
    return part_of


def as_chexpert(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like CheXpert; the official test list becomes ``valid``.

    Files are PNG under CheXpert's names: a decoder goes by the first bytes.

    Returns:
        The synthetic set's name -> CheXpert's key.
    """
    key_of = {}
    rows: dict[str, list[Sequence[str]]] = {"train": [], "valid": []}
    part_of = parts_of(phantom)
    for image in images_of(phantom):
        part = "valid" if part_of[image.name] == "test" else "train"
        key = f"{part}/patient{image.patient:05}/study{image.number + 1:03}/view1_frontal.jpg"
        place = folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_found(phantom, image.name), place)
        labels = [_chexpert_cell(image, column) for column in CHEXPERT_COLUMNS]
        sex = {"M": "Male", "F": "Female"}[image.sex]
        path = f"CheXpert-v1.0-small/{key}"
        rows[part].append([path, sex, image.age, "Frontal", image.view, *labels])
        key_of[image.name] = key
    head = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT_COLUMNS]
    for part, records in rows.items():
        with (folder / f"{part}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *records])
    return key_of


def _chexpert_cell(image: Image, column: str) -> str:
    finding = {"Pleural Effusion": "Effusion"}.get(column, column)
    return "1.0" if finding in image.findings else ""


def _found(phantom: Path, name: str) -> Path:
    return next(phantom.rglob(name))


MIMIC_COLUMNS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum"),
    *("Fracture", "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion"),
    *("Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices"),
)


def as_mimic(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like MIMIC-CXR-JPG: metadata, split and labels apart, a study an image."""
    key_of: dict[str, str] = {}
    metadata, split, labels = [], [], []
    part_of = parts_of(phantom)
    for place, image in enumerate(images_of(phantom)):
        key = f"{image.patient:08x}-{image.number:08x}-0badc0de-00000000-{place:08x}"
        subject, study = f"{19_990_000 + image.patient}", f"{59_990_000 + place}"
        file = folder / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}" / f"{key}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_found(phantom, image.name), file)
        view = [image.view, "64", "64", "21800101", "0", "CHEST", "", "Erect"]
        metadata.append([key, subject, study, "CHEST", *view])
        part = "test" if part_of[image.name] == "test" else "train"
        split.append([key, study, subject, part])
        labels.append([subject, study, *(_chexpert_cell(image, name) for name in MIMIC_COLUMNS)])
        key_of[image.name] = key
    _write_gz(
        folder / "mimic-cxr-2.0.0-metadata.csv.gz",
        [
            *("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription"),
            *("ViewPosition", "Rows", "Columns", "StudyDate", "StudyTime"),
            *("ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning"),
            "PatientOrientationCodeSequence_CodeMeaning",
        ],
        metadata,
    )
    head = ["dicom_id", "study_id", "subject_id", "split"]
    _write_gz(folder / "mimic-cxr-2.0.0-split.csv.gz", head, split)
    head = ["subject_id", "study_id", *MIMIC_COLUMNS]
    _write_gz(folder / "mimic-cxr-2.0.0-chexpert.csv.gz", head, labels)
    return key_of


def as_padchest(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like PadChest: 16-bit PNG, findings as a list of words."""
    words = {"Cardiomegaly": "cardiomegaly", "Effusion": "pleural effusion"}
    words["Pneumothorax"] = "pneumothorax"
    key_of: dict[str, str] = {}
    rows = []
    for place, image in enumerate(images_of(phantom)):
        patient = f"9{image.patient:036}"
        study = f"{image.patient:035}{image.number:02}"
        key = f"{study}_{place:06x}.png"
        (folder / "0").mkdir(parents=True, exist_ok=True)
        grey = np.asarray(PillowImage.open(_found(phantom, image.name)).convert("L"))
        PillowImage.fromarray(grey.astype(np.uint16) * 257).save(folder / "0" / key)
        found = [word for finding, word in words.items() if finding in image.findings]
        rows.append(
            {
                "": place,
                "ImageID": key,
                "ImageDir": 0,
                "StudyDate_DICOM": "20140101",
                "StudyID": study,
                "PatientID": patient,
                "PatientBirth": f"{2014 - int(image.age)}.0",
                "PatientSex_DICOM": image.sex,
                "Projection": image.view,
                "Pediatric": "No",
                "MethodLabel": "Physician",
                "Labels": str(found or ["normal"]),
            }
        )
        key_of[image.name] = key
    source = Path(__file__).parents[1] / "collections" / "padchest" / PADCHEST_TABLE
    with source.open(newline="") as file:
        head = next(csv.reader(file))
    with (folder / PADCHEST_TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, head, restval="None", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return key_of


PADCHEST_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


def as_vindr(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like VinDr-CXR: DICOM files, three readers who agree, no patients."""
    names = {"Cardiomegaly": ("Cardiomegaly", "3"), "Effusion": ("Pleural effusion", "10")}
    names["Pneumothorax"] = ("Pneumothorax", "12")
    key_of: dict[str, str] = {}
    rows = [["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]]
    for place, image in enumerate(images_of(phantom)):
        key = f"{image.patient:016x}{image.number:08x}{place:08x}"
        grey = np.asarray(PillowImage.open(_found(phantom, image.name)).convert("L"))
        # The window's ends are black and white, so that each grey stays what it is.
        write_dicom(
            folder / "train" / f"{key}.dicom",
            grey,
            WindowCenter=128,
            WindowWidth=256,
            PhotometricInterpretation="MONOCHROME2",
        )
        found = [name for finding, name in names.items() if finding in image.findings]
        for reader in ("R1", "R2", "R3"):
            rows += [[key, *name, reader, "1.0", "1.0", "9.0", "9.0"] for name in found]
            rows += [] if found else [[key, "No finding", "14", reader, "", "", "", ""]]
        key_of[image.name] = key
    _write_csv(folder / "train.csv", rows)
    return key_of


def as_rsna(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like RSNA Pneumonia: DICOM files, a row a box; pneumothorax is its ``Target``."""
    key_of = _as_challenge(phantom, folder / "stage_2_train_images")
    rows: list[Sequence[object]] = [["patientId", "x", "y", "width", "height", "Target"]]
    for image in images_of(phantom):
        key = key_of[image.name]
        boxes = [[key, 1.0, 1.0, 9.0, 9.0, 1], [key, 20.0, 20.0, 9.0, 9.0, 1]]
        rows += boxes if _has_pneumothorax(image) else [[key, "", "", "", "", 0]]
    _write_csv(folder / "stage_2_train_labels.csv", rows)
    return key_of


def as_siim(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it like SIIM-ACR: DICOM files, masks by run lengths."""
    key_of = _as_challenge(phantom, folder / "dicom-images-train")
    rows: list[Sequence[object]] = [["ImageId", " EncodedPixels"]]
    for image in images_of(phantom):
        masks = ["29 8 1012 9", "40 2 7 3"] if _has_pneumothorax(image) else ["-1"]
        rows += [[key_of[image.name], f" {mask}"] for mask in masks]
    _write_csv(folder / "train-rle.csv", rows)
    return key_of


def as_hospital(phantom: Path, folder: Path) -> dict[str, str]:
    """Write it as a hospital hands it out: DICOM files named by nobody, with a lateral image in
    every fourth study, and a table of accession numbers."""
    window = {"WindowCenter": 128, "WindowWidth": 256, "PhotometricInterpretation": "MONOCHROME2"}
    rows = [["Accession Number", "Patient-ID", "Cardiomegaly", "Pleural effusion", "Pneumothorax"]]
    key_of = {}
    for place, image in enumerate(images_of(phantom)):
        study = f"R{2_400_000 + place}"
        grey = np.asarray(PillowImage.open(_found(phantom, image.name)).convert("L"))
        key_of[image.name] = f"{place // 20:04}/{place:04}/IM0"
        for number, view in enumerate(("PA", "LL") if place % 4 == 1 else ("PA",)):
            write_dicom(
                folder / "DICOM" / f"{place // 20:04}" / f"{place:04}" / f"IM{number}",
                grey,
                **window,
                ViewPosition=view,
                AccessionNumber=study,
                SOPInstanceUID=f"2.25.{place}.{number}",
            )
        found = [str(int(finding in image.findings)) for finding in SHARED_WITH_CHEXPERT]
        rows.append([study, f"P{image.patient}", *found])
    _write_csv(folder / "reports.csv", rows)
    return key_of


def _as_challenge(phantom: Path, folder: Path) -> dict[str, str]:
    """Write DICOM files, whose window's ends are black and white, so that each grey stays."""
    key_of = {}
    for place, image in enumerate(images_of(phantom)):
        key = f"{image.patient:08x}-{image.number:04x}-4d45-ab6a-{place:012x}"
        grey = np.asarray(PillowImage.open(_found(phantom, image.name)).convert("L"))
        window = {"WindowCenter": 128, "WindowWidth": 256}
        write_dicom(folder / f"{key}.dcm", grey, PhotometricInterpretation="MONOCHROME2", **window)
        key_of[image.name] = key
    return key_of


def _has_pneumothorax(image: Image) -> bool:
    return "Pneumothorax" in image.findings


def _write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _write_gz(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    path.write_bytes(gzip.compress(text.getvalue().encode()))
