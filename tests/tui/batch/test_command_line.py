"""What the command line offers before anything runs: help, keys, recipes, sessions, completion."""

import argparse
import importlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.recipe_faults import known_keys
from core.recipe_toml import load_recipe
from core.store.notes import write_notes
from core.store.session import Session
from core.store.sessions import create_session
from cxr_tui.app.keymap import read_keymap
from cxr_tui.cli import COMMANDS, _parser, main

OPTIMIZERS = {"train.optimizer=sgd", "train.optimizer=adamw"}


@pytest.fixture
def three_sessions(tmp_path):
    for name in ("first", "second", "other"):
        create_session(tmp_path / "sessions", load_recipe("demo"), name)
    return tmp_path / "sessions"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_option_has_its_help_within_the_terminals_width(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    module = command and importlib.import_module(f"cxr_tui.commands.{command}")
    parser = module.parser() if module else _parser()
    without = [action.dest for action in parser._actions if not action.help]
    assert without == []
    told = parser.format_help().partition("\nexample")[0]
    assert max(map(len, told.splitlines())) <= 80
    named = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    assert not any("None" in (action.help or "") for action in named)


def test_no_command_loads_torch_to_print_its_help():
    code = (
        "import sys, importlib\n"
        "from cxr_tui.cli import COMMANDS\n"
        "for name in COMMANDS: importlib.import_module(f'cxr_tui.commands.{name}').parser()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_keys_names_every_key_of_a_recipe_with_its_default(capsys):
    assert main(["keys", "--json"]) == 0
    keys = {key["key"]: key for key in json.loads(capsys.readouterr().out)["keys"]}
    assert set(keys) == {key for key in known_keys() if not key.startswith("datasets.")}
    assert keys["train.learning_rate"]["default"] == "0.01"
    assert keys["train.optimizer"]["choices"] == ["sgd", "adamw"]
    assert all(key["help"] for key in keys.values())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("rate", "train.learning_rate"),
        ("train.*seed", "train.seed"),
        ("rotation", "augment.rotate_deg"),
    ],
)
def test_keys_finds_by_part_by_pattern_and_by_meaning(pattern, found, capsys):
    assert main(["keys", pattern]) == 0
    told = capsys.readouterr().out
    assert f"{found} = " in told
    assert "image.size_px" not in told


def test_keys_that_finds_nothing_says_what_was_probably_meant(capsys):
    assert main(["keys", "zzz"]) == 2
    assert "cxr-tui keys lists all of them" in capsys.readouterr().err
    assert main(["keys", "train.optimiser"]) == 2
    assert "Did you mean 'train.optimizer'?" in capsys.readouterr().err


def test_recipes_names_each_with_its_note(capsys):
    assert main(["recipes", "--json"]) == 0
    notes = {one["name"]: one["note"] for one in json.loads(capsys.readouterr().out)["recipes"]}
    assert notes["demo"] == load_recipe("demo").note
    assert "broken-rate" not in notes
    assert main(["recipes", "--broken"]) == 0
    assert "broken-rate" in capsys.readouterr().out


def test_the_keymap_is_a_keys_toml_that_the_console_takes_with_every_line_uncommented(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["keymap"]) == 0
    template = capsys.readouterr().out
    assert tomllib.loads(template) == {"keys": {}}
    uncommented = "\n".join(
        line[2:] if line.startswith('# "') else line for line in template.splitlines()
    )
    (tmp_path / "cxr-tui").mkdir()
    (tmp_path / "cxr-tui/keys.toml").write_text(uncommented)
    keymap = read_keymap()
    assert keymap["run.start"] == "S"
    assert keymap["back"] == "escape,backspace"


def test_sessions_are_filtered_by_name_and_state_and_sorted(three_sessions, capsys):
    def names(*arguments):
        assert main(["sessions", "--sessions", str(three_sessions), "--json", *arguments]) == 0
        return [one["name"] for one in json.loads(capsys.readouterr().out)["sessions"]]

    assert names("--sort", "name") == ["first", "other", "second"]
    assert names("*t*", "--sort", "name") == ["first", "other"]
    assert names("--state", "failed") == []
    assert sorted(names("--state", "new", "--state", "failed")) == ["first", "other", "second"]


