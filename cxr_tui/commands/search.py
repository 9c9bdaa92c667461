"""``cxr-tui search RECIPE``: look for better values of a recipe's keys, judged on val alone."""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.recipe import Recipe
from cxr_tui.arguments import (
    add_changes,
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
    named,
    whole_number,
)
from cxr_tui.own_data import own_recipe
from cxr_tui.terminal.stdout import print_json, say
from cxr_tui.terminal.streams import outlive_readers

if TYPE_CHECKING:
    from core.search.study import Search

_SEEDS, _MOST_SEEDS, _MOST_TRIALS = 3, 20, 100_000
_BEST, _MOST_BEST = 2, 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    outlive_readers(json_on_stdout=arguments.json)
    recipe = own_recipe(arguments.recipe, arguments.set)
    name = arguments.name or f"{recipe.name}-search"
    search, storage = _opened(arguments, recipe, name)
    again = shlex.join(["cxr-tui", "search", *argv])
    from core.search.report import search_report, to_retrain
    from core.search.storage import storage_errors_named
    from cxr_tui.batch.headless import STOPPED
    from cxr_tui.batch.search_worker import SearchWorker
    from cxr_tui.reports.search_table import print_search

    cache = cache_folder(arguments.cache)
    worker = SearchWorker(search, storage, arguments.device, cache, not arguments.join, again)
    if not worker.work():
        return STOPPED
    if arguments.join:
        say("search    nothing is left to take; the worker without --join ends the search")
        return 0
    with storage_errors_named(storage):
        anew = to_retrain(search, arguments.best, arguments.seeds)
    if not _trained(anew.recipes, arguments, again):
        return STOPPED
    with storage_errors_named(storage):
        found = search_report(search, anew)
    from core.search.chart import write_chart

    search.place.keep(found)
    say(f"chart     {write_chart(search)}")
    if arguments.json:
        print_json(found)
    else:
        print_search(found)
    return 0


def _opened(arguments: argparse.Namespace, recipe: Recipe, name: str) -> tuple[Search, str]:
    """The search and where it is kept."""
    try:
        import optuna
        import sqlalchemy  # noqa: F401 - optuna's storages need it
    except ImportError as error:
        raise UsageError(
            f"search needs {error.name}, which is not installed",
            remedy='pip install "cxr-tui[search]"',
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    from core.search.place import SearchPlace
    from core.search.space import read_space
    from core.search.storage import hidden, open_storage, storage_errors_named
    from core.search.study import Limits, open_search

    changed = [change.partition("=")[0].strip() for change in arguments.set]
    space = read_space(arguments.space, recipe, changed)
    place = SearchPlace.of(arguments.sessions, name)
    storage = arguments.storage or str(place.journal)
    kept = open_storage(storage, may_make=not arguments.join)
    with storage_errors_named(storage):
        search = open_search(
            *(kept, place, recipe, space, Limits(arguments.trials, arguments.hours)),
            joins=arguments.join,
            is_shared=arguments.storage is not None,
        )
    is_file = arguments.storage is not None and "://" not in arguments.storage
    named_here = str(Path(arguments.storage).absolute()) if is_file else arguments.storage
    place.remember_storage(None if named_here is None else hidden(named_here))
    return search, storage


def _trained(recipes: Sequence[Recipe], arguments: argparse.Namespace, again: str) -> bool:
    """Train them, sealed as they are; False if stopped."""
    from cxr_tui.batch.headless import Output, Place
    from cxr_tui.batch.in_turn import refuse_other_settings, train_in_turn

    told = {recipe.name: recipe for recipe in recipes}
    refuse_other_settings(arguments.sessions, told, "They would not be this search's.")
    cache = cache_folder(arguments.cache)
    place = Place(arguments.device, cache, Output.NOTHING, how_to_go_on=again)
    return train_in_turn(told, arguments.sessions, place, "search")


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "search",
        "Look for better values of a recipe's keys with Optuna, judged by the mean AUROC on val; "
        "the test part stays sealed. Each trial is an ordinary session. Poor ones end early. At "
        "the end the best ones are trained anew with other seeds. A stopped or killed search "
        "continues with the same command.",
        "cxr-tui search demo --trials 20\n  cxr-tui search nih-14 --space my-space.toml --hours 8",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    parser.add_argument(
        "--space",
        metavar="SPACE",
        type=named,
        default="densenet121",
        help="which keys and ranges, a TOML file (default: densenet121, shipped)",
    )
    parser.add_argument(
        "--trials", metavar="N", type=whole_number(1, _MOST_TRIALS), help="end after so many trials"
    )
    parser.add_argument("--hours", metavar="H", type=_hours, help="begin no trial after so long")
    parser.add_argument(
        "--storage",
        metavar="URL|FILE",
        type=named,
        help="a database's address, a SQLite file (.db), or a journal file (default: a journal "
        "in the search's folder beside the sessions)",
    )
    parser.add_argument(
        "--join", action="store_true", help="work on a search that was started elsewhere"
    )
    parser.add_argument(
        "--name", metavar="NAME", type=_name, help="the search's name (default: RECIPE-search)"
    )
    parser.add_argument(
        "--best",
        metavar="N",
        type=whole_number(1, _MOST_BEST),
        default=_BEST,
        help="so many of the best trials are trained anew at the end, and the best is chosen by "
        f"that (default {_BEST})",
    )
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=whole_number(0, _MOST_SEEDS),
        default=_SEEDS,
        help=f"seeds with which each of them is trained anew (default {_SEEDS}; 0: none)",
    )
    add_changes(parser)
    add_device(parser)
    add_json(parser)
    add_places(parser)
    return parser


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= 10_000:
        raise argparse.ArgumentTypeError(f"hours above 0, such as 8 or 0.5, got {text!r}")
    return hours


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"letters, digits, dots, dashes and underscores, at most 60, got {text!r}"
        )
    return text
