"""Endings of image files' names."""

from __future__ import annotations

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"),
    *(".dcm", ".dicom"),
)
"""File extensions that count as images, whether or not they can be decoded."""
