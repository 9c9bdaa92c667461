"""``cxr-tui repeat RECIPE``: the same recipe with several seeds, to see what a seed does."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from core.errors import UsageError
from core.recipe import Recipe
from core.store.sealed import HOW_TO_OPEN, is_sealed
from core.store.sessions import open_session
from cxr_tui.arguments import (
    add_changes,
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
    whole_number,
)
from cxr_tui.batch.headless import STOPPED, Output, Place
from cxr_tui.batch.in_turn import refuse_other_settings, train_in_turn
from cxr_tui.own_data import own_recipe
from cxr_tui.reports.seeds_table import print_seeds
from cxr_tui.terminal.stdout import print_json, say
from cxr_tui.terminal.streams import outlive_readers

_SEEDS, _MOST_SEEDS = 5, 100
_SEED_KEY = "train.seed"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    outlive_readers(json_on_stdout=arguments.json)
    recipes = _recipe_of_seed(arguments)
    told = {f"seed {seed}": recipe for seed, recipe in recipes.items()}
    why = "Runs with other settings would not show what a seed does."
    refuse_other_settings(arguments.sessions, told, why)
    place = Place(
        arguments.device,
        cache_folder(arguments.cache),
        Output.NOTHING,
        how_to_go_on=shlex.join(["cxr-tui", "repeat", *argv]),
    )
    if not train_in_turn(told, arguments.sessions, place, "repeat"):
        return STOPPED
    from core.evaluation.comparing.seed_group import seed_group

    sessions = [open_session(recipe.name, arguments.sessions) for recipe in recipes.values()]
    if closed := [session.name for session in sessions if is_sealed(session)]:
        say(f"test is sealed in {', '.join(closed)}; open each: {HOW_TO_OPEN.format(name='NAME')}")
        if arguments.json:
            print_json({"sealed": closed})
        return 0
    found = seed_group(sessions)
    if arguments.json:
        print_json(found)
    else:
        print_seeds(found)
    return 0


def _recipe_of_seed(arguments: argparse.Namespace) -> dict[int, Recipe]:
    """Seed -> its recipe; recipes differ only in the training's seed and the name."""
    if any(change.partition("=")[0].strip() == _SEED_KEY for change in arguments.set):
        raise UsageError(
            f"--set {_SEED_KEY}: each run has a seed of its own",
            remedy="Say how many with --seeds 5.",
        )
    name = own_recipe(arguments.recipe, arguments.set).name
    return {
        seed: own_recipe(
            arguments.recipe,
            [*arguments.set, f"{_SEED_KEY}={seed}", f"name={name}-seed{seed}"],
        )
        for seed in range(1, arguments.seeds + 1)
    }


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "repeat",
        "Train the same recipe several times, one session for each seed of the training, and show "
        "how far its figures vary. A stopped group continues where it was; finished runs are not "
        "trained again, and more seeds may be added. cxr-tui compare finds the group.",
        "cxr-tui repeat demo --seeds 5\n"
        "  cxr-tui repeat demo --seeds 5 --set name=slow --set train.learning_rate=0.0001",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=whole_number(2, _MOST_SEEDS),
        default=_SEEDS,
        help=f"number of runs, with seeds 1 to N (default {_SEEDS})",
    )
    add_changes(parser)
    add_device(parser)
    add_json(parser)
    add_places(parser)
    return parser
