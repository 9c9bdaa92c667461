"""A session goes on with the images that it began with, bit for bit, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cached_images import SIZE_PX, found, opened, write_images

from core.data.batches import Part
from core.data.cache.cache import ImageCache, open_cache
from core.errors import DataError
from core.events import Event
from core.recipe_toml import load_recipe
from core.store.session import Session
from core.store.sessions import create_session
from core.training.context import RunContext
from core.training.resuming.same_images import require_same_content, tell_mended


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = create_session(tmp_path / "sessions", load_recipe("demo"), "x")
    made.write_json("dataset.json", {"images": 4})
    return made


def part_of(cache: ImageCache) -> Part:
    names = [name for name in cache.names if name not in cache.quarantined]
    return Part(
        name="train",
        cache=cache,
        cache_rows_N=cache.rows_of(names),
        index_rows_N=np.arange(len(names)),
        images_N=np.array(names, dtype=object),
        patients_N=np.arange(len(names)),
        labels_NF=np.zeros((len(names), 1), dtype=np.float32),
    )


def look(session: Session, cache: ImageCache) -> list[Event]:
    told: list[Event] = []
    context = RunContext(session, None, told.append, lambda write: write())
    require_same_content(context, {"train": part_of(cache)})
    return told


def test_the_same_images_elsewhere_and_in_another_cache_are_gone_on_with(
    tmp_path: Path, session: Session
) -> None:
    write_images(tmp_path / "nih", 4)
    assert look(session, opened(tmp_path / "cache", tmp_path / "nih")) == []
    (tmp_path / "nih").rename(tmp_path / "moved")
    assert look(session, opened(tmp_path / "other", tmp_path / "moved")) == []
    assert session.read_json("dataset.json")["images"] == 4  # type: ignore[index]


def test_an_image_of_other_bytes_is_refused_by_name(tmp_path: Path, session: Session) -> None:
    names = write_images(tmp_path / "nih", 4)
    look(session, opened(tmp_path / "cache", tmp_path / "nih"))
    write_images(tmp_path / "nih", 1, seed=9, first=3)
    with pytest.raises(DataError, match=f"started with: {names[2]} had other bytes") as refused:
        look(session, opened(tmp_path / "cache", tmp_path / "nih"))
    assert refused.value.exit_code == 3
    with pytest.raises(DataError, match="can't tell which"):
        look(session, opened(tmp_path / "new", tmp_path / "nih"))


def test_an_image_that_can_no_longer_be_decoded_is_refused_by_name(
    tmp_path: Path, session: Session
) -> None:
    names = write_images(tmp_path / "nih", 4)
    look(session, opened(tmp_path / "cache", tmp_path / "nih"))
    write_images(tmp_path / "nih", 1, first=2, seed=3)
    files = found(tmp_path / "nih")
    (tmp_path / "nih" / names[1]).unlink()
    cache = open_cache(
        tmp_path / "cache", files, names, size_px=SIZE_PX, resize="squash", max_quarantined_share=1
    )
    with pytest.raises(DataError, match=f"3 can be decoded now, and 4 could then; {names[1]}: can"):
        look(session, cache)


def test_a_session_of_an_earlier_version_goes_on_and_that_is_said_once(
    tmp_path: Path, session: Session
) -> None:
    write_images(tmp_path / "nih", 4)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    for ending in ("json", "safetensors"):
        (session.checkpoints / f"last-000001.{ending}").write_text("{}")
    (told,) = look(session, cache)
    assert "started before the digest of image files was recorded" in told.message  # type: ignore[attr-defined]
    assert look(session, cache) == []


def test_what_was_mended_is_told_once(tmp_path: Path) -> None:
    names = write_images(tmp_path / "nih", 4)
    cache = opened(tmp_path / "cache", tmp_path / "nih")
    (cache.folder / "pixels.u8").write_bytes(bytes(4 * SIZE_PX**2))
    cache.pixels(np.arange(3))
    told: list[Event] = []
    for _ in range(2):
        tell_mended(cache, told.append)
    (warning,) = told
    assert f"{names[0]} and 2 more didn't match their checksum" in warning.message  # type: ignore[attr-defined]
