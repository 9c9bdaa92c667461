"""Modality and VOI steps of a DICOM file: tables, slopes and windows, as functions of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.images.dicom_cells import first_number, whole_numbers

if TYPE_CHECKING:
    from pydicom import Dataset

Values = NDArray[np.float64]


def modality_values(
    header: Dataset, stored_W: NDArray[np.int64], *, is_little: bool
) -> tuple[Values, bool]:
    """The values that stored ones stand for, and whether they rise with them.

    The table of the Modality LUT sequence if there is one, else slope and intercept.
    """
    table = _table_of(header.get("ModalityLUTSequence"), is_little)
    if table is not None:
        first, entries_E = table
        return _looked_up(stored_W, first, entries_E), False
    slope = first_number(header, "RescaleSlope")
    intercept = first_number(header, "RescaleIntercept") or 0.0
    slope = 1.0 if slope is None else slope
    return stored_W.astype(np.float64) * slope + intercept, slope > 0


def voi_of(header: Dataset, *, is_little: bool) -> tuple[Callable[[Values], Values] | None, bool]:
    """The file's first VOI table, else its first window, as a function to 0 … 1; None without one.

    The second is whether a window is there that can't be applied: of a width that leaves two greys.
    """
    table = _table_of(header.get("VOILUTSequence"), is_little)
    if table is not None:
        first, entries_E = table
        white = (1 << max(1, int(entries_E.max()).bit_length())) - 1
        return lambda values: _looked_up(np.rint(values), first, entries_E) / white, False
    centre = first_number(header, "WindowCenter")
    width = first_number(header, "WindowWidth")
    if centre is None and width is None:
        return None, False
    if centre is None or width is None:
        return None, True
    rule = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    window = _window(rule, centre, width)
    return window, window is None


def _window(rule: str, centre: float, width: float) -> Callable[[Values], Values] | None:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if rule == "SIGMOID" and width > 0:
        # Beyond 60 widths exp would overflow, and the share is 0 or 1 anyway.
        return lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -60, 60)))
    if rule == "LINEAR_EXACT" and width > 0:
        return lambda values: np.clip((values - centre) / width + 0.5, 0, 1)
    if rule not in ("SIGMOID", "LINEAR_EXACT") and width > 1:
        return lambda values: np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    return None


def _looked_up(values: NDArray[Any], first: int, entries_E: NDArray[np.int64]) -> Values:
    places = np.clip(values - first, 0, len(entries_E) - 1).astype(np.int64)
    found: Values = entries_E.astype(np.float64)[places]
    return found


def _table_of(
    sequence: Sequence[Dataset] | None, is_little: bool
) -> tuple[int, NDArray[np.int64]] | None:
    """The first mapped value and the entries of a sequence's first table."""
    if not sequence:
        return None
    item = sequence[0]
    descriptor = whole_numbers(item.get("LUTDescriptor"), is_little)
    entries_E = np.array(whole_numbers(item.get("LUTData"), is_little), np.int64)
    if len(descriptor) < 3 or not len(entries_E):
        raise ValueError("a lookup table without entries")
    num_entries = descriptor[0] or 1 << 16
    if len(entries_E) * 2 == num_entries:  # two entries of 8 bits in each word
        entries_E = np.stack([entries_E & 255, entries_E >> 8], axis=1).ravel()
    first = descriptor[1] - (1 << 16 if descriptor[1] >= 1 << 15 and _is_signed(item) else 0)
    return first, entries_E[:num_entries]


def _is_signed(item: Dataset) -> bool:
    """Whether the first mapped value is signed by its value representation."""
    element = item.get_item("LUTDescriptor")
    return element is not None and element.VR == "SS"
