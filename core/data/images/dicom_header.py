"""View, age, sex and patient from a DICOM header, for tables that lack such columns; and the
identifiers by which a table may name an image or its study.

Nothing else of the header is kept: names, dates and descriptions are read and forgotten.
"""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from core.data.images.decode import MAX_ENCODED_BYTES
from core.data.images.dicom import named_errors
from core.data.images.dicom_cells import whole_number, word
from core.data.images.dicom_file import (
    SYNTAX_END,
    is_deflated,
    is_dicom,
    loaded_pydicom,
    read_file,
    refuse_no_picture,
    tags_of,
)
from core.data.tables.cells import MAX_AGE_YEARS
from core.data.tables.dates import age_in_years
from core.regular_file import open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

PA, AP, FRONTAL, LATERAL = "PA", "AP", "frontal", "lateral"
OBLIQUE, DECUBITUS, OTHER, UNKNOWN = "oblique", "decubitus", "other", "unknown"

_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_KEYWORDS = (
    *("SOPClassUID", "Modality"),
    *("ViewPosition", "ViewCodeSequence", "PatientOrientation"),
    *_DESCRIPTIONS,
    *("PatientAge", "PatientBirthDate", "StudyDate", "PatientSex"),
    *("PatientID", "IssuerOfPatientID", "BurnedInAnnotation"),
)
IDENTIFIERS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber")
"""By which a table may name an image, its series or its study, the narrowest first."""
_AGE = re.compile(r"0*([0-9]{1,4}) ?([DWMY]?)")
_YEARS_PER_UNIT = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_DATE = re.compile(r"([0-9]{4})[.-]?([0-9]{2})[.-]?([0-9]{2})")

_WORDS = re.compile(r"[A-Z]+")
_LYING = frozenset({"LLD", "RLD", "DECUB", "DECUBITUS"})
_OBLIQUES = frozenset({"LAO", "RAO", "LPO", "RPO", "OBLIQUE", "OBLICUA", "OBL"})
_LATERALS = frozenset({"LATERAL", "LAT", "LL", "RL", "L", "SWIMMERS"})
# A single L or LL in a description is rather a side or a name than a view.
_LATERALS_IN_TEXT = frozenset({"LATERAL", "LAT"})
_PAS = frozenset({"PA", "POSTEROANTERIOR"})
_APS = frozenset({"AP", "ANTEROPOSTERIOR"})
_UNSAID = frozenset({"", "NAN", "UNK", "UNKNOWN", "NONE", "NA"})


@dataclass(frozen=True)
class DicomHeader:
    """What a header says of an image.

    Attributes:
        view: ``PA``, ``AP``, ``frontal`` (one of both), ``lateral``, ``oblique``, ``decubitus``
            (lying on a side), ``other`` or ``unknown``.
        age_years: None if unknown; ``000Y`` and ages above 120 are.
        sex: ``M``, ``F`` or ''.
        patient: PatientID, with its issuer as ``id^^^issuer`` where there is one; None if empty.
        is_burned_in: whether a name may stand in the picture.
        identifiers: the values of ``IDENTIFIERS``, '' where it has none.
    """

    view: str
    age_years: float | None
    sex: str
    patient: str | None
    is_burned_in: bool
    identifiers: tuple[str, ...]


def read_dicom_header(file: Path | bytes, name: str) -> DicomHeader | None:
    """What the header says, without reading pixels; None if it is no DICOM file.

    Raises:
        UndecodableImage: the header is damaged, or of a structured report or the like.
        OSError: the file can't be read.
    """
    header = _opened(file, name)
    if header is None:
        return None
    with named_errors(name, "header"):
        return DicomHeader(
            view=_view(header),
            age_years=_age_years(header),
            sex=sex if (sex := word(header, "PatientSex")) in ("M", "F") else "",
            patient=_patient(header),
            is_burned_in=word(header, "BurnedInAnnotation") == "YES",
            identifiers=tuple(_text(header, keyword) for keyword in IDENTIFIERS),
        )


def dicom_size(file: Path, name: str) -> tuple[int, int] | None:
    """Columns and rows of the stored picture by its header; None if it is no DICOM file, or says
    none.

    Raises:
        UndecodableImage: the header is damaged.
        OSError: the file can't be read.
    """
    with open_regular(file) as stream:
        start = stream.read(SYNTAX_END)
        if not is_dicom(start) or is_deflated(start):
            return None
        stream.seek(0)
        with named_errors(name, "header"):
            header = loaded_pydicom().dcmread(
                stream, stop_before_pixels=True, force=True, specific_tags=["Rows", "Columns"]
            )
            columns, rows = (whole_number(header, key, 0) for key in ("Columns", "Rows"))
    return (columns, rows) if min(columns, rows) > 0 else None


