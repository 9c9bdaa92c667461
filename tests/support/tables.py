"""Small label tables, box tables, lists and image folders, in NIH's formats, for tests."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from core.data.study.index import build_index
from core.data.study.sources import DataSources, locate_sources
from core.data.study.study_index import StudyIndex
from core.recipe import Recipe

HEADER_V2020 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
HEADER_2017 = HEADER_V2020 + ","
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


def image_name(patient: int, follow_up: int = 0) -> str:
    return f"{patient:08d}_{follow_up:03d}.png"


def row_v2020(
    patient: int,
    follow_up: int = 0,
    labels: str = "No Finding",
    *,
    name: str | None = None,
    age: str = "57",
    sex: str = "M",
    view: str = "PA",
) -> str:
    name = image_name(patient, follow_up) if name is None else name
    return f"{name},{labels},{follow_up},{patient},{age},{sex},{view},2682,2749,0.143,0.143"


def row_2017(
    patient: int, follow_up: int = 0, labels: str = "No Finding", *, age: str = "057Y"
) -> str:
    name = image_name(patient, follow_up)
    return f"{name},{labels},{follow_up:03d},{patient:08d},{age},M,PA,2682,2749,0.143,0.143"


def write_v2020(path: Path, rows: Iterable[str], end: str = "\n") -> Path:
    return write_lines(path, [HEADER_V2020, *rows], end)


def write_2017(path: Path, rows: Iterable[str]) -> Path:
    return write_lines(path, [HEADER_2017, *rows], "\r\n")


def write_boxes(path: Path, rows: Iterable[str]) -> Path:
    return write_lines(path, [BOX_HEADER, *rows])


def write_lines(path: Path, lines: Iterable[str], end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def write_images(folder: Path, names: Iterable[str]) -> Path:
    """Files that bear an image's name; what finds images does not decode them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"not decoded here: " + name.encode())
    return folder


def random_rows(
    num_patients: int, seed: int = 0, findings: Sequence[str] = ("Mass", "Nodule", "Hernia")
) -> list[str]:
    """Rows of a v2020 table: one to six images a patient, each finding rarer than the last."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(1, num_patients + 1):
        for follow_up in range(rng.integers(1, 7)):
            present = [
                finding
                for rank, finding in enumerate(findings)
                if rng.random() < 0.4 / (1 + rank) ** 2
            ]
            rows.append(row_v2020(patient, follow_up, "|".join(present) or "No Finding"))
    return rows


def index_of(
    folder: Path, rows: Iterable[str], **settings: object
) -> tuple[Recipe, DataSources, StudyIndex]:
    """The labels-only index of a v2020 table of these rows, with its recipe and sources."""
    write_v2020(folder / "Data_Entry_2017_v2020.csv", rows)
    recipe = Recipe.model_validate({"dataset": {"images": folder}} | settings)
    sources = locate_sources(recipe, cache=folder / "cache", labels_only=True)
    return recipe, sources, build_index(recipe, sources, labels_only=True)


def names_in(index: StudyIndex, rows: np.ndarray) -> list[str]:
    return list(index.images[rows])
