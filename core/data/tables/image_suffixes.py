"""Endings of image files' names."""

from __future__ import annotations

DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"),
    *DICOM_SUFFIXES,
)
"""File extensions that count as images, whether or not they can be decoded."""
