"""How many encoded images wait at once to be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.data.cache.cache_rows import ROW, place_for
from core.data.images import decode_jobs
from core.data.images.decode_jobs import Job, KnownBytes, decoded
from core.data.images.image_file import ImageFile


@pytest.mark.parametrize(("num_bytes", "most"), [(10, 8), (400, 3), (600, 2), (5_000, 1)])
def test_images_in_flight_are_bounded_by_number_and_bytes(
    monkeypatch: pytest.MonkeyPatch, num_bytes: int, most: int
) -> None:
    """An archive's members come with their bytes; a hostile one's have 256 MiB each."""
    monkeypatch.setattr(decode_jobs, "_BYTES_IN_FLIGHT", 1_300)
    files = {
        f"{row}.png": ImageFile(f"{row}.png", "x.tar", "m", (num_bytes, 1)) for row in range(30)
    }
    place = place_for(Path("cache"), files, 16, "squash")
    asked, done, waiting = 0, 0, []

    def jobs() -> Iterator[Job]:
        nonlocal asked
        for row, name in enumerate(place.names):
            waiting.append(asked - done)
            asked += 1
            yield Job(row, files[name], bytes(num_bytes), None)

    for outcome in decoded(jobs(), place, 2, KnownBytes(np.zeros(0, ROW))):
        assert outcome.row == done
        done += 1
    assert done == 30
    assert max(waiting) == most