def tell_patients(patients: Collection[str | None]) -> bool:
    """Whether these tell one patient from another: none is empty, and they aren't all one word.

    ``ANONYMOUS`` or ``0`` in every file is no patient: a split by patient would be one by nothing.
    """
    return None not in patients and (len(patients) < 2 or len(set(patients)) > 1)


def _opened(file: Path | bytes, name: str) -> Dataset | None:
    """The header's elements that are of use; None if it is no DICOM file."""
    if isinstance(file, bytes):
        return _read(io.BytesIO(file), name)
    with open_regular(file) as stream:
        return _read(stream, name)


def _read(stream: BinaryIO, name: str) -> Dataset | None:
    start = stream.read(SYNTAX_END)
    if not is_dicom(start):
        return None
    with named_errors(name, "header"):
        if is_deflated(start):
            content = start + stream.read(MAX_ENCODED_BYTES)
            return read_file(content, name, MAX_ENCODED_BYTES, _tags()).header
        stream.seek(0)
        header: Dataset = loaded_pydicom().dcmread(
            stream, stop_before_pixels=True, force=True, specific_tags=list(_tags())
        )
        refuse_no_picture(header, "", name)
        return header


@cache
def _tags() -> tuple[int, ...]:
    return tuple(tags_of((*_KEYWORDS, *IDENTIFIERS)))


def _view(header: Dataset) -> str:
    said = _view_in(word(header, "ViewPosition"))
    codes = header.get("ViewCodeSequence")
    if said == UNKNOWN and codes:
        said = _view_in(word(codes[0], "CodeMeaning"))
    if said == UNKNOWN:
        said = {"L": FRONTAL, "R": FRONTAL, "A": LATERAL, "P": LATERAL}.get(
            word(header, "PatientOrientation")[:1], UNKNOWN
        )
    if said not in (UNKNOWN, FRONTAL):
        return said
    described = {_view_in_text(word(header, key)) for key in _DESCRIPTIONS} - {UNKNOWN}
    if said == FRONTAL:
        described &= {PA, AP}
    return described.pop() if len(described) == 1 else said


def _view_in(text: str) -> str:
    """The view that a cell names, in any spelling met in the public collections."""
    joined = text.replace("-", "")
    words = frozenset(_WORDS.findall(joined))
    if joined in _UNSAID or not words:
        return UNKNOWN
    kinds = (
        (_LYING, DECUBITUS),
        (_OBLIQUES, OBLIQUE),
        (_LATERALS, LATERAL),
        (_PAS, PA),
        (_APS, AP),
        (frozenset({"FRONTAL"}), FRONTAL),
    )
    return next((view for known, view in kinds if words & known), OTHER)


def _view_in_text(text: str) -> str:
    """The view that a description names; unknown if it names several, as of a whole study."""
    words = frozenset(_WORDS.findall(text.replace("-", "")))
    kinds = (
        (_LYING, DECUBITUS),
        (_OBLIQUES, OBLIQUE),
        (_LATERALS_IN_TEXT, LATERAL),
        (_PAS, PA),
        (_APS, AP),
    )
    named = [view for known, view in kinds if words & known]
    if DECUBITUS in named:
        return DECUBITUS
    return named[0] if len(named) == 1 else UNKNOWN


def _age_years(header: Dataset) -> float | None:
    """By PatientAge, else by the dates of birth and study."""
    match = _AGE.fullmatch(word(header, "PatientAge"))
    if match:
        age_years = int(match[1]) * _YEARS_PER_UNIT[match[2]]
        is_said = age_years > 0 or match[2] in ("D", "W", "M")
        if is_said and age_years <= MAX_AGE_YEARS:
            return age_years
    born, studied = (_date(header, key) for key in ("PatientBirthDate", "StudyDate"))
    return None if born is None or studied is None else age_in_years(born, studied)


def _date(header: Dataset, keyword: str) -> datetime.date | None:
    match = _DATE.fullmatch(word(header, keyword))
    if not match:
        return None
    try:
        return datetime.date(*map(int, match.groups()))
    except ValueError:
        return None


def _patient(header: Dataset) -> str | None:
    """As written, since capitals may tell patients apart."""
    patient, issuer = _text(header, "PatientID"), _text(header, "IssuerOfPatientID")
    if not patient:
        return None
    return f"{patient}^^^{issuer}" if issuer else patient


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword) or "").strip("\0 \t\r\n")
