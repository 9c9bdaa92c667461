"""A session that somebody edited between two runs is refused by the name of what was edited."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import CxrError, DataError, RecipeError, RunFailedError, StoppedError
from core.events import Event, Failed, Resumed, Warned
from core.recipe_toml import changed_recipe
from core.requests import Request
from core.run import Machine, run
from core.store.checkpoint import _state_digest
from core.store.session import Session


@pytest.fixture
def session(trained_dir: Path, tmp_path: Path) -> Session:
    return Session(Path(shutil.copytree(trained_dir, tmp_path / "sessions" / "trained")))


@pytest.fixture
def go_on(session: Session, cache_dir: Path) -> Callable[..., list[Event]]:
    """Goes on with it until its data set is known, or to its end; what it told."""

    def gone_on(*changes: str) -> list[Event]:
        told: list[Event] = []
        recipe = changed_recipe(session.recipe, changes) if changes else None

        def next_request() -> Request:
            return Request.STOP if any(isinstance(e, Resumed) for e in told) else Request.CONTINUE

        with contextlib.suppress(StoppedError):
            run(session, told.append, next_request, Machine("cpu", cache_dir), recipe)
        return told

    return gone_on


def warnings(told: list[Event]) -> list[str]:
    """Those about the session's own files."""
    messages = [event.message for event in told if isinstance(event, Warned)]
    return [text for text in messages if "sealed" in text or "is gone" in text]


def test_a_session_as_its_run_left_it_is_gone_on_with_and_a_safe_key_may_change(
    session: Session, go_on: Callable[..., list[Event]]
) -> None:
    for changes in (("train.epochs=9", "note=longer"), ()):
        told = go_on(*changes)
        assert [event.checkpoint for event in told if isinstance(event, Resumed)], told
        assert not warnings(told)


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("learning_rate = .*", "learning_rate = 0.5", r"train.learning_rate was 0.002, is 0.5"),
        ("batch_size = .*", "batch_size = 8", "train.batch_size was 16, is 8"),
        ("optimizer = .*", 'optimizer = "sgd"', "train.optimizer was adamw, is sgd"),
        ("size_px = 64", "size_px = 96", "image.size_px was 64, is 96"),
        ("seed = 0", "seed = 5", "split.seed was 0, is 5"),
    ],
)
@pytest.mark.parametrize("changes", [(), ("train.epochs=9",)], ids=["alone", "with --set"])
def test_an_edited_recipe_is_refused_by_its_keys_as_by_set(
    session: Session, go_on: Callable[..., object], written: str, instead: str, said: str, changes
) -> None:
    path = session.path / "recipe.toml"
    path.write_text(re.sub(f"(?m)^{written}$", instead, path.read_text()))
    edited = path.read_bytes()
    with pytest.raises(RecipeError, match=said) as refused:
        go_on(*changes)
    assert f"{path}: " in str(refused.value)
    assert refused.value.exit_code == 2
    assert path.read_bytes() == edited
    assert isinstance(list(session.events())[-1], Failed)


def test_an_emptied_recipe_of_a_finished_session_is_refused_too(session: Session, cxr_tui) -> None:
    (session.path / "recipe.toml").write_text("")
    done = cxr_tui("--resume", session.path, "--set", "train.epochs=3")
    assert done.returncode == 2
    assert "image.size_px was 64, is 224" in done.stderr


def with_part(session: Session, old: str, new: str, patients: int) -> list[str]:
    """Move the first so many patients of a part to another one in split.csv; who they are."""
    path = session.path / "split.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    moved = sorted({row[1] for row in rows if row[2] == old}, key=int)[:patients]
    for row in rows:
        row[2] = new if row[1] in moved else row[2]
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return moved


@pytest.mark.parametrize("is_of_before", [False, True])
@pytest.mark.parametrize("part", ["train", "val"])
def test_patients_that_the_weights_have_seen_and_that_were_moved_to_test_are_named(
    session: Session, go_on: Callable[..., object], part: str, is_of_before: bool
) -> None:
    if is_of_before:
        without_seals(session)
    moved = with_part(session, part, "test", 3)
    named = rf"split\.csv: .* patients {', '.join(moved)} stand in test"
    with pytest.raises(DataError, match=named) as refused:
        go_on("train.epochs=9")
    assert refused.value.exit_code == 3


