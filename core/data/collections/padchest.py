"""PadChest (Hospital San Juan, Alicante): one table with a list of items a report.

Sources of the format: Bustos 2020, arXiv 1901.07441, and the published table.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

import numpy as np

from core.data.collections.collection import Collection, ReadingSettings, Rows
from core.data.tables.cell_columns import by_distinct, distinct_cells
from core.data.tables.cells import MAX_AGE_YEARS, read_sexes, views_of
from core.data.tables.label_columns import FileNames
from core.data.tables.states import ABSENT, PRESENT, UNKNOWN, LabelPolicy, States
from core.data.tables.text_file import Count, count_of
from core.data.tables.text_table import TextTable, says_nothing
from core.errors import DataError
from core.findings import NO_FINDING

_NORMAL = "normal"
_ITEMS: dict[str, Sequence[str]] = {
    "Atelectasis": (
        *("atelectasis", "laminar atelectasis", "lobar atelectasis", "segmental atelectasis"),
        *("total atelectasis", "round atelectasis", "atelectasis basal"),
    ),
    "Cardiomegaly": ("cardiomegaly",),
    "Effusion": (
        *("pleural effusion", "loculated pleural effusion", "loculated fissural effusion"),
        "hydropneumothorax",
    ),
    "Infiltration": ("infiltrates",),
    "Mass": ("mass", "pulmonary mass"),
    "Nodule": ("nodule", "multiple nodules"),
    "Pneumonia": ("pneumonia", "atypical pneumonia"),
    "Pneumothorax": ("pneumothorax", "hydropneumothorax"),
    "Consolidation": ("consolidation", "air bronchogram"),
    "Edema": ("pulmonary edema",),
    "Emphysema": ("emphysema",),
    "Fibrosis": ("pulmonary fibrosis",),
    "Pleural_Thickening": (
        *("pleural thickening", "apical pleural thickening", "calcified pleural thickening"),
    ),
    "Hernia": ("hiatal hernia",),
    "Enlarged Cardiomediastinum": ("mediastinal enlargement", "superior mediastinal enlargement"),
    "Fracture": (
        *("rib fracture", "vertebral fracture", "clavicle fracture", "humeral fracture"),
        "fracture",  # a callus is a healed one
    ),
    "Support Devices": (
        *("nsg tube", "endotracheal tube", "tracheostomy tube", "chest drain tube"),
        *("ventriculoperitoneal drain tube", "gastrostomy tube", "catheter"),
        *("central venous catheter", "central venous catheter via subclavian vein"),
        *("central venous catheter via jugular vein", "central venous catheter via umbilical vein"),
        *("reservoir central venous catheter", "pacemaker", "dual chamber device"),
        *("single chamber device", "electrical device", "dai", "artificial heart valve"),
        *("artificial mitral heart valve", "artificial aortic heart valve"),
    ),
    NO_FINDING: (_NORMAL,),
}
"""Finding -> whole items: a part of one (``mass``) also occurs in others (``mediastinal mass``)."""

_COLUMNS = frozenset(
    (
        *("ImageID", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM"),
        *("StudyDate_DICOM", "Projection", "MethodLabel", "Labels"),
    )
)
_LONGEST_CELL = 10_000


def _recognises(header: Sequence[str]) -> bool:
    return {"ImageID", "StudyID", "PatientID", "Projection", "Labels"} <= set(header)


def _read(table: TextTable, settings: ReadingSettings) -> Rows:
    column = dict(zip(table.header, table.columns, strict=True))
    images = [image.strip() for image in column["ImageID"]]
    items_of = _items_of(table, column["Labels"])
    findings, states_NA = _states(column["Labels"], items_of, settings.findings)
    counts = [*table.counts, *_label_counts(column["Labels"], items_of, images)]
    ages_N, of_ages = _ages(column, images)
    sexes = None
    if "PatientSex_DICOM" in column:
        sexes = read_sexes(column["PatientSex_DICOM"], images)
        counts += sexes.counts
    return Rows(
        images=images,
        patients=column["PatientID"],
        findings=findings,
        states_NA=states_NA,
        where=table.where,
        studies=column["StudyID"],
        age_years_N=ages_N,
        sex_N=None if sexes is None else sexes.values_N,
        view_N=views_of(column["Projection"]),
        # In numbered folders (ImageDir), in a flat one, or as resized copies: a name occurs once.
        files=FileNames({image.rpartition(".")[0] or image: image for image in images}),
        counts=(*counts, *of_ages),
        patients_of="padchest",
        notes=_notes(column),
    )


def _items_of(table: TextTable, cells: Sequence[str]) -> dict[str, tuple[str, ...] | None]:
    """Cell -> its items, folded; None: the report has no usable label.

    Raises:
        DataError: a cell that is neither a list nor says nothing.
    """
    items_of: dict[str, tuple[str, ...] | None] = {}
    for cell in distinct_cells(cells):
        items = _list_in(cell)
        if items is None:
            if not says_nothing(cell):
                raise DataError(
                    f"Labels is {cell[:80]!r}, not a list such as ['normal']",
                    where=table.where(cells.index(cell)),
                    remedy="Correct the cell, or fetch the table again: a spreadsheet may have "
                    "changed it.",
                )
            items_of[cell] = None
            continue
        there = tuple(item for item in (item.strip().casefold() for item in items) if item)
        items_of[cell] = None if not there or "exclude" in there else there
    return items_of


def _list_in(cell: str) -> list[str] | None:
    text = cell.strip()
    if not text.startswith("[") or len(text) > _LONGEST_CELL:
        return None
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return items if all(isinstance(item, str) for item in items) else None


def _states(
    cells: Sequence[str], items_of: dict[str, tuple[str, ...] | None], wanted: Sequence[str]
) -> tuple[tuple[str, ...], States]:
    """States by finding; a wanted finding that is not ours is one of the table's own items."""
    own = {name: (name.casefold(),) for name in wanted if name not in _ITEMS}
    if own:
        there = {item for items in items_of.values() for item in items or ()}
        own = {name: items for name, items in own.items() if items[0] in there}
    findings_of: dict[str, list[int]] = {}
    for place, items in enumerate([*_ITEMS.values(), *own.values()]):
        for item in items:
            findings_of.setdefault(item, []).append(place)
    code_of = {cell: code for code, cell in enumerate(items_of)}
    states_CA = np.full((len(code_of), len(_ITEMS) + len(own)), ABSENT, dtype=np.int8)
    for code, of_cell in enumerate(items_of.values()):
        if of_cell is None:
            states_CA[code] = UNKNOWN
        for item in of_cell or ():
            states_CA[code, findings_of.get(item, [])] = PRESENT
    codes_N = np.fromiter(map(code_of.__getitem__, cells), np.intp, len(cells))
    return (*_ITEMS, *own), states_CA[codes_N]