def test_sessions_are_deleted_with_consent_alone(three_sessions, capsys, cxr_tui):
    def sessions(*arguments):
        return cxr_tui("sessions", "--sessions", three_sessions, *arguments)

    refused = sessions("first", "--delete")
    assert refused.returncode == 2
    assert "Confirm with --yes" in refused.stderr
    everything = sessions("--delete", "--yes")
    assert everything.returncode == 2
    assert len(list(three_sessions.iterdir())) == 3
    assert sessions("*s*", "--delete", "--yes").returncode == 0
    assert [path.name for path in three_sessions.iterdir()] == ["other"]


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("", 1), ("y", 0)])
def test_deleting_asks_at_a_terminal(three_sessions, answer, left):
    ours, theirs = pty.openpty()
    where = ["--sessions", str(three_sessions)]
    with subprocess.Popen(
        [sys.executable, "-m", "cxr_tui", "sessions", "first", "--delete", *where],
        stdin=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        _, told = process.communicate(timeout=60)
    assert "Delete 1 session" in told
    assert (three_sessions / "first").exists() == bool(left)
    os.close(ours)
    os.close(theirs)


def test_a_session_that_is_being_written_is_not_deleted_and_the_others_are(three_sessions, capsys):
    with Session(three_sessions / "first").writing():
        code = main(["sessions", "*", "--delete", "--yes", "--sessions", str(three_sessions)])
    assert code != 0
    assert [path.name for path in three_sessions.iterdir()] == ["first"]
    assert "while a process writes to it" in capsys.readouterr().err


def test_a_link_to_a_session_elsewhere_is_not_followed_when_it_is_deleted(three_sessions, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(three_sessions / "first", elsewhere)
    (three_sessions / "first").symlink_to(elsewhere)
    main(["sessions", "first", "--delete", "--yes", "--sessions", str(three_sessions)])
    assert (elsewhere / "recipe.toml").is_file()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cxr-tui aud", {"audit"}),
        ("cxr-tui --batch nih-", {"nih-14", "nih-mass"}),
        ("cxr-tui --batch demo --set train.opt", {"train.optimizer="}),
        ("cxr-tui --batch demo --set train.optimizer=", OPTIMIZERS),
        ("cxr-tui audit demo --lab", {"--labels-only"}),
        ("cxr-tui --resume fi", {"first"}),
        ("cxr-tui cam --sessions sessions se", {"second"}),
        ("cxr-tui compare --sessions sessions first se", {"second"}),
        ("cxr-tui repeat dem", {"demo"}),
        ("cxr-tui cam --wr", {"--wrong"}),
        ("cxr-tui cam --wrong Her", {"Hernia"}),  # any of NIH's, as no session is named yet
        ("cxr-tui cam first --wrong ", {*load_recipe("demo").dataset.findings}),
    ],
)  # fmt: skip
def test_a_shell_completes_commands_options_recipes_keys_and_sessions(
    line, expected, three_sessions, tmp_path
):
    """As the script of ``cxr-tui completion`` asks, by a file descriptor of its own."""
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line}
    asked |= {"COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    answer = tmp_path / "answer"
    code = f"exec 8>{answer} 9>/dev/null; {sys.executable} -m cxr_tui"
    subprocess.run(["bash", "-c", code], cwd=tmp_path, env=os.environ | asked, timeout=60)
    assert set(answer.read_text().split("\n")) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_completion_prints_is_a_script_that_the_shell_can_read(shell, capsys, tmp_path):
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_a_key_is_not_taken_for_another_one_that_means_something_else(capsys):
    assert main(["--batch", "demo", "--set", "train.nope=1"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


def test_changes_that_go_with_no_recipe_are_refused_where_a_session_has_one(capsys, monkeypatch):
    assert main(["--attach", "x", "--set", "train.epochs=1"]) == 2
    assert "--attach shows a session, which has its own" in capsys.readouterr().err


def test_a_reader_that_has_enough_ends_a_command_quietly(tmp_path):
    code = f"set -o pipefail; {sys.executable} -m cxr_tui keys | head -1"
    done = subprocess.run(["bash", "-c", code], cwd=Path.cwd(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_sessions_are_found_by_their_tags_which_stand_in_the_table_and_in_json(
    three_sessions, capsys
):
    def told(*arguments):
        assert main(["sessions", "--sessions", str(three_sessions), *arguments]) == 0
        return capsys.readouterr().out

    assert "tags" not in told()
    write_notes(Session(three_sessions / "first"), tags=("keep", "paper"), note="good")
    write_notes(Session(three_sessions / "other"), tags=("keep",))
    assert "keep paper" in told()
    (found,) = json.loads(told("--json", "--tag", "keep", "--tag", "Paper"))["sessions"]
    assert (found["name"], found["tags"], found["note"]) == ("first", ["keep", "paper"], "good")
    assert "No sessions like that" in told("--tag", "none")
    told("--tag", "keep", "--delete", "--yes")
    assert [path.name for path in three_sessions.iterdir()] == ["second"]
