"""``cxr-tui resolution [RECIPE]``: train the same data at several input sizes and compare AUROC."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from core.errors import RecipeError, UsageError
from core.evaluation.resolution.size_study import compare_sessions
from core.recipe import Recipe
from core.store.sessions import open_session
from cxr_tui.arguments import (
    add_changes,
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
)
from cxr_tui.batch.headless import STOPPED, Output, Place
from cxr_tui.batch.in_turn import refuse_other_settings, train_in_turn
from cxr_tui.own_data import own_recipe
from cxr_tui.reports.resolution_table import print_comparison
from cxr_tui.terminal.stdout import print_json
from cxr_tui.terminal.streams import outlive_readers

_SIZES = "64,96,128,224"
_MOST_SIZES = 5  # as many columns as fit in 80
_SIZE_KEY = "image.size_px"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    outlive_readers(json_on_stdout=arguments.json)
    recipes = _recipe_of_size(arguments)
    told = {f"{size_px} px": recipe for size_px, recipe in recipes.items()}
    why = "Sizes trained with different settings can't be compared."
    refuse_other_settings(arguments.sessions, told, why)
    place = Place(
        arguments.device,
        cache_folder(arguments.cache),
        Output.NOTHING,
        how_to_go_on=shlex.join(["cxr-tui", "resolution", *argv]),
    )
    if not train_in_turn(told, arguments.sessions, place, "study"):
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
    """Input size -> its recipe; recipes differ only in size and name."""
    if any(change.partition("=")[0].strip() == _SIZE_KEY for change in arguments.set):
        raise UsageError(f"--set {_SIZE_KEY}: give the sizes of a study with --sizes 64,128")
    recipe = own_recipe(arguments.recipe, arguments.set)
    phantom = recipe.dataset.phantom
    if phantom is not None and phantom.size_px < max(arguments.sizes):
        raise RecipeError(
            f"images of {phantom.size_px} px gain nothing from an input size of "
            f"{max(arguments.sizes)} px",
            where="dataset.phantom.size_px",
            remedy=f"Draw larger images, or choose --sizes up to {phantom.size_px}.",
        )
    return {
        size_px: own_recipe(
            arguments.recipe,
            [*arguments.set, f"{_SIZE_KEY}={size_px}", f"name={recipe.name}-{size_px}px"],
        )
        for size_px in arguments.sizes
    }


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "resolution",
        "Train the same data at several input sizes, one session each, and compare AUROC by "
        "finding and size with the size of the lesions. A stopped study continues where it was; "
        "finished sizes are not trained again.",
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
        help=f"two to {_MOST_SIZES} input sizes (default {_SIZES})",
    )
    add_changes(parser)
    add_device(parser)
    add_json(parser)
    add_places(parser)
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    """The sizes in ascending order; the recipe checks their bounds."""
    words = [word.strip() for word in text.split(",")]
    odd = [word for word in words if not word.isascii() or not word.isdigit() or len(word) > 6]
    if odd:
        raise argparse.ArgumentTypeError(
            f"{odd[0]!r} is not a number of pixels; for example 64,128"
        )
    sizes = sorted(map(int, words))
    twice = [str(size) for size in dict.fromkeys(sizes) if sizes.count(size) > 1]
    if twice:
        raise argparse.ArgumentTypeError(f"names {', '.join(twice)} more than once")
    if not 2 <= len(sizes) <= _MOST_SIZES:
        raise argparse.ArgumentTypeError(f"two to {_MOST_SIZES} sizes, got {len(sizes)}")
    return tuple(sizes)
