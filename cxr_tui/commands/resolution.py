"""``cxr-tui resolution [RECIPE]``: the same data at several input sizes, what pixels are worth."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import RecipeError, StoppedError, UsageError
from core.evaluation.resolution.size_study import compare_sessions
from core.recipe import PATH_KEYS, Recipe
from core.recipe_toml import differences, load_recipe
from core.store.sessions import open_session
from cxr_tui.arguments import add_places, cache_folder, common_parser
from cxr_tui.batch.headless import STOPPED, Output, Place, start_or_go_on
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.reports.resolution_table import print_comparison
from cxr_tui.terminal.stdout import print_json
from cxr_tui.terminal.streams import outlive_readers

_SIZES = "64,96,128,224"
_MOST_SIZES = 5  # of columns in 80
_SIZE_KEY = "image.size_px"
_SAME_ANYHOW = (
    "note",
    "train.checkpoint_minutes",
    "train.disk_wait_minutes",
    "train.few_images_first",
    *PATH_KEYS,
)
"""Keys that decide nothing of what a session computes: a data set is known by its fingerprint.

What stands under ``evaluate`` may change too, since each session is scored by it anew.
"""


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    outlive_readers(json_on_stdout=arguments.json)
    recipes = _recipe_of_size(arguments)
    _refuse_other_settings(arguments.sessions, recipes)
    place = Place(
        arguments.device,
        cache_folder(arguments.cache),
        Output.NOTHING,
        how_to_go_on=shlex.join(["cxr-tui", "resolution", *argv]),
    )
    if not _train_each(recipes, arguments.sessions, place):
        return STOPPED
    sessions = {
        size_px: open_session(recipe.name, arguments.sessions)
        for size_px, recipe in recipes.items()
    }
    compared = compare_sessions(sessions, next(iter(recipes.values())), place.cache)
    if arguments.json:
        print_json(compared)
    else:
        print_comparison(compared)
    return 0


def _recipe_of_size(arguments: argparse.Namespace) -> dict[int, Recipe]:
    """Input size -> its recipe, which differs from the others in size and name alone."""
    if any(change.partition("=")[0].strip() == _SIZE_KEY for change in arguments.set):
        raise UsageError(f"--set {_SIZE_KEY}: the sizes of a study are named by --sizes 64,128")
    recipe = load_recipe(arguments.recipe, arguments.set)
    phantom = recipe.dataset.phantom
    if phantom is not None and phantom.size_px < max(arguments.sizes):
        raise RecipeError(
            f"images of {phantom.size_px} px hold no more than that at an input of "
            f"{max(arguments.sizes)} px",
            where="dataset.phantom.size_px",
            remedy=f"Draw them larger, or choose --sizes up to {phantom.size_px}.",
        )
    return {
        size_px: load_recipe(
            arguments.recipe,
            [*arguments.set, f"{_SIZE_KEY}={size_px}", f"name={recipe.name}-{size_px}px"],
        )
        for size_px in arguments.sizes
    }


def _refuse_other_settings(sessions: Path, recipes: Mapping[int, Recipe]) -> None:
    """Before hours are spent on the others: what is there must be of this study.

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
                why="Sizes trained under other settings say nothing of the size.",
                remedy="Give this study a name of its own by --set name=NAME, or another "
                "--sessions DIR.",
            )


def _train_each(recipes: Mapping[int, Recipe], sessions: Path, place: Place) -> bool:
    """Train one size after the other; False where a signal stopped it.

    Raises:
        CxrError: a run could not go on; sizes that are finished stay finished.
    """
    narrator = Narrator()
    with StopSignals() as between_runs:
        for position, (size_px, recipe) in enumerate(recipes.items(), start=1):
            narrator.tell(f"study     {size_px} px, {position} of {len(recipes)}")
            try:
                code = start_or_go_on(sessions, recipe.name, recipe, place)
            except StoppedError:
                narrator.tell(f"go on with: {place.how_to_go_on}")
                raise
            if code == STOPPED:
                return False
            if between_runs.stop_requested:
                narrator.tell(f"go on with: {place.how_to_go_on}")
                return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = common_parser(
        "resolution",
        "What pixels are worth: train the same data at several input sizes, each a session, and "
        "compare AUROC by finding and size beside how large the lesions are. A study that was "
        "stopped goes on where it was, and what is finished is not trained again.",
        "cxr-tui resolution\n"
        "  cxr-tui resolution nih-14 --set dataset.images=/data/nih --sizes 128,224,448",
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        nargs="?",
        default="resolution",
        help="a path, or a shipped recipe's name (default: resolution, on a synthetic set)",
    )
    parser.add_argument(
        "--sizes",
        metavar="PX,PX",
        type=_sizes,
        default=_sizes(_SIZES),
        help=f"input sizes, two to {_MOST_SIZES} of them (default {_SIZES})",
    )
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_places(parser)
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    """The sizes in ascending order; their bounds are the recipe's."""
    words = [word.strip() for word in text.split(",")]
    odd = [word for word in words if not word.isascii() or not word.isdigit() or len(word) > 6]
    if odd:
        raise argparse.ArgumentTypeError(f"{odd[0]!r} is not a number of pixels; say 64,128")
    sizes = sorted(map(int, words))
    twice = [str(size) for size in dict.fromkeys(sizes) if sizes.count(size) > 1]
    if twice:
        raise argparse.ArgumentTypeError(f"names {', '.join(twice)} more than once")
    if not 2 <= len(sizes) <= _MOST_SIZES:
        raise argparse.ArgumentTypeError(f"two to {_MOST_SIZES} sizes, got {len(sizes)}")
    return tuple(sizes)
