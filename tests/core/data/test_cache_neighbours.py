"""Caches in places where others write too: links, foreign folders, and what killed runs leave."""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from cached_images import found, holds_what_the_files_hold, opened, ready, write_images

from core.data.cache.cache import ImageCache
from core.data.images.archives import list_archive
from core.data.study.sources import locate_sources
from core.errors import DataError
from core.recipe import PhantomSettings
from core.recipe_toml import load_recipe
from core.store.own_folder import require_own

OTHERS_NUMBER = 4_242_424

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    write_images(tmp_path / "nih", 4)
    return opened(tmp_path / "cache", tmp_path / "nih")


def prepare_one_more(tmp_path: Path) -> ImageCache:
    """Another image's bytes, under the same name and size: the cache has to be written."""
    write_images(tmp_path / "nih", 1, seed=5)
    return opened(tmp_path / "cache", tmp_path / "nih")


def as_symbolic_link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def as_hard_link(path: Path, target: Path) -> None:
    path.hardlink_to(target)


@pytest.mark.parametrize("name", ["lock", "pixels.u8", "rows.bin"])
@pytest.mark.parametrize("linked", [as_symbolic_link, as_hard_link])
def test_nothing_is_written_through_a_link(
    tmp_path: Path, cache: ImageCache, name: str, linked: Callable[[Path, Path], None]
) -> None:
    path, precious = cache.folder / name, tmp_path / "thesis"
    precious.write_bytes(before := path.read_bytes() or b"my thesis")
    path.unlink()
    linked(path, precious)
    with pytest.raises(DataError, match=rf"{name}: is a (link|hard link).*--cache DIR") as refused:
        prepare_one_more(tmp_path)
    assert refused.value.exit_code == 3
    assert precious.read_bytes() == before


def test_a_link_where_the_cache_s_folder_should_be_is_refused(
    tmp_path: Path, cache: ImageCache
) -> None:
    aside = cache.folder.rename(tmp_path / "aside")
    cache.folder.symlink_to(aside)
    with pytest.raises(DataError, match="is a link, but the cache needs a real folder there"):
        opened(tmp_path / "cache", tmp_path / "nih")


@is_root
@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_another_s_folder_in_a_place_open_to_everybody_is_not_believed(
    tmp_path: Path, cache: ImageCache, mode: int
) -> None:
    cache.folder.parent.chmod(mode)
    os.chown(cache.folder, OTHERS_NUMBER, -1)
    with pytest.raises(DataError, match=f"belongs to another user .number {OTHERS_NUMBER}"):
        opened(tmp_path / "cache", tmp_path / "nih")
    with pytest.raises(DataError, match="belongs to another user"):
        ready(tmp_path / "cache", tmp_path / "nih")


@is_root
@pytest.mark.parametrize("made", ["the cache", "a folder above it", "a link to it"])
def test_a_cache_that_another_put_into_a_place_open_to_everybody_is_refused(
    tmp_path: Path, cache: ImageCache, made: str
) -> None:
    """Also where the owner of the cache has made what stands in it."""
    (shared := tmp_path / "shared").mkdir()
    shared.chmod(0o1777)
    for path in (tmp_path / "cache", cache.folder):
        os.chown(path, OTHERS_NUMBER, -1)
    if made == "a link to it":
        root = planted = shared / "cache"
        planted.symlink_to(tmp_path / "cache")
        os.chown(planted, OTHERS_NUMBER, -1, follow_symlinks=False)
    elif made == "the cache":
        root = planted = (tmp_path / "cache").rename(shared / "cache")
    else:
        (planted := shared / "tools").mkdir()
        os.chown(planted, OTHERS_NUMBER, -1)
        root = (tmp_path / "cache").rename(planted / "cache")
    with pytest.raises(DataError, match=rf"belongs to another user .number {OTHERS_NUMBER}") as one:
        ready(root, tmp_path / "nih")
    assert str(one.value).startswith(f"{planted}: ")
    phantom = load_recipe("demo", ["dataset.phantom={patients=5,size_px=64,seed=1}"])
    with pytest.raises(DataError, match=r"belongs to another user.*--cache"):
        locate_sources(phantom, cache=root)


@is_root
def test_the_owner_of_a_place_open_to_everybody_is_believed_no_more_than_others(
    tmp_path: Path, cache: ImageCache
) -> None:
    cache.folder.parent.chmod(0o1777)
    for path in (cache.folder.parent, cache.folder):
        os.chown(path, OTHERS_NUMBER, -1)
    with pytest.raises(DataError, match="belongs to another user"):
        ready(tmp_path / "cache", tmp_path / "nih")


@pytest.fixture
def as_a_plain_user() -> Iterator[Path]:
    """We are one, with a group of our own; gives a folder of ours."""
    groups = os.getgroups()
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, OTHERS_NUMBER + 1, OTHERS_NUMBER + 1)
        os.setgroups([])
        os.setegid(OTHERS_NUMBER + 1)
        os.seteuid(OTHERS_NUMBER + 1)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


