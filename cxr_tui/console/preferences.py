"""What the console remembers from one start to the next: theme, last screen and its session,
the order of the list of sessions."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from core.regular_file import MOST_JSON_BYTES, read_regular


@dataclass
class Preferences:
    """Names of a theme and a screen, a session's path, and the order of the list of sessions by a
    column's name, after a minus where it is turned round; empty where there was none.
    """

    theme: str = ""
    screen: str = ""
    session: str = ""
    order: str = ""


def preferences_path() -> Path:
    """Where the user's are kept."""
    return platformdirs.user_state_path("cxr-tui") / "console.json"


def read_preferences(path: Path) -> Preferences:
    """As they were left; the defaults where there are none or the file can't be read."""
    try:
        kept = json.loads(read_regular(path, MOST_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return Preferences()
    if not isinstance(kept, dict):
        return Preferences()
    known = {name: kept.get(name) for name in asdict(Preferences())}
    return Preferences(**{name: value for name, value in known.items() if isinstance(value, str)})


def write_preferences(path: Path, preferences: Preferences) -> None:
    """Keep them; a disk that refuses loses no more than a choice of colours."""
    from core.store.files import write_json

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(preferences), follow=True)
