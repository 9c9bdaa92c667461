"""A run that goes on on another machine says what differs, and keeps what it ran on before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.events import Event, Warned
from core.recipe import Recipe
from core.store.session import Session
from core.store.sessions import create_session
from core.training.context import RunContext
from core.training.resuming.same_machine import keep_environment

HERE: dict[str, Any] = {
    "host": "a",
    "versions": {"torch": "2.13.0+cpu", "torchvision": "0.28.0", "numpy": "2.4", "cxr-tui": "0.1"},
    "device": "cpu",
    "device_name": "Xeon (cpu)",
    "precision": "fp32",
    "threads": 2,
    "instructions": "AVX2",
}


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return create_session(tmp_path, Recipe(), "x")


def told_by(session: Session, now: dict[str, Any], step: int) -> list[str]:
    told: list[Event] = []
    context = RunContext(session, None, told.append, lambda write: write())
    keep_environment(context, now, step)
    return [event.message for event in told if isinstance(event, Warned)]


def kept(session: Session) -> dict[str, Any]:
    return json.loads((session.path / "environment.json").read_text())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 1}, "the number of threads was 2 until step 7 and is 1 now"),
        ({"device_name": "Epyc (cpu)"}, "the device was Xeon (cpu) until step 7 and is Epyc (cpu)"),
        ({"instructions": "AVX512"}, "instructions was AVX2 until step 7 and is AVX512 now"),
        ({"precision": "bf16"}, "the precision was fp32 until step 7 and is bf16 now"),
        ({"versions": HERE["versions"] | {"torch": "2.14"}}, "torch was 2.13.0+cpu until step 7"),
    ],
)
def test_what_changes_the_bits_is_said_and_both_are_kept(
    session: Session, changes: dict[str, Any], said: str
) -> None:
    assert told_by(session, HERE, 0) == []
    (message,) = told_by(session, HERE | changes, 7)
    assert message.startswith(said) or f" {said}" in message
    assert kept(session) == HERE | changes | {
        "since_step": 7,
        "before": [HERE | {"since_step": 0}],
    }
    assert told_by(session, HERE | changes, 9) == []
    assert kept(session)["since_step"] == 7
    told_by(session, HERE, 11)
    assert [found["since_step"] for found in kept(session)["before"]] == [0, 7]


def test_another_host_or_one_of_several_devices_alike_changes_nothing(session: Session) -> None:
    of_many = HERE | {"device": "cuda:0", "device_name": "A100 (cuda:0)"}
    told_by(session, of_many, 0)
    assert told_by(session, of_many | {"host": "b", "device_name": "A100 (cuda:1)"}, 7) == []
    assert "before" not in kept(session)


def test_a_run_that_begins_anew_compares_itself_with_nothing(session: Session) -> None:
    told_by(session, HERE, 0)
    assert told_by(session, HERE | {"threads": 9}, 0) == []
    assert kept(session) == HERE | {"threads": 9, "since_step": 0}


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"versions": 3, "threads": [], "before": 7}', '{"threads": 2}']
)
def test_a_file_of_before_or_a_damaged_one_tells_what_it_can(
    session: Session, content: str
) -> None:
    (session.path / "environment.json").write_text(content)
    told = told_by(session, HERE, 7)
    assert told == [] or told[0].startswith("the number of threads was [] ")
    assert kept(session)["threads"] == 2


def test_a_run_tells_it(trained_dir: Path, tmp_path: Path, cache_dir: Path) -> None:
    import shutil

    import torch

    from core.requests import Request
    from core.run import Machine, run

    session = Session(Path(shutil.copytree(trained_dir, tmp_path / "s")))
    threads = torch.get_num_threads()
    environment = kept(session)
    environment["threads"] = threads + 1
    session.write_json("environment.json", environment)
    told: list[Event] = []

    def until_told() -> Request:
        is_told = any(isinstance(e, Warned) and "number of threads" in e.message for e in told)
        return Request.STOP if is_told else Request.CONTINUE

    assert not run(session, told.append, until_told, Machine("cpu", cache_dir))
    assert kept(session)["before"][0]["threads"] == threads + 1
