"""The user's settings: option, environment, config.toml, default; mistakes are named by line."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from core.errors import UsageError
from core.recipe_data import Kind
from core.recipe_toml import load_recipe
from cxr_tui.app.app import ConsoleApp
from cxr_tui.cli import _parser
from cxr_tui.config import KINDS, MEANINGS, THEMES, config_template, user_config
from cxr_tui.console import themes
from cxr_tui.console.workspace import Workspace
from cxr_tui.own_data import own_recipe
from cxr_tui.weights_table import with_tables

DIGEST = "0" * 64


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for config.toml that this process reads."""
    path = tmp_path / "home" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setenv("CXR_TUI_CONFIG", str(path))
    return path


def test_an_option_comes_before_the_environment_before_the_file_before_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sessions(*arguments: str) -> str:
        return str(_parser().parse_args(arguments).sessions)

    config.write_text("")
    assert sessions() == "sessions"
    config.write_text('sessions = "kept"\ncache = "~/cache"\ndevice = "cpu"')
    assert sessions() == str(config.parent / "kept")  # relative to the file
    monkeypatch.setenv("CXR_TUI_SESSIONS", "/srv/sessions")
    assert sessions() == "/srv/sessions"
    assert sessions("--sessions", "here") == "here"
    parsed = _parser().parse_args([])
    assert (parsed.cache, parsed.device) == (Path("~/cache").expanduser(), "cpu")
    assert user_config().origins == {
        "sessions": "CXR_TUI_SESSIONS",
        "cache": "config.toml line 2",
        "device": "config.toml line 3",
    }


def test_without_a_file_nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = user_config()
    assert (found.path, found.was_read) == (tmp_path / "cxr-tui" / "config.toml", False)
    assert not found.values


def test_the_example_is_valid_once_its_signs_are_taken_away(config: Path) -> None:
    config.write_text(config_template())
    assert not user_config().values
    bare = re.sub(r"(?m)^# (?=[\[a-z0-9_]+( =|\.ours))", "", config_template())
    config.write_text(bare.replace("64 hexadecimal digits", DIGEST))
    found = user_config()
    assert set(found.values) == set(MEANINGS)
    assert list(found.weights) == ["ours"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('cache = "/x"\nsesions = "/y"', r"line 2: unknown key 'sesions'. Did you mean 'sessions'"),
        ("\ncache = 3", r"line 2: cache must be text, got 3.*cache = "),
        ('cache = ""', "cache must be text"),
        ('theme = "papper"', "no theme 'papper'. Did you mean 'paper'"),
        ('cache = "~nobody-here/x"', "home of an unknown user"),
        ("cache = /x", "is not valid TOML.*cxr-tui config"),
        ("learning_rate = 0.1", "unknown key 'learning_rate'.*--set"),
        ('[data]\nnihh = "/x"', r"line 2: unknown kind of data set 'nihh'. Did you mean 'nih'"),
        ("[data]\nnih = 1", "line 2: data must be text"),
        ("weights = 1", "weights must be tables"),
        ('[weights.imagenet]\nsha256 = "x"', r"line 2: .*64 hexadecimal digits"),
        (f'[weights.imagenet]\nsha256 = "{DIGEST}"', r"line 1: .*takes url alone"),
        ('[weights.ours]\nurl = "https://x/y"', r"line 1: .*lacks bytes and sha256"),
        ("[weights.ours]\nbytes = true", "bytes must be a whole number"),
        ('[weights.ours]\nfile = "../x"', "without a folder"),
        ('[weights.ours]\nulr = "x"', r"line 2: weights.ours.ulr: unknown key. Did you mean 'url'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(config: Path, text: str, says: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        user_config()
    assert str(config) in str(caught.value)


def test_a_wrong_variable_and_a_missing_file_are_named(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no such file.*CXR_TUI_CONFIG"):
        user_config()
    config.write_text("")
    monkeypatch.setenv("CXR_TUI_THEME", "pink")
    with pytest.raises(UsageError, match="CXR_TUI_THEME: there is no theme 'pink'"):
        user_config()


def test_a_recipe_without_data_is_on_the_users_set(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('data = "/data/nih"')
    assert own_recipe("nih-14").dataset.images == Path("/data/nih")
    assert own_recipe("nih-14", ["dataset.images=/other"]).dataset.images == Path("/other")
    assert own_recipe("demo") == load_recipe("demo")  # it draws its own
    config.write_text('[data]\nchexpert = "/data/chexpert"')
    assert own_recipe("chexpert").dataset.images == Path("/data/chexpert")
    assert own_recipe("nih-14").dataset.images is None
    monkeypatch.setenv("CXR_TUI_DATA", "/other")  # before the whole table
    assert own_recipe("chexpert").dataset.images == Path("/other")


def test_mirrors_and_other_weights_are_known_by_name(config: Path) -> None:
    config.write_text(
        '[weights.imagenet]\nurl = "https://mirror/a.pth"\n'
        f'[weights.ours]\nurl = "https://x/y/ours.pt?v=1"\nbytes = 3\nsha256 = "{DIGEST}"\n'
    )
    by_name = {one.name: one for one in with_tables(user_config().weights)}
    assert by_name["imagenet"].url == "https://mirror/a.pth"
    assert by_name["imagenet"].sha256.startswith("a639ec97")
    ours = by_name["ours"]
    assert (ours.file, ours.num_bytes, ours.sha256) == ("ours.pt", 3, DIGEST)


def test_names_that_are_repeated_here_are_those_of_their_owners() -> None:
    assert tuple(theme.name for theme in themes.THEMES) == THEMES
    assert typing.get_args(Kind) == KINDS


def test_the_theme_of_the_file_comes_before_the_one_left_last(tmp_path: Path) -> None:
    left = tmp_path / "console.json"
    left.write_text('{"theme": "light-box"}')

    def theme(name: str | None) -> str:
        workspace = Workspace(tmp_path, tmp_path)
        return ConsoleApp(workspace, preferences=left, theme_name=name).theme

    assert theme(None) == "light-box"
    assert theme("paper") == "paper"
