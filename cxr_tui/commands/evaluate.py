"""``cxr-tui evaluate``: figures of a session, or of anybody's predictions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import UsageError
from core.evaluation.references import known_reference
from core.findings import did_you_mean
from core.health.report import health_report_of_file, health_report_of_session
from core.recipe import EvaluateSettings
from core.recipe_toml import checked_recipe
from core.report_shape import PartReport
from core.store.files import is_folder
from core.store.ledger import look, look_at, looks_so_far
from core.store.past import is_done
from core.store.sealed import is_sealed
from core.store.session import Session
from core.store.sessions import open_session
from cxr_tui.arguments import add_device, add_json, add_places, cache_folder, common_parser
from cxr_tui.reports.auroc_table import print_report
from cxr_tui.reports.subgroup_table import print_subgroups
from cxr_tui.terminal.stdout import print_json, say

_SETTINGS = ("bootstrap", "seed", "reference", "recalibrate")
"""Those of the recipe that an option replaces."""


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    if arguments.open and (arguments.predictions is not None or arguments.split == "val"):
        raise UsageError("--open goes with a session, and its test part")
    if arguments.yes and not arguments.open:
        raise UsageError("--yes needs --open")
    if arguments.predictions is not None:
        report = _of_file(arguments)
    elif arguments.session is not None:
        report = _of_session(arguments)
    else:
        raise UsageError("name a session, or --predictions FILE.csv --labels FILE.csv")
    if arguments.json:
        print_json(report)
    elif arguments.groups is not None:
        _print_groups(PartReport.of(report), arguments.groups)
    else:
        print_report(PartReport.of(report))
    return 0


def _print_groups(report: PartReport, name: str) -> None:
    finding = next((one for one in report.findings if one.lower() == name.lower()), None)
    if finding is None:
        raise UsageError(
            f"--groups {name}: there is no such finding",
            remedy=did_you_mean(name, report.findings) or f"It has {', '.join(report.findings)}.",
        )
    if not report.subgroups:
        say("no subgroups: the table has no sex, age or view that differs")
    print_subgroups(report, finding)


def _of_session(arguments: argparse.Namespace) -> dict[str, object]:
    if arguments.labels is not None or arguments.test_list is not None:
        raise UsageError(
            "--labels and --test-list go with --predictions",
            why="A session is scored by the label table that it was trained with.",
        )
    session = open_session(arguments.session, arguments.sessions)
    settings = _settings(arguments, session.recipe.evaluate)
    cache = cache_folder(arguments.cache)
    part, why = arguments.split or "test", "evaluate"
    if arguments.open:
        _open(session, arguments)
        why = "opened"
    prevalence = tuple(arguments.prevalence)
    report = health_report_of_session(
        session, part, cache, settings=settings, prevalence=prevalence
    )
    return report if part == "val" else {**report, "looks": look(session, why).as_json()}


def _open(session: Session, arguments: argparse.Namespace) -> None:
    """Score a sealed test part as its run would have; nothing to do if it is open.

    Raises:
        UsageError: nobody confirms, or the run isn't finished.
        CxrError: it can't be scored.
    """
    if not is_sealed(session):
        say(f"the test part of {session.name} is open already")
        return
    if is_done(session) is None:
        raise UsageError(
            "--open needs a finished run",
            why="The test part is scored with the best epoch of all.",
            remedy=f"Let it finish: cxr-tui --resume {session.name}.",
        )
    if not arguments.yes:
        _ask(session)
    from cxr_tui.batch.headless import Output, Place, run_session

    place = Place(arguments.device, cache_folder(arguments.cache), Output.NOTHING, opens_test=True)
    if run_session(session, place) != 0:
        raise UsageError("the test part was not scored: it was stopped", remedy="Run it again.")


def _ask(session: Session) -> None:
    seen = looks_so_far(session)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "--open asks before it opens the test part, but there is no terminal to ask on",
            remedy="Confirm with --yes.",
        )
    say(f"This test part has been looked at {seen.times} times by {seen.sources} sessions.")
    say(f"Open it for {session.name}? It can't be closed again, and is noted. [y/N]")
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise UsageError("the test part stays sealed")


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
    if arguments.recalibrate not in (None, "none"):
        raise UsageError(
            "--recalibrate goes with a session",
            why="It is fitted on a val part, and a file of predictions has none.",
        )
    settings = _settings(arguments, EvaluateSettings())
    report, ignored, part = health_report_of_file(
        arguments.predictions,
        arguments.labels,
        settings,
        test_list=arguments.test_list,
        prevalence=tuple(arguments.prevalence),
    )
    if ignored and not arguments.json:
        say(f"columns ignored: {', '.join(ignored)}")
    if not is_folder(arguments.sessions):
        return report  # nobody keeps sessions here, nor a ledger
    looks = look_at(arguments.sessions, arguments.predictions.name, part, "evaluate")
    return {**report, "looks": looks.as_json()}


def _settings(arguments: argparse.Namespace, usual: EvaluateSettings) -> EvaluateSettings:
    """The usual ones, but for those that were given."""
    given = {key: getattr(arguments, key) for key in _SETTINGS}
    table = usual.model_dump(mode="json", exclude_none=True)
    table |= {key: value for key, value in given.items() if value is not None}
    if arguments.subgroup:
        table["subgroups"] = arguments.subgroup
    settings = checked_recipe({"evaluate": table}, "cxr-tui evaluate").evaluate
    known_reference(settings.reference)
    return settings


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "evaluate",
        "The figures of a session's predictions, or of anybody's: a CSV with Image Index and "
        "prob_<Finding> (or <Finding>) columns, joined to a label table.",
        "cxr-tui evaluate --predictions mine.csv --labels Data_Entry_2017_v2020.csv",
    )
    parser.add_argument("session", metavar="SESSION", nargs="?", help="a name or a path")
    parser.add_argument("--split", choices=("val", "test"), help="of a session; default: test")
    parser.add_argument(
        "--predictions",
        metavar="FILE.csv",
        type=Path,
        help="anybody's scores: an image column and one a finding",
    )
    parser.add_argument(
        "--labels", metavar="FILE.csv", type=Path, help="the label table of these images"
    )
    parser.add_argument(
        "--test-list",
        metavar="FILE",
        type=Path,
        help="NIH's test_list.txt (default: beside the labels): tells the official test part",
    )
    parser.add_argument(
        "--reference", metavar="NAME", help="a published column; default: the session's, or none"
    )
    parser.add_argument(
        "--bootstrap", metavar="N", type=int, help="draws of patients, for intervals"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="of the draws")
    parser.add_argument(
        "--recalibrate",
        choices=("none", "platt", "isotonic"),
        help="fitted on val, for these figures alone; default: as in the recipe",
    )
    parser.add_argument(
        "--prevalence",
        metavar="FINDING=SHARE",
        action="append",
        default=[],
        help="PPV, NPV, alarms and probabilities there, e.g. Mass=0.02; repeat it",
    )
    parser.add_argument(
        "--open", action="store_true", help="score a sealed test part, after asking; noted"
    )
    parser.add_argument("--yes", action="store_true", help="with --open: don't ask")
    parser.add_argument(
        "--subgroup",
        metavar="COLUMN",
        action="append",
        help="a column of the label table whose values are groups too; repeat it",
    )
    parser.add_argument(
        "--groups", metavar="FINDING", help="print this finding's figures by sex, age and view"
    )
    add_json(parser)
    add_places(parser)
    add_device(parser)
    return parser