def _label_counts(
    cells: Sequence[str], items_of: dict[str, tuple[str, ...] | None], images: Sequence[str]
) -> list[Count]:
    unusable = {cell for cell, items in items_of.items() if items is None}
    reasons = {
        "no report labels (nan): unknown in every finding": {
            cell for cell in unusable if says_nothing(cell)
        },
        "labels name no item: unknown in every finding": {
            cell for cell in unusable if not says_nothing(cell) and "exclude" not in cell
        },
        "labelled exclude: unknown in every finding": {
            cell for cell in unusable if "exclude" in cell
        },
        "normal beside other items": {
            cell for cell, items in items_of.items() if items and _NORMAL in items and items[1:]
        },
    }
    counts = []
    for reason, distinct in reasons.items():
        named = [image for image, cell in zip(images, cells, strict=True) if cell in distinct]
        if named:
            counts.append(count_of(reason, named))
    return counts


def _ages(
    column: dict[str, Sequence[str]], images: Sequence[str]
) -> tuple[np.ndarray | None, list[Count]]:
    """Year of the study minus year of birth."""
    if not {"StudyDate_DICOM", "PatientBirth"} <= column.keys():
        return None, []
    years_N = _numbers([cell.strip()[:4] for cell in column["StudyDate_DICOM"]])
    ages_N = years_N - _numbers(column["PatientBirth"])
    with np.errstate(invalid="ignore"):
        outside_N = (ages_N < 0) | (ages_N > MAX_AGE_YEARS)
    ages_N[outside_N] = np.nan
    if not outside_N.any():
        return ages_N, []
    reason = f"age below 0 or above {MAX_AGE_YEARS} years treated as missing"
    return ages_N, [count_of(reason, np.array(images, dtype=object)[outside_N])]


def _numbers(cells: Sequence[str]) -> np.ndarray:
    return by_distinct(cells, _number, np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _notes(column: dict[str, Sequence[str]]) -> tuple[str, ...]:
    infiltration = "Infiltration is PadChest's item 'infiltrates' alone."
    if "MethodLabel" not in column:
        return (infiltration,)
    by_hand = column["MethodLabel"].count("Physician")
    rest = len(column["MethodLabel"]) - by_hand
    return (
        f"Physicians labelled the reports of {by_hand:,} images; a network labelled those of "
        f"{rest:,} others.",
        infiltration,
    )


PADCHEST = Collection(
    kind="padchest",
    title="PadChest",
    licence="BIMCV's research use agreement: on request, no redistribution",
    table_names=("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",),
    recognises=_recognises,
    read=_read,
    policy=LabelPolicy(blank="absent", source="not listed is absent"),
    labels_note="Physicians labelled a quarter of the reports, and a network the others.",
    wants=_COLUMNS.__contains__,
)
