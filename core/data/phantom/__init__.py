"""A synthetic NIH ChestX-ray14: patients, images, findings, boxes, with known truth.

``anatomy`` is the normal chest and ``radiograph`` its image; ``lesions`` says where findings are
and how large, ``painting`` how they look; ``imaging`` composes one image; ``cohort`` draws patients
and labels; ``drawing`` renders the image files on all cores; ``writing`` writes everything to disk
in NIH's layout.
"""

from __future__ import annotations

from core.data.phantom.writing import PhantomCounts, write_phantom

__all__ = ["PhantomCounts", "write_phantom"]
