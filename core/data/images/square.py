"""A whole image in grey -> the square that the network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_square(grey_HW: NDArray[np.uint8], size_px: int, resize: str) -> NDArray[np.uint8]:
    """uint8 [H, W] -> uint8 [size_px, size_px].

    Bilinear with antialiasing, as for torchvision's published weights. ``squash`` resizes each axis
    separately, ``crop`` first cuts the central square. ``crop-skimage`` is the resize of
    torchxrayvision's weights: see :func:`_as_skimage`.
    """
    return square_of(Image.fromarray(grey_HW), size_px, resize)


def square_region(width_px: int, height_px: int, resize: str) -> tuple[int, int, int, int]:
    """The part of an image that becomes the square: left, top, right, bottom in its own pixels.

    Boxes and maps use the same rectangle: x -> (x - left) * size_px / (right - left).
    """
    if resize == "squash":
        return 0, 0, width_px, height_px
    if resize in ("crop", "crop-skimage"):
        side_px = min(width_px, height_px)
        left, top = (width_px - side_px) // 2, (height_px - side_px) // 2
        if resize == "crop-skimage":  # XRayCenterCrop's centre may be one pixel further
            left, top = width_px // 2 - side_px // 2, height_px // 2 - side_px // 2
        return left, top, left + side_px, top + side_px
    raise ValueError(f"resize must be 'squash', 'crop' or 'crop-skimage', got {resize!r}")


def square_of(image: Image.Image, size_px: int, resize: str) -> NDArray[np.uint8]:
    """:func:`to_square` of an image in Pillow's mode L."""
    region = square_region(image.width, image.height, resize)
    if resize == "crop-skimage":
        return _as_skimage(np.asarray(image.crop(region)), size_px)
    small = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=region)
    return np.asarray(small)


def _as_skimage(grey_DD: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Resize a square image as torchxrayvision's XRayResizer does, in bytes.

    It scales grey to -1024 … 1024 and calls ``skimage.transform.resize(mode="constant")``: a
    Gaussian of sigma (D / size_px - 1) / 2 when the image shrinks, then linear interpolation at
    pixel centres. Beyond the edge both use 0, which is mid-grey on that scale, so the outermost
    pixels are blended with it. scikit-image 0.26 does this with the two SciPy calls below. Rounding
    to bytes costs half a grey level of 255 (4 of 2,048).
    """
    from scipy import ndimage  # slow to import

    scaled_DD = (2 * (grey_DD.astype(np.float32) / 255) - 1) * 1024
    lowest, highest = scaled_DD.min(), scaled_DD.max()
    shrinking = len(grey_DD) / size_px
    if shrinking > 1:
        sigma_px = (shrinking - 1) / 2
        scaled_DD = ndimage.gaussian_filter(scaled_DD, sigma_px, mode="grid-constant")
    scaled_SS = ndimage.zoom(
        scaled_DD, 1 / shrinking, order=1, mode="grid-constant", grid_mode=True
    ).clip(lowest, highest)
    grey_SS: NDArray[np.uint8] = np.rint((scaled_SS / 1024 + 1) / 2 * 255).astype(np.uint8)
    return grey_SS
