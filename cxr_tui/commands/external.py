"""``cxr-tui external SESSION --set dataset.…``: a session's network on another data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.progress import Progress as Bar

from core.store.ledger import look_at, part_of_images
from core.store.sessions import open_session
from cxr_tui.arguments import (
    add_changes,
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
    named,
)
from cxr_tui.reports.external_table import print_external
from cxr_tui.terminal.stdout import print_json, say, stderr_console

_PARTS = ("all", "test", "val", "train")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    session = open_session(arguments.session, arguments.sessions)
    from core.evaluation.external.elsewhere import evaluate_elsewhere
    from core.evaluation.external.external_data import external_recipe
    from core.evaluation.external.kept import keep_external, name_for, place_for
    from core.evaluation.predicting.predictor import open_predictor  # torch: not for --help
    from core.health.report import health_report_of_external

    recipe = external_recipe(session.recipe, arguments.set)
    name = name_for(recipe, arguments.part) if arguments.name is None else arguments.name
    place = place_for(session, name, replace=arguments.replace)
    predictor = open_predictor(session, arguments.device)
    for note in predictor.notes:
        say(note)
    with Bar(console=stderr_console(), transient=True, disable=not _is_watched()) as bar:
        task = bar.add_task("reading the tables", total=None)

        def progress(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        found = evaluate_elsewhere(
            predictor,
            recipe,
            arguments.part,
            cache_folder(arguments.cache),
            chosen=any(change.startswith("dataset.findings") for change in arguments.set),
            insist=arguments.insist,
            progress=progress,
        )
    found.report["external"]["name"] = name
    report = health_report_of_external(found.predictions, found.report)
    keep_external(place, found.predictions, report, recipe)
    images = part_of_images(map(str, found.predictions.images))
    looks = look_at(session.path.parent, session.name, images, "external")
    if arguments.json:
        print_json({**report, "looks": looks.as_json()})
    else:
        print_external(report, place, looks)
    return 0


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "external",
        "A session's best network on another data set: every figure beside that of the session's "
        "own test part, their difference, and where it comes from. Thresholds stay those of the "
        "session's val.",
        "cxr-tui external demo --set dataset.images=/data/chexpert --part test\n"
        "  cxr-tui external demo --set dataset.images=scans --set dataset.labels=ours.csv",
    )
    parser.add_argument("session", metavar="SESSION", help="a name or a path")
    add_changes(parser, ": those of dataset, labels and split say which data are scored")
    parser.add_argument(
        "--part",
        choices=_PARTS,
        default="all",
        help="the whole data set, or a part that split draws of it (default: all)",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        type=named,
        help="of the results, kept in the session under external/NAME (default: the folder's)",
    )
    parser.add_argument("--replace", action="store_true", help="overwrite the results of this name")
    parser.add_argument(
        "--insist",
        action="store_true",
        help="score images and patients that the network was trained on too; figures are marked",
    )
    add_json(parser)
    add_places(parser)
    add_device(parser)
    return parser
