"""The user's own keys: read, refused with the line, and shown where keys are shown."""

import pytest
from console import plain, press, shows

from core.errors import UsageError
from cxr_tui.app.app import ConsoleApp
from cxr_tui.app.bindings import console_nodes, own_bindings
from cxr_tui.app.keymap import keymap_path, read_keymap
from cxr_tui.console.workspace import Workspace


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes keys.toml into a configuration folder of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def written(text):
        keymap_path().parent.mkdir(parents=True, exist_ok=True)
        keymap_path().write_bytes(text if isinstance(text, bytes) else text.encode())

    return written


def test_without_a_file_the_keys_are_as_shipped(write):
    assert read_keymap() == {}


def test_every_binding_of_ours_has_an_id():
    nodes = console_nodes()
    assert len(nodes) > 20
    assert [(n.__name__, b.key) for n in nodes for b in own_bindings(n) if not b.id] == []


def test_several_keys_and_swapped_ones_are_taken(write):
    write('[keys]\nrun.start = "f6"\n"quit" = "Q, ctrl+x"\n"keys" = "?"\n')
    assert read_keymap() == {
        "run.start": "f6",
        "recipe.start": "f6",
        "quit": "Q,ctrl+x",
        "keys": "question_mark",
    }
    write('[keys]\n"sessions.new" = "r"\n"sessions.resume" = "n"\n')
    assert read_keymap() == {"sessions.new": "r", "sessions.resume": "n"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[keys]\n"run.strat" = "f6"', ["line 2", "'run.strat'", "Did you mean 'run.start'?"]),
        ('[keys]\n\n"run.start" = "f66"', ["line 3", "no key is called 'f66'", "'f6'"]),
        ('[keys]\n"run.start" = "crtl+x"', ["no key is called 'crtl+x'"]),
        ('[keys]\n"sessions.new" = "r"', ["'resume' already (sessions.resume)"]),
        ('[keys]\n"sessions.new" = "q"', ["'quit' already (quit)"]),
        ('[keys]\n"run.pause" = "l"', ["'l' is", "already (", "could not be reached"]),
        ('[keys]\n"sessions.new" = "up"', ["'up' is", "already"]),
        ('[keys]\n"run.start" = "f6"\n"run.stop" = "f6"', ["line 2", "already (run.stop)"]),
        ('[keys]\n"quit.ctrl" = "x"', ["even while a field is edited", "a function key"]),
        ('[keys]\n"quit" = ""', ["must be a key", "No key can be taken away"]),
        ('[keys]\n"quit" = " , "', ["no key is called ''"]),
        ('[keys]\n"quit" = 3', ["must be a key, got 3"]),
        ('[kyes]\n"quit" = "x"', ["unknown key 'kyes'"]),
        ("keys = 3", ["must be a table"]),
        ("[keys", ["is not valid TOML"]),
        (b"[keys]\n# \xff", ["is not UTF-8 text"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_line_and_the_remedy(write, text, words):
    write(text)
    with pytest.raises(UsageError) as refused:
        read_keymap()
    assert refused.value.exit_code == 2
    assert all(word in str(refused.value).replace("Use a", "a") for word in words)
    assert str(keymap_path()) in str(refused.value)


async def test_the_help_and_the_foot_show_the_users_keys(write, tmp_path):
    write('[keys]\n"sessions.new" = "f7"\nmode.data = "f2"\n')
    app = ConsoleApp(Workspace(tmp_path / "sessions", tmp_path))
    app.set_keymap(read_keymap())
    async with app.run_test(size=(80, 30)) as pilot:
        await shows(pilot, "f7 new")
        await press(pilot, "?")
        await shows(pilot, "Keys of sessions")
        lines = [line.strip("│ ").strip() for line in plain(app).splitlines()]
        assert any(line.split() == ["f7", "new"] for line in lines)
        assert any(line.split() == ["f2", "Data"] for line in lines)
        await press(pilot, "escape")
        await press(pilot, "f7")
        await shows(pilot, "A new session")
