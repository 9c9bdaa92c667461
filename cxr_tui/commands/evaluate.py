"""``cxr-tui evaluate``: figures of a session, or of anybody's predictions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from core.errors import UsageError
from core.evaluation.references import known_reference
from core.health.report import health_report_of_file, health_report_of_session
from core.recipe import EvaluateSettings
from core.recipe_toml import checked_recipe
from core.store.sessions import open_session
from cxr_tui.arguments import add_places, cache_folder, common_parser
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.terminal.stdout import print_json, say


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parser().parse_args(argv)
    if arguments.predictions is not None:
        report = _of_file(arguments)
    elif arguments.session is not None:
        report = _of_session(arguments)
    else:
        raise UsageError("name a session, or --predictions FILE.csv --labels FILE.csv")
    if arguments.json:
        print_json(report)
    else:
        print_report(report)
    return 0


def _of_session(arguments: argparse.Namespace) -> dict[str, object]:
    if arguments.labels is not None or arguments.test_list is not None:
        raise UsageError(
            "--labels and --test-list go with --predictions",
            why="A session is scored by the label table that it was trained with.",
        )
    session = open_session(arguments.session, arguments.sessions)
    settings = _settings(arguments, session.recipe.evaluate)
    cache = cache_folder(arguments.cache)
    return health_report_of_session(session, arguments.split or "test", cache, settings=settings)


def _of_file(arguments: argparse.Namespace) -> dict[str, object]:
    if arguments.session is not None:
        raise UsageError("takes a session or --predictions, not both")
    if arguments.labels is None:
        raise UsageError(
            "--predictions needs --labels FILE.csv",
            why="Scores alone say nothing: they are joined to a label table on Image Index.",
            remedy="Name NIH's Data_Entry_2017_v2020.csv, or your own table.",
        )
    if arguments.split == "val":
        raise UsageError("--split goes with a session: a file of predictions has no parts")
    settings = _settings(arguments, EvaluateSettings())
    report, ignored = health_report_of_file(
        arguments.predictions, arguments.labels, settings, test_list=arguments.test_list
    )
    if ignored and not arguments.json:
        say(f"columns ignored: {', '.join(ignored)}")
    return report


def _settings(arguments: argparse.Namespace, usual: EvaluateSettings) -> EvaluateSettings:
    """The usual ones, but for those that were given."""
    given = {key: getattr(arguments, key) for key in ("bootstrap", "seed", "reference")}
    table = usual.model_dump(mode="json", exclude_none=True)
    table |= {key: value for key, value in given.items() if value is not None}
    settings = checked_recipe({"evaluate": table}, "cxr-tui evaluate").evaluate
    known_reference(settings.reference)
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = common_parser(
        "evaluate",
        "The figures of a session's predictions, or of anybody's: a CSV with Image Index and "
        "prob_<Finding> (or <Finding>) columns, joined to a label table.",
        "cxr-tui evaluate --predictions mine.csv --labels Data_Entry_2017_v2020.csv",
    )
    parser.add_argument("session", metavar="SESSION", nargs="?", help="a name or a path")
    parser.add_argument("--split", choices=("val", "test"), help="of a session; default: test")
    parser.add_argument("--predictions", metavar="FILE.csv", type=Path)
    parser.add_argument("--labels", metavar="FILE.csv", type=Path)
    parser.add_argument(
        "--test-list",
        metavar="FILE",
        type=Path,
        help="NIH's test_list.txt (default: beside the labels): tells the official test part",
    )
    parser.add_argument("--reference", help="a published column; default: the session's, or none")
    parser.add_argument("--bootstrap", type=int, help="draws of patients, for intervals")
    parser.add_argument("--seed", type=int, help="of the draws")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_places(parser)
    return parser
