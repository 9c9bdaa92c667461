"""Sample some images of a part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.data.study.study import Study


def sampled_rows(study: Study, part: str, count: int) -> NDArray[np.int64]:
    """At most ``count`` rows of the index, spread over the part.

    If images are in archives, these are the first ones of the first archive: an archive is read
    from front to back, so images spread over it would cost a full pass.
    """
    rows = study.rows(part)
    files = [study.index.files[name] for name in study.index.images[rows]]
    if any(file.member is not None for file in files):
        order = sorted(range(len(rows)), key=lambda at: (files[at].path, files[at].member or ""))
        return np.asarray(rows[order[:count]], dtype=np.int64)
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
    return np.asarray(rows[places], dtype=np.int64)
