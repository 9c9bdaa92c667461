"""A synthetic NIH ChestX-ray14: patients, images, findings, boxes, with known truth.

``anatomy`` is the normal chest and ``radiograph`` its image; ``lesions`` says where findings
lie and how large they are, ``painting`` how they look; ``imaging`` puts one image together;
``cohort`` draws patients and labels; ``drawing`` makes the image files on every core, and
``writing`` puts all of it on disk in NIH's layout.
"""

from __future__ import annotations

from core.data.phantom.writing import PhantomCounts, write_phantom

__all__ = ["PhantomCounts", "write_phantom"]
