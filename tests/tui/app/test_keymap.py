"""The user's own keys: read, refused with the line, and shown where keys are shown."""

import pytest
from console import plain, press, shows
from textual.keys import key_to_character
from told_sessions import a_session, begun

from core.errors import UsageError
from cxr_tui.app.app import ConsoleApp
from cxr_tui.app.bindings import console_nodes, own_bindings
from cxr_tui.app.keymap import keymap_path, read_keymap
from cxr_tui.console.workspace import Workspace
from cxr_tui.terminal.key_names import SHIPPED


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
    write('[keys]\n"sessions.new" = "r"\n"sessions.resume" = "a"\n')
    assert read_keymap() == {"sessions.new": "r", "sessions.resume": "a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[keys]\n"run.strat" = "f6"', ["line 2", "'run.strat'", "Did you mean 'run.start'?"]),
        ('[keys]\n\n"run.start" = "f66"', ["line 3", "there is no key 'f66'", "'f6'"]),
        ('[keys]\n"run.start" = "crtl+x"', ["there is no key 'crtl+x'"]),
        ('[keys]\n"sessions.new" = "r"', ["already 'resume' (sessions.resume)"]),
        ('[keys]\n"sessions.new" = "q"', ["already 'quit' (quit)"]),
        ('[keys]\n"run.pause" = "l"', ["'l' is already", "(", "no longer have a key"]),
        ('[keys]\n"sessions.new" = "up"', ["'up' is already"]),
        ('[keys]\n"run.start" = "f6"\n"run.stop" = "f6"', ["line 2", "(run.stop)"]),
        ('[keys]\n"quit.ctrl" = "x"', ["even while a field is edited", "a function key"]),
        ('[keys]\n"quit" = ""', ["must be a key", "can't be left without a key"]),
        ('[keys]\n"quit" = " , "', ["there is no key ''"]),
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


async def test_a_key_of_the_users_own_stands_where_the_shipped_one_stood(write, workspace):
    write('[keys]\n"sessions.new" = "f7"\n')
    a_session(workspace, begun())
    app = ConsoleApp(workspace)
    app.set_keymap(read_keymap())
    async with app.run_test(size=(80, 30)) as pilot:
        await shows(pilot, "enter open  f7 new  r resume")


async def test_the_help_and_the_foot_show_the_users_keys(write, tmp_path):
    write('[keys]\n"sessions.new" = "f7"\nmode.data = "f2"\n')
    app = ConsoleApp(Workspace(tmp_path / "sessions", tmp_path))
    app.set_keymap(read_keymap())
    async with app.run_test(size=(80, 60)) as pilot:
        await shows(pilot, "f7 new")
        await press(pilot, "?")
        await shows(pilot, "Keys of sessions")
        lines = [line.strip("│ ▁▂▃▄▅▆▇█") for line in plain(app).splitlines()]
        assert any(line.split() == ["f7", "new"] for line in lines)
        assert any(line.split() == ["f2", "Data"] for line in lines)
        await press(pilot, "escape")
        await press(pilot, "f7")
        await shows(pilot, "A new session")


async def test_sentences_name_the_users_keys(write, workspace):
    write('[keys]\n"sessions.new" = "f7"\n"training.resume" = "F,f8"\n')
    a_session(workspace, begun())
    app = ConsoleApp(workspace)
    app.set_keymap(read_keymap())
    async with app.run_test(size=(80, 30)) as pilot:
        await press(pilot, "2", "6")
        await shows(pilot, "1, f7       train on the synthetic set")
        app.open_session("one", "training")
        await shows(pilot, "F continues from the start")
    async with ConsoleApp(workspace).run_test(size=(80, 30)) as pilot:
        await press(pilot, "2", "6")
        await shows(pilot, "4, r        starts it again")


def test_sentences_name_the_shipped_keys():
    shipped = {}
    for node in console_nodes():
        for binding in own_bindings(node):
            shipped.setdefault(binding.id, []).append(
                {" ": "space", None: binding.key}.get(
                    character := key_to_character(binding.key), character
                )
            )
    assert {name: key in shipped[name] for name, key in SHIPPED.items()} == dict.fromkeys(
        SHIPPED, True
    )


SAME = {
    "A": {"all", "save all"},
    "P": {"pause", "pause or continue"},
    "S": {"start", "start a run"},
    "X": {"stop", "stop with a checkpoint"},
    "U": {"none", "none waiting"},  # of what is listed
    "c": {"chart", "co-occurrence"},  # another chart of the same figures
    "f": {"finding", "findings"},
    "m": {"measure", "measure all boxes"},
    "o": {"open", "open TOML", "open an image", "open a data set"},
    "s": {"save", "save TOML"},
    "v": {"log", "notes", "view"},  # the same in words, or beside each other
    "slash": {"search", "filter"},  # a filter shows the hits alone
    "E": {"queue", "back"},  # the second time it takes the queue away
    "q": {"quit", "back"},  # out, of a dialog or of the console
    "question_mark": {"keys", "back"},  # the second time it takes the keys away
    "f1": {"keys", "back"},
}
"""Key -> what it is called on several screens; one thing to who presses it."""

BY_PLACE = (
    *("enter", "escape", "backspace", "tab", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "j", "k", "g", "G", "comma", "full_stop"),
)
"""Keys that act on whatever is at hand: take it, leave it, move in it, go to the one beside it."""


def test_a_key_means_one_thing_on_every_screen():
    meanings = {}
    for node in console_nodes():
        for binding in own_bindings(node):
            meanings.setdefault(binding.key, set()).add(binding.description or binding.action)
    several = {
        key: called
        for key, called in meanings.items()
        if len(called) > 1 and key not in BY_PLACE and not called <= SAME.get(key, set())
    }
    assert several == {}
    assert set(SAME) <= set(meanings)
