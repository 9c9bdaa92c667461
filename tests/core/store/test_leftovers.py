"""What a run removes: what it wrote itself and needs no more, never a file of the user's."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.recipe import Recipe
from core.store.checkpoint import write_checkpoint
from core.store.session import Session
from core.store.sessions import create_session

OF_THE_USER = (
    "checkpoints/best-000001.safetensors.bak",
    "checkpoints/last-000001.safetensors.bak",
    "checkpoints/last-000001.json.keep",
    "checkpoints/last-000001.training.safetensors.20261129",
    "checkpoints/.last-000001.json.original",
    "checkpoints/.last-000001.json.20261129",
    "checkpoints/last-000999.safetensors",
    "checkpoints/notes.json",
    ".notes.personal",
    ".notes.0123abcd",
    ".recipe.toml.original",
    ".recipe.toml.20261129",
    "mine/.recipe.toml.0123abcd",
    "predictions/.mine.csv.0123abcd",
)
OURS = (
    ".dataset.json.0123abcd",
    ".results-test.csv.abcdef00",
    "predictions/.val.csv.0123abcd",
    "evaluation/.test.json.0123abcd",
    "cams/.Mass-00000001_000-grad-cam.png.0123abcd",
    "charts/.loss.png.0123abcd",
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return create_session(tmp_path / "sessions", Recipe(), "x")


def put(session: Session, names: tuple[str, ...], *, hours_ago: float = 2) -> None:
    then = time.time() - 3600 * hours_ago
    for name in names:
        path = session.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        os.utime(path, (then, then))


def there(session: Session, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (session.path / name).exists()]


def write(session: Session, *steps: int) -> None:
    for step in steps:
        for name in ("last", "best"):
            write_checkpoint(session.checkpoints, name, {"w": torch.zeros(1)}, {"step": step}, {})


def test_copies_and_notes_beside_ours_stay(session: Session) -> None:
    write(session, 1, 2)
    put(session, OF_THE_USER)
    with session.writing():
        write(session, 3, 4)
    assert there(session, OF_THE_USER) == list(OF_THE_USER)
    kept = {f"{name}-00000{n}.json" for name in ("last", "best") for n in (3, 4)}
    assert {path.name for path in session.checkpoints.glob("????-00000?.json")} == kept


def test_what_killed_writers_left_of_ours_is_removed(session: Session) -> None:
    put(session, OURS)
    unfinished = ("checkpoints/.last-000002.safetensors.0123abcd",)
    put(session, unfinished, hours_ago=0)
    with session.writing():
        write(session, 1)
    assert there(session, (*OURS, *unfinished)) == []


def test_what_somebody_is_writing_stays_however_long_it_takes(session: Session) -> None:
    put(session, OURS)
    with (session.path / OURS[0]).open() as held, session.writing():
        assert there(session, OURS) == []
        put(session, OURS)
        fcntl.flock(held, fcntl.LOCK_EX)
    with (session.path / OURS[0]).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with session.writing():
            assert there(session, OURS) == [OURS[0]]


def test_what_was_begun_just_now_stays(session: Session) -> None:
    put(session, OURS, hours_ago=0)
    with session.writing():
        assert there(session, OURS) == list(OURS)


AT_ITS_END = "pathlib.Path.unlink"


class Killed(BaseException):
    """As a signal that no handler hears: nothing is tidied up."""


@pytest.fixture
def half_made(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Path]:
    """A session as a process leaves it that is killed while it makes one."""

    def killed(*_: object) -> None:
        raise Killed

    def left(sessions: Path, moment: str) -> Path:
        with monkeypatch.context() as patched:
            patched.setattr(moment, killed)
            with pytest.raises(Killed):
                create_session(sessions, Recipe(), "x")
        (folder,) = sessions.iterdir()
        return folder

    return left


def make_old(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (0, 0))


HalfMade = Callable[[Path, str], Path]


@pytest.mark.parametrize("moment", ["core.store.sessions.write_whole", AT_ITS_END])
def test_a_session_that_was_not_made_to_the_end_is_removed_once_it_is_old(
    tmp_path: Path, half_made: HalfMade, moment: str
) -> None:
    left = half_made(tmp_path, moment)
    create_session(tmp_path, Recipe(), "y")
    assert left.is_dir()
    make_old(left)
    create_session(tmp_path, Recipe(), "z")
    assert {path.name for path in tmp_path.iterdir()} == {"y", "z"}


@pytest.mark.parametrize(
    ("name", "added"),
    [
        (".x.0123abcd", "checkpoints/last-000001.json"),
        (".x.0123abcd", "notes.txt"),
        (".x.0123abcd", "events.jsonl"),
        (".x.original", None),
        (".x.20261129", None),
        ("x.0123abcd", None),
    ],
)
def test_a_hidden_copy_with_anything_in_it_stays(
    tmp_path: Path, half_made: HalfMade, name: str, added: str | None
) -> None:
    copy = half_made(tmp_path, AT_ITS_END).rename(tmp_path / name)
    if added is not None:
        (copy / added).write_text("x")
    make_old(copy)
    before = sorted(copy.rglob("*"))
    create_session(tmp_path, Recipe(), "y")
    assert sorted(copy.rglob("*")) == before


def test_hidden_folders_of_the_users_stay_whatever_they_are_called(tmp_path: Path) -> None:
    session = create_session(tmp_path, Recipe(), "whole").path
    session.rename(tmp_path / ".whole.deadbeef")
    for name in (".best-recipe.2024", ".best-recipe.0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.toml").write_text("name = 'best'")
    for name in (".empty.2023", ".empty.0123abcd", ".kept.deadbeef"):
        (tmp_path / name).mkdir()
    make_old(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    create_session(tmp_path, Recipe(), "y")
    shutil.rmtree(tmp_path / "y")
    assert sorted(tmp_path.rglob("*")) == before