def test_rows_that_changed_otherwise_are_refused_too(
    session: Session, go_on: Callable[..., object]
) -> None:
    with_part(session, "test", "train", 2)
    with pytest.raises(DataError, match=r"split\.csv: differs from what this run left: its rows"):
        go_on()


@pytest.mark.parametrize("is_of_before", [False, True])
def test_a_patients_number_of_thousands_of_digits_is_refused_as_any_other_edit(
    session: Session, go_on: Callable[..., object], is_of_before: bool
) -> None:
    if is_of_before:
        without_seals(session)
    path = session.path / "split.csv"
    path.write_text(re.sub(r",\d+,test", f",{'9' * 5000},test", path.read_text(), count=1))
    with pytest.raises(DataError, match=r"split\.csv: differs .* a patient number of 5,000 digits"):
        go_on()


@pytest.mark.parametrize("edit", ["emptied", "removed", "cut short", "one figure changed"])
def test_events_that_are_not_those_that_were_told_are_refused(
    session: Session, go_on: Callable[..., object], edit: str
) -> None:
    path = session.events_path
    lines = path.read_bytes().splitlines(keepends=True)
    if edit == "removed":
        path.unlink()
    else:
        shorter = {"emptied": 0, "cut short": len(lines) // 2}.get(edit, len(lines))
        told = b"".join(lines[:shorter])
        path.write_bytes(told.replace(b'"epoch": 2', b'"epoch": 3', 1))
    with pytest.raises(DataError, match=r"events\.jsonl: differs from what this run left"):
        go_on()


def test_a_digest_of_the_images_that_is_gone_is_refused(
    session: Session, go_on: Callable[..., object]
) -> None:
    described = session.read_json("dataset.json") or {}
    del described["content"]
    session.write_json("dataset.json", described)
    with pytest.raises(DataError, match=r"dataset\.json: differs .* the images' digest is missing"):
        go_on()


def test_checkpoints_that_are_gone_though_steps_were_acknowledged_end_the_run_with_4(
    session: Session, go_on: Callable[..., object]
) -> None:
    for file in session.checkpoints.iterdir():
        file.unlink()
    with pytest.raises(
        RunFailedError, match=r"gone, though \d+ steps were ack.*Restore the"
    ) as gone:
        go_on()
    assert gone.value.exit_code == 4


def test_a_newest_checkpoint_that_is_gone_is_said(
    session: Session, go_on: Callable[..., list[Event]]
) -> None:
    newest = max(session.checkpoints.glob("last-*.json"))
    for file in session.checkpoints.glob(f"{newest.stem}.*"):
        file.unlink()
    (told,) = warnings(go_on())
    assert re.search(r"checkpoint of step (\d+) is gone .* from the one of step (\d+)", told)


def without_seals(session: Session) -> None:
    """As a session was before there were seals."""
    for path in session.checkpoints.glob("last-*.json"):
        manifest = json.loads(path.read_text())
        del manifest["state"]["seals"]
        manifest["state_digest"] = _state_digest(manifest["state"])
        path.write_text(json.dumps(manifest))
    described = session.read_json("dataset.json")
    assert described is not None
    del described["seals"]
    session.write_json("dataset.json", described)


def test_a_session_of_before_goes_on_and_that_is_said_once(
    session: Session, go_on: Callable[..., list[Event]]
) -> None:
    without_seals(session)
    (told,) = warnings(go_on())
    assert "started before recipe.toml, split.csv and events.jsonl were sealed" in told
    assert not warnings(go_on())


@pytest.mark.parametrize(
    "seals", [[], "x", {"recipe": 3, "split": [], "events": [-1, "x"]}, {"events": ["1", 2]}]
)
def test_seals_that_are_none_are_as_good_as_none(
    session: Session, go_on: Callable[..., list[Event]], seals: object
) -> None:
    without_seals(session)
    described = session.read_json("dataset.json")
    session.write_json("dataset.json", {**(described or {}), "seals": seals})
    assert [event for event in go_on() if isinstance(event, Resumed)]


def test_a_sealed_recipe_that_is_none_is_refused_in_words(
    session: Session, go_on: Callable[..., object]
) -> None:
    without_seals(session)
    described = session.read_json("dataset.json")
    seals = {"recipe": {"train": {"epochs": "many"}}, "split": None}
    session.write_json("dataset.json", {**(described or {}), "seals": seals})
    with pytest.raises(CxrError, match=r"the seal of .*recipe\.toml: train.epochs must be"):
        go_on()
