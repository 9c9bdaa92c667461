"""Checks of what the headers of DICOM images say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.data.images.repair import Repair
from core.health.diagnosis import Diagnosis, Severity


def check_headers(repaired: Mapping[Repair, int], num_images: int) -> Iterator[Diagnosis]:
    """Whether names may stand in pictures.

    Args:
        repaired: how many images had each flag, as in ``ImageCache.repaired``.
        num_images: of those that were counted.
    """
    burned_in = repaired.get(Repair.BURNED_IN, 0)
    if burned_in:
        subject = "1 image is" if burned_in == 1 else f"{burned_in:,} images are"
        yield Diagnosis(
            check="images-burned-in",
            severity=Severity.WARNING,
            text=f"{subject} marked BurnedInAnnotation YES: a patient's name may stand in the "
            "picture, in the cache and in maps of it.",
            evidence={"burned_in": burned_in, "images": num_images},
            remedy="Look at these images before you share a picture, a map or the cache, and leave "
            "them out if there is a name. Text in a picture can also give its label away.",
        )