@is_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_believed"),
    [
        (OTHERS_NUMBER, OTHERS_NUMBER, 0o755, False),
        (OTHERS_NUMBER, OTHERS_NUMBER + 1, 0o2750, True),
        (OTHERS_NUMBER, OTHERS_NUMBER, 0o1777, True),
        (0, 0, 0o755, True),
        (OTHERS_NUMBER + 1, OTHERS_NUMBER + 1, 0o755, True),
    ],
    ids=["another's", "our group's", "everybody's", "root's", "ours"],
)
def test_a_cache_is_our_own_root_s_or_our_group_s(
    as_a_plain_user: Path, owner: int, group: int, mode: int, is_believed: bool
) -> None:
    (root := as_a_plain_user / "cache").mkdir()
    os.seteuid(0)
    os.chown(root, owner, group)
    root.chmod(mode)
    os.seteuid(OTHERS_NUMBER + 1)
    with nullcontext() if is_believed else pytest.raises(DataError, match="none of your groups"):
        require_own(root / "224px")


@is_root
def test_a_group_s_cache_is_shared(tmp_path: Path, cache: ImageCache) -> None:
    cache.folder.parent.chmod(0o2775)
    os.chown(cache.folder, OTHERS_NUMBER, -1)
    assert holds_what_the_files_hold(prepare_one_more(tmp_path), tmp_path / "nih")


@is_root
def test_rows_and_listings_of_another_s_folder_are_not_taken_over(
    tmp_path: Path, cache: ImageCache
) -> None:
    cache.folder.parent.chmod(0o1777)
    os.chown(cache.folder, OTHERS_NUMBER, -1)
    (cache.folder / "pixels.u8").write_bytes(bytes(4 * 256))
    write_images(tmp_path / "nih", 1, first=50)
    assert holds_what_the_files_hold(opened(tmp_path / "cache", tmp_path / "nih"), tmp_path / "nih")
    assert len(found(tmp_path / "nih")) == 5


def test_what_killed_writers_left_of_a_cache_is_removed_and_nothing_else(
    tmp_path: Path, cache: ImageCache
) -> None:
    ours = [".pixels.u8.abcd0123", ".rows.bin.ffffffff", ".manifest.json.0000000e"]
    others = [".notes.personal", ".pixels.u8.original", ".pixels.u8.20261129", "pixels.u8.abcd0123"]
    for name in ours + others:
        (cache.folder / name).write_text("x")
    prepare_one_more(tmp_path)
    left = {path.name for path in cache.folder.iterdir()}
    assert left.isdisjoint(ours)
    assert left.issuperset(others)


def test_what_killed_runs_left_of_a_phantom_is_removed_once_nobody_draws(tmp_path: Path) -> None:
    cache, settings = tmp_path / "cache", PhantomSettings(patients=5, size_px=64, seed=1)
    killed = [".phantom-5-64-1.0123abcd", "..phantom-9-64-0.89abcdef.unfinished-00ff00ff"]
    others = [".phantom-5-64-1.notes", ".phantom-5-64-1.0123abcd.bak", "phantom-9-64-0"]
    for name in killed + others:
        (cache / name).mkdir(parents=True)
    recipe = load_recipe(
        "demo", [f"dataset.phantom={{patients={settings.patients},size_px=64,seed=1}}"]
    )
    seen: list[set[str]] = []

    def while_another_draws(_: PhantomSettings, folder: Path) -> Path:
        (cache / killed[0]).mkdir()  # it belongs to somebody who is drawing now
        locate_sources(
            load_recipe("demo", ["dataset.phantom={patients=6,size_px=64,seed=1}"]),
            cache=cache,
            make_phantom=draw,
        )
        seen.append({path.name for path in cache.iterdir()})
        return draw(settings, folder)

    def draw(_: PhantomSettings, folder: Path) -> Path:
        folder.mkdir()
        (folder / "Data_Entry_2017_v2020.csv").write_text("x")
        return folder

    locate_sources(recipe, cache=cache, make_phantom=while_another_draws)
    assert killed[0] in seen[0]
    assert killed[1] not in seen[0]
    left = {path.name for path in cache.iterdir()}
    assert left.issuperset([*others, "phantom-5-64-1", "phantom-6-64-1"])


def test_a_listing_s_leftovers_go_once_they_are_old(tmp_path: Path) -> None:
    archive, listings = tmp_path / "images.tar", tmp_path / "listings"
    tarfile.open(archive, "w").close()
    list_archive(archive, listings)
    (kept,) = listings.iterdir()
    old, young = (listings / f".{kept.name}.{letter * 8}" for letter in "ab")
    for path in (old, young, listings / ".notes.personal"):
        path.write_text("x")
    os.utime(old, (0, 0))
    os.utime(listings / ".notes.personal", (0, 0))
    tarfile.open(archive, "w").close()
    list_archive(archive, listings)
    assert {path.name for path in listings.iterdir()} == {kept.name, young.name, ".notes.personal"}


def test_a_cache_s_files_are_as_open_as_the_user_s_mask_says(
    tmp_path: Path, cache: ImageCache
) -> None:
    mask = os.umask(0o22)
    os.umask(mask)
    for path in cache.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
