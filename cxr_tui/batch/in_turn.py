"""Several runs one after another, as ordinary sessions: a study that continues where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.errors import RecipeError, StoppedError
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import differences
from core.store.sessions import open_session
from cxr_tui.batch.headless import STOPPED, Place, start_or_go_on
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals

_SAME_ANYHOW = (
    "note",
    "train.checkpoint_minutes",
    "train.disk_wait_minutes",
    "train.few_images_first",
    *PATH_KEYS,
)
"""Keys that don't affect what a session computes: a fingerprint identifies the data set.

Keys of ``evaluate`` may change too, since each session is scored again.
"""


def refuse_other_settings(sessions: Path, recipes: Mapping[str, Recipe], why: str) -> None:
    """Check first that existing sessions belong to this study, before hours are spent.

    Args:
        recipes: what is told of each run -> its recipe, whose name is the session's.
        why: why other settings matter here.

    Raises:
        RecipeError: a session of that name was run with other settings.
    """
    for recipe in recipes.values():
        if not (sessions / recipe.name / "recipe.toml").is_file():
            continue
        session = open_session(recipe.name, sessions)
        others = {
            key: values
            for key, values in differences(session.recipe, session.in_its_sense(recipe)).items()
            if key not in _SAME_ANYHOW and not key.startswith("evaluate.")
        }
        if others:
            raise RecipeError(
                "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in others.items()),
                where=f"session {session.path}",
                why=why,
                remedy="Give this study its own name with --set name=NAME, or another --sessions "
                "DIR.",
            )


def train_in_turn(recipes: Mapping[str, Recipe], sessions: Path, place: Place, study: str) -> bool:
    """Train one recipe after the other, each in the session with its name.

    A session that is finished stays as it is; one that was stopped continues.

    Args:
        recipes: what is told of each run, such as ``seed 3`` -> its recipe.
        place: ``how_to_go_on`` is told after a stop.
        study: the first word of the line that is told before each run.

    Returns:
        False if stopped by a signal.

    Raises:
        CxrError: a run failed; finished ones stay finished.
    """
    narrator = Narrator()
    with StopSignals() as between_runs:
        for position, (told, recipe) in enumerate(recipes.items(), start=1):
            narrator.tell(f"{study:<10}{told}, {position} of {len(recipes)}")
            try:
                code = start_or_go_on(sessions, recipe.name, recipe, place)
            except StoppedError:
                narrator.tell(f"continue with: {place.how_to_go_on}")
                raise
            if code == STOPPED:
                return False
            if between_runs.stop_requested:
                narrator.tell(f"continue with: {place.how_to_go_on}")
                return False
    return True
