"""Where a file should be there is a pipe, a device, a folder, a link in a circle: none hangs us."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from core.data.cache.quarantine import read_quarantine
from core.data.images.archives import list_archive
from core.data.images.decode import decode_grey
from core.data.images.image_files import find_images
from core.data.tables.boxes import read_boxes
from core.data.tables.image_lists import read_image_list
from core.data.tables.label_table import read_label_table
from core.data.tables.text_file import table_bytes
from core.errors import CxrError, DataError, RecipeError, SessionError, UsageError
from core.evaluation.maps.cam_table import read_maps
from core.evaluation.predictions import read_predictions
from core.model.weights import load_weights
from core.recipe import Recipe
from core.recipe_toml import load_recipe
from core.store.checkpoint import read_checkpoint, verify_model_file
from core.store.event_log import EventReader
from core.store.sessions import create_session
from core.store.summary import SessionSummary
from cxr_tui.app.keymap import keymap_path, read_keymap

pytestmark = pytest.mark.usefixtures("within_a_minute")

REFUSING: dict[str, Callable[[Path], object]] = {
    "label table": read_label_table,
    "box table": read_boxes,
    "image list": read_image_list,
    "digests": table_bytes,
    "predictions": read_predictions,
    "recipe": load_recipe,
    "weights": lambda path: load_weights(str(path), ["Mass"], seed=0),
    "archive": list_archive,
}
LENIENT: dict[str, Callable[[Path], object]] = {
    "quarantine": read_quarantine,
    "cams.csv": lambda path: len(read_maps(path)),
    "events": lambda path: [*EventReader(path).new_events(), *EventReader(path).tail()],
}


def make(kind: str, path: Path) -> Path:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "circle":
        path.symlink_to(path.with_name("back"))
        path.with_name("back").symlink_to(path)
    elif kind == "link to a pipe":
        path.symlink_to(make("pipe", path.with_name("elsewhere")))
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "link to nothing":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has a hundred letters at most
        socket.socket(socket.AF_UNIX).bind(path.name)
        os.chdir(here)
    return path


KINDS = pytest.mark.parametrize(
    "kind",
    [
        *("pipe", "folder", "circle", "socket"),
        *("link to a pipe", "link to a device", "link to nothing"),
    ],
)


@KINDS
@pytest.mark.parametrize("door", REFUSING)
def test_what_is_no_file_is_refused_by_its_path(tmp_path: Path, door: str, kind: str) -> None:
    path = make(kind, tmp_path / "images.tar")
    with pytest.raises(CxrError) as caught:
        REFUSING[door](path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code in (2, 3)


@KINDS
@pytest.mark.parametrize("door", LENIENT)
def test_what_may_be_missing_is_nothing_where_it_is_no_file(
    tmp_path: Path, door: str, kind: str
) -> None:
    assert not LENIENT[door](make(kind, tmp_path / "x"))


def test_a_pipe_is_called_a_pipe_and_a_device_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="it is a pipe, not a regular file"):
        read_label_table(tmp_path / "pipe")
    with pytest.raises(RecipeError, match="it is a device, not a regular file"):
        load_recipe("/dev/zero")


def test_a_pipe_that_somebody_feeds_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    feeder = os.open(path, os.O_RDWR)  # both ends: it never waits for who reads
    try:
        os.write(feeder, b"Image Index,Finding Labels\n")
        with pytest.raises(DataError, match="a pipe"):
            read_label_table(path)
    finally:
        os.close(feeder)


def test_an_image_that_became_a_pipe_after_the_look_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a pipe"):
        decode_grey(make("pipe", tmp_path / "a.png"), "a.png")


def test_pipes_devices_and_circles_beside_the_images_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"an image")
    make("pipe", tmp_path / "b.png")
    make("link to a device", tmp_path / "c.png")
    make("circle", tmp_path / "d.png")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "images_01.tar")
    found = find_images(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    assert list(found.files) == ["a.png"]


@KINDS
@pytest.mark.parametrize("name", ["dataset.json", "environment.json", "evaluation/test.json"])
def test_a_sessions_json_that_is_no_file_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    session = create_session(tmp_path, Recipe(), "t")
    make(kind, session.path / name)
    if kind == "link to nothing":
        assert session.read_json(name) is None
    else:
        with pytest.raises(SessionError, match="can't be read"):
            session.read_json(name)


@KINDS
@pytest.mark.parametrize("name", ["events.jsonl", "heartbeat", "lock", "log.txt"])
def test_a_session_whose_own_files_are_none_is_listed_and_not_written(
    tmp_path: Path, name: str, kind: str
) -> None:
    session = create_session(tmp_path, Recipe(), "t")
    (session.path / name).unlink(missing_ok=True)
    make(kind, session.path / name)
    assert SessionSummary.of(session).name == "t"
    with pytest.raises(SessionError) as caught:
        session.writing()
    assert name in str(caught.value)


@pytest.mark.parametrize("kind", ["pipe", "folder", "circle", "link to a device", "socket"])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_checkpoint_that_is_no_file_is_passed_over(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    import torch

    from core.store.checkpoint import write_checkpoint

    for step in (1, 2):
        write_checkpoint(tmp_path, "last", {"w": torch.zeros(1)}, {"step": step}, {})
    (tmp_path / f"last-000002{suffix}").unlink()
    make(kind, tmp_path / f"last-000002{suffix}")
    read = read_checkpoint(tmp_path, "last")
    assert read.state == {"step": 1}
    assert f"last-000002{suffix}" in read.passed_over[0]
    if kind != "circle" or suffix != ".json":  # that is as if no digest were there
        with pytest.raises(DataError):
            verify_model_file(tmp_path / "last-000002.safetensors")


@KINDS
def test_keys_that_are_no_file_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    keymap_path().parent.mkdir(parents=True)
    make(kind, keymap_path())
    if kind == "link to nothing":
        assert read_keymap() == {}
    else:
        with pytest.raises(UsageError, match="can't be read"):
            read_keymap()


def test_the_program_refuses_a_pipe_as_recipe_and_as_predictions(cxr_tui, tmp_path: Path) -> None:
    pipe = make("pipe", tmp_path / "pipe")
    for arguments in (
        ("--batch", pipe),
        ("evaluate", "--predictions", pipe, "--labels", pipe),
        ("audit", "nih-14", "--set", f"dataset.labels={pipe}", "--labels-only"),
    ):
        done = cxr_tui(*arguments, timeout=60)
        assert done.returncode in (2, 3), done.stderr
        assert "pipe" in done.stderr
        assert "Traceback" not in done.stderr
