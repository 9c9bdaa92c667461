"""The ledger of looks at test parts: what is counted, and that it never costs a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.store.ledger import LEDGER, look, look_at, looks_so_far, part_of_images
from core.store.session import Session

PART = part_of_images(["b.png", "a.png"])


def a_session(folder: Path, name: str, test: tuple[str, ...] = ("c.png", "d.png")) -> Session:
    session = Session(folder / name)
    session.path.mkdir(parents=True)
    rows = ["a.png,1,train", "b.png,2,val", *(f"{image},3,test" for image in test)]
    (session.path / "split.csv").write_text("\n".join(["Image Index,Patient ID,split", *rows, ""]))
    return session


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]


def test_a_part_is_the_same_whatever_the_order_of_its_images():
    assert part_of_images(["a.png", "b.png"]) == PART
    assert part_of_images(["a.png"]) != PART


def test_looks_of_different_kinds_and_sessions_are_counted_by_part(tmp_path):
    first, second = a_session(tmp_path, "first"), a_session(tmp_path, "second")
    elsewhere = a_session(tmp_path, "elsewhere", test=("e.png",))
    look(first, "end of run")
    look(first, "evaluate")
    look(elsewhere, "evaluate")
    seen = look(second, "end of run")
    assert (seen.times, seen.sources, seen.warning) == (3, 2, None)
    assert [line["sessions_before"] for line in lines_of(tmp_path)] == [0, 0, 0, 1]
    assert looks_so_far(elsewhere).times == 1


def test_the_same_look_counts_once_in_a_process_and_again_in_another(tmp_path):
    session = a_session(tmp_path, "run")
    assert [look(session, "Results").times for _ in range(3)] == [1, 1, 1]
    code = (
        "import sys; from pathlib import Path; from core.store.ledger import look\n"
        "from core.store.session import Session\n"
        "print(look(Session(Path(sys.argv[1])), 'Results').times)"
    )
    command = [sys.executable, "-c", code, str(session.path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "2"


def test_processes_that_look_at_once_lose_no_line(tmp_path):
    code = (
        "import sys; from pathlib import Path; from core.store.ledger import look_at\n"
        "for turn in range(25): look_at(Path(sys.argv[1]), sys.argv[2], 'p', f'turn {turn}')"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), f"session-{number}"])
        for number in range(3)
    ]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert len({(line["session"], line["why"]) for line in lines_of(tmp_path)}) == 75


def test_a_torn_line_or_anything_else_costs_only_itself(tmp_path):
    (tmp_path / LEDGER).write_bytes(b'{"session": "old", "part": "' + PART.encode())
    assert look_at(tmp_path, "new", PART, "evaluate").times == 1
    with (tmp_path / LEDGER).open("ab") as ledger:
        ledger.write(b'[1]\n"x"\n\xff\xfe\n{"part": 3, "session": "s"}\n' + b"[" * 10_000 + b"\n")
    assert look_at(tmp_path, "newer", PART, "evaluate").times == 2


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "missing"])
def test_what_is_no_ledger_costs_a_warning_and_is_left_alone(tmp_path, kind):
    sessions = tmp_path / "sessions"
    if kind != "missing":
        sessions.mkdir()
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    if kind == "folder":
        (sessions / LEDGER).mkdir()
    elif kind == "link":
        (sessions / LEDGER).symlink_to(mine)
    elif kind == "pipe":
        os.mkfifo(sessions / LEDGER)
    seen = look_at(sessions, "run", PART, "evaluate")
    assert seen.times == 0
    assert seen.warning is not None
    assert "looks.jsonl: this look isn't noted" in seen.warning
    assert mine.read_text() == "mine"


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path):
    look_at(tmp_path, "run", PART, "evaluate")
    before = (tmp_path / LEDGER).read_bytes()
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from core.store.ledger import look_at\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "most = int(sys.argv[3]) + 20\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "seen = look_at(Path(sys.argv[1]), 'other', sys.argv[2], 'evaluate')\n"
        "print(seen.times, seen.warning)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), PART, str(len(before))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("1 ")
    assert "isn't noted" in told
    assert (tmp_path / LEDGER).read_bytes() == before


def test_a_session_without_its_split_says_that_its_look_is_not_noted(tmp_path):
    session = a_session(tmp_path, "run")
    (session.path / "split.csv").unlink()
    assert "split.csv" in (look(session, "evaluate").warning or "")
    assert not (tmp_path / LEDGER).exists()


def test_a_run_and_each_evaluation_are_noted_and_the_report_on_disk_is_not_changed(
    trained_dir, tmp_path, cxr_tui
):
    shutil.copytree(trained_dir, tmp_path / "trained")
    end_of_run = (trained_dir.parent / LEDGER).read_text().splitlines()[0]
    assert json.loads(end_of_run)["why"] == "end of run"
    (tmp_path / LEDGER).write_text(end_of_run + "\n")
    places = ("trained", "--sessions", str(tmp_path))
    report = json.loads(cxr_tui("evaluate", *places, "--json").stdout)
    assert (report["looks"]["times"], report["looks"]["sessions"]) == (2, 1)
    assert "looks" not in json.loads((tmp_path / "trained/evaluation/test.json").read_text())
    assert "has been looked at 3 times by 1 session" in cxr_tui("evaluate", *places).stdout
    val = json.loads(cxr_tui("evaluate", *places, "--split", "val", "--json").stdout)
    assert "looks" not in val
    assert len(lines_of(tmp_path)) == 3
