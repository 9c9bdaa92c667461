"""A session's directory from somebody else: read with care, and never a way out of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import CxrError, DataError, RunFailedError, SessionError
from core.evaluation.maps.cam_table import add_to_table
from core.evaluation.part_report import report_of_session
from core.recipe import Recipe
from core.requests import Request
from core.store.checkpoint import read_checkpoint
from core.store.files import write_whole
from core.store.session import Session
from core.store.sessions import create_session, list_sessions
from core.store.summary import SessionSummary

DEEP = "[" * 200_000 + "]" * 200_000
HUGE = '{"a": "' + "x" * (17 * 2**20) + '"}'


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return create_session(tmp_path / "sessions", Recipe(), "s")


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("name", ["dataset.json", "environment.json", "evaluation/test.json"])
@pytest.mark.parametrize(
    "content",
    ["", DEEP, HUGE, "[]", "7", "null", '"x"', "{", "\x80", "NaN", '{"a": ' + "9" * 5000 + "}"],
    ids=["empty", "deep", "huge", "list", "number", "null", "text", "cut", "odd", "nan", "digits"],
)
def test_json_that_is_no_object_of_ours_is_refused_by_its_file(
    session: Session, name: str, content: str
) -> None:
    (session.path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(SessionError, match=name) as caught:
        session.read_json(name)
    assert len(str(caught.value)) < 7_000


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize("content", [DEEP, HUGE, "[]", "7", "{}", '{"digests": 7, "state": 7}'])
def test_a_manifest_that_is_none_is_passed_over(tmp_path: Path, content: str) -> None:
    import torch

    from core.store.checkpoint import write_checkpoint

    for step in (1, 2):
        write_checkpoint(tmp_path, "last", {"w": torch.zeros(1)}, {"step": step}, {})
    (tmp_path / "last-000002.json").write_text(content)
    read = read_checkpoint(tmp_path, "last")
    assert read.state == {"step": 1}
    assert "last-000002.json" in read.passed_over[0]


@pytest.mark.parametrize(
    "part",
    ["last-000001/../../secret", "../secret", "/etc/passwd", "last-000001.safetensors/../x"],
)
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, part: str) -> None:
    import torch

    from core.store.checkpoint import write_checkpoint

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    file = write_checkpoint(folder, "last", {"w": torch.zeros(1)}, {"step": 1}, {})
    (folder / "last-000001").mkdir()
    (tmp_path / "secret").write_bytes(file.model_path.read_bytes())
    manifest = json.loads(file.state_path.read_text())
    manifest["digests"][part] = next(iter(manifest["digests"].values()))
    file.state_path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="doesn't name its own files"):
        read_checkpoint(folder, "last")


@pytest.mark.parametrize("name", ["lock", "events.jsonl", "heartbeat", "log.txt"])
def test_a_link_in_a_session_is_not_written_through(session: Session, name: str) -> None:
    precious = session.path.parent.parent / "precious.txt"
    precious.write_text("years of work")
    os.utime(precious, (1, 1))
    (session.path / name).unlink(missing_ok=True)
    (session.path / name).symlink_to(precious)
    with pytest.raises(SessionError, match=f"{name}: is a link"):
        session.writing()
    assert precious.read_text() == "years of work"
    assert precious.stat().st_mtime == 1


@pytest.mark.parametrize("name", ["checkpoints", "predictions", "evaluation", "cams", "requests"])
def test_a_folder_of_a_session_that_leads_elsewhere_is_not_written_into(
    session: Session, name: str
) -> None:
    elsewhere = session.path.parent.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(session.path / name)
    (session.path / name).symlink_to(elsewhere)
    with pytest.raises(SessionError, match=f"{name}: is a link"):
        session.writing()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda path: Session(path).write_json("cams/cams.csv", {}),
        lambda path: write_whole(path / "cams" / "cams.csv", b"a map"),
        lambda path: add_to_table(path / "cams" / "cams.csv", []),
        lambda path: Session(path).ask(Request.STOP),
        lambda path: Session(path).ask(Request.CONTINUE),
    ],
    ids=["json", "file", "table", "stop", "go on"],
)
def test_nobody_writes_or_deletes_through_a_folder_of_a_session_that_is_a_link(
    session: Session, write: Callable[[Path], None]
) -> None:
    mine = our_folder(session)
    for name in ("cams", "requests"):
        shutil.rmtree(session.path / name)
        (session.path / name).symlink_to(mine)
    with pytest.raises(OSError, match="it is a link"):
        write(session.path)
    assert contents(mine) == PRECIOUS


def test_what_becomes_a_link_while_a_run_writes_is_not_written_through(session: Session) -> None:
    mine = our_folder(session)
    with session.writing() as writer:
        (session.path / "requests").rename(session.path / "before")
        (session.path / "requests").symlink_to(mine)
        assert writer.take_request() is not Request.STOP
        (session.path / "log.txt").symlink_to(mine / "stop")
        with pytest.raises(OSError, match="it is a link"):
            writer.note("a line")
    assert contents(mine) == PRECIOUS


def test_leftovers_are_not_looked_for_behind_links(session: Session) -> None:
    mine = our_folder(session)
    (session.path / "charts").symlink_to(mine)
    with session.writing():
        pass
    assert contents(mine) == PRECIOUS


def test_checkpoints_are_not_cleared_away_behind_a_link(tmp_path: Path) -> None:
    import torch

    from core.store.checkpoint import write_checkpoint

    mine, link = tmp_path / "mine", tmp_path / "checkpoints"
    mine.mkdir()
    for step in (1, 2):
        write_checkpoint(mine, "last", {"w": torch.zeros(1)}, {"step": step}, {})
    link.symlink_to(mine)
    before = contents(mine)
    with pytest.raises(RunFailedError, match="it is a link"):
        write_checkpoint(link, "last", {"w": torch.ones(1)}, {"step": 3}, {})
    assert contents(mine) == before


def test_sessions_may_be_kept_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "sessions").symlink_to(tmp_path / "scratch")
    session = create_session(tmp_path / "sessions", Recipe(), "s")
    with session.writing():
        session.write_json("dataset.json", {})
        session.ask(Request.STOP)


def test_two_that_begin_on_one_disk_with_the_same_process_number_leave_each_other_alone(
    tmp_path: Path,
) -> None:
    other = tmp_path / f".s.{os.getpid()}"  # a container's, half made
    other.mkdir()
    (other / "recipe.toml").write_text("theirs")
    create_session(tmp_path, Recipe(), "s")
    assert (other / "recipe.toml").read_text() == "theirs"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_no_file_is_made_in_somebody_elses_session_to_read_a_clock(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session.writing():
        pass
    monkeypatch.setattr(time, "time", lambda: 5e9)
    assert (session.seconds_since_heartbeat() or 0) < 60  # the file system's clock
    os.chown(session.path, 54321, 54321)
    assert (session.seconds_since_heartbeat() or 0) > 1e9  # our own


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("planted", ["the session", "the folder of sessions"])
def test_a_session_that_another_put_into_a_place_open_to_everybody_is_not_gone_on_with(
    session: Session, planted: str
) -> None:
    before = sorted(session.path.rglob("*"))
    folder = session.path if planted == "the session" else session.path.parent
    os.chown(folder, 54321, -1)
    folder.parent.chmod(0o1777)
    with pytest.raises(SessionError, match=r"belongs to another user .number 54321.") as refused:
        session.writing()
    assert str(refused.value).startswith(f"{folder}: ")
    assert sorted(session.path.rglob("*")) == before
    folder.parent.chmod(0o2775)  # a group's
    with session.writing():
        pass


def test_a_whole_session_may_be_a_link(session: Session) -> None:
    link = session.path.with_name("link")
    link.symlink_to(session.path)
    with Session(link).writing() as writer:
        assert writer.take_request() is Request.CONTINUE


@pytest.mark.parametrize("request_name", [Request.STOP.value, Request.CHECKPOINT.value])
def test_a_request_that_is_a_folder_asks_for_nothing(session: Session, request_name: str) -> None:
    (session.path / "requests" / request_name).mkdir()
    with session.writing() as writer:
        assert writer.take_request() is Request.CONTINUE


def test_a_lock_full_of_anything_is_free_and_is_told_in_short_where_it_is_held(
    session: Session,
) -> None:
    (session.path / "lock").write_bytes(b"\x1b[2J" * 1_000_000)
    assert not session.is_being_written()
    with session.writing():
        assert session.is_being_written()
        with pytest.raises(SessionError, match="another process writes") as caught:
            session.writing()
    assert len(str(caught.value)) < 7_000


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\x1b[2J", b"a\nb", b"=1+1", b"x" * 200])
def test_sessions_of_odd_names_are_listed_as_a_table_and_as_json(
    cxr_tui, tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / "sessions"
    session = create_session(folder, Recipe(), "s")
    os.rename(session.path, os.path.join(os.fsencode(folder), name))  # noqa: PTH104, PTH118
    for arguments in ((), ("--json",)):
        done = cxr_tui("sessions", "--sessions", folder, *arguments)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("within_a_minute")
@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "EpochDone", "mean_auroc": NaN}',
        b'{"event": "Failed", "message": "\\ud800", "exit_code": 4}',
        b'{"event": "Failed", "message": "' + b"x" * (9 * 2**20) + b'", "exit_code": 4}',
    ],
    ids=["too little", "half a character", "nine megabytes"],
)
def test_a_line_that_is_no_event_hides_none_behind_it(session: Session, line: bytes) -> None:
    after = b'{"event": "Finished", "time": 5, "epochs": 1, "best_epoch": 1, "seconds": 9}'
    session.events_path.write_bytes(line + b"\n" + after + b"\n")
    assert SessionSummary.of(session).state == "finished"
    assert [type(event).__name__ for event in session.events()][-1] == "Finished"


def test_a_session_whose_auroc_is_no_number_is_listed_as_json(cxr_tui, tmp_path: Path) -> None:
    session = create_session(tmp_path / "sessions", Recipe(), "s")
    line = (
        '{"event": "EpochDone", "time": 5, "epoch": 1, "step": 5, "train_loss": 1, "val_loss": 1, '
        '"auroc": {}, "mean_auroc": NaN, "selected_on": [], "is_best": true, '
        '"learning_rate": 1, "seconds": 1}\n'
    )
    session.events_path.write_text(line)
    done = cxr_tui("sessions", "--sessions", tmp_path / "sessions", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sessions"][0]["best_val_auroc"] is None


def test_a_folder_that_is_a_link_to_itself_hides_no_session(session: Session) -> None:
    sessions = session.path.parent
    (sessions / "circle").symlink_to(sessions / "circle")
    (sessions / "again").symlink_to(sessions)
    (sessions / "recipe.toml").mkdir()
    assert [found.name for found in list_sessions(sessions)] == ["s"]


@pytest.mark.parametrize(
    "changes",
    [
        {"share_of_table": "half", "test_warnings": 7},
        {"share_of_table": [], "test_warnings": {"a": 1}},
        {"share_of_table": 10**400, "test_warnings": [[], 7]},
    ],
)
def test_what_dataset_json_says_of_itself_cannot_break_the_figures(
    trained_dir: Path, tmp_path: Path, cache_dir: Path, changes: dict[str, object]
) -> None:
    session = copied(trained_dir, tmp_path)
    described = session.read_json("dataset.json") or {}
    (session.path / "dataset.json").write_text(json.dumps(described | changes))
    report = report_of_session(session, "test", cache_dir)
    assert report["dataset_share"] is None


@pytest.mark.parametrize("file", ["split.csv", "predictions/test.csv", "predictions/val.csv"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\0" * 1000, b"\xff\xfe\xfa", b'"' + b"a\n" * 200_000, b"," * 100_000),
        b"Image Index,Patient ID,split\n" + b"x" * 140_000 + b",1,train\n",
        b"Image Index,Patient ID,split\nx.png,1,train,1,2,3\n",
        b"Image Index,Patient ID,Mass,prob_Mass\na.png," + b"9" * 40 + b",1,0.5\n",
    ],
)
def test_a_damaged_table_of_a_session_is_refused_by_its_name(
    trained_dir: Path, tmp_path: Path, cache_dir: Path, file: str, content: bytes
) -> None:
    session = copied(trained_dir, tmp_path)
    (session.path / file).write_bytes(content)
    with pytest.raises(CxrError) as caught:
        report_of_session(session, "test", cache_dir)
    assert file.rpartition("/")[2] in str(caught.value)


def copied(trained_dir: Path, tmp_path: Path) -> Session:
    path = tmp_path / "sessions" / "copy"
    shutil.copytree(trained_dir, path)
    return Session(path)


PRECIOUS = {
    "cams.csv": b"years of work",
    "stop": b"a file of ours",
    "pause": b"and another",
    ".notes.abcdefgh": b"an old draft",
}


def our_folder(session: Session) -> Path:
    """A folder of ours, outside of the session, with files that a run's could be taken for."""
    folder = session.path.parent.parent / "mine"
    folder.mkdir()
    for name, content in PRECIOUS.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1, 1))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
