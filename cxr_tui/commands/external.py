"""``cxr-tui external SESSION… --set dataset.…``: sessions' networks on other data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.progress import Progress as Bar
from rich.text import Text

from core.errors import UsageError
from core.findings import did_you_mean
from core.store.session import Session
from core.store.sessions import open_session
from cxr_tui.arguments import (
    add_changes,
    add_device,
    add_json,
    add_places,
    common_parser,
    named,
)
from cxr_tui.leftover_words import refuse_left_over
from cxr_tui.reports.external_matrix import print_matrix
from cxr_tui.reports.external_table import figure_text, print_external
from cxr_tui.runs.external_cells import Cell, Progress, cells, exit_code_of, scored_and_kept
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.stdout import print_json, say, stderr_console

if TYPE_CHECKING:
    from core.evaluation.external.given_sets import GivenSet

_PARTS = ("all", "test", "val", "train")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parsed(argv)
    sessions = _sessions(arguments)
    from core.evaluation.external.given_sets import given_sets

    sets = given_sets(arguments.on, arguments.set)
    if len(sessions) == len(sets) == 1:
        _one(arguments, next(iter(sessions.values())), sets[0])
        return 0
    return _matrix(arguments, sessions, _named_sets(arguments, sessions, sets))


def _one(arguments: argparse.Namespace, session: Session, given: GivenSet) -> None:
    """A session on a data set, with every figure."""
    from core.evaluation.external.kept import place_for
    from core.evaluation.predicting.predictor import open_predictor  # torch: not for --help

    if arguments.finding:
        raise UsageError(
            "is for several sessions or data sets",
            where="--finding",
            remedy="Every finding is printed here; --set dataset.findings=… scores some of them.",
        )
    recipe = given.recipe_for(session.recipe)
    name = arguments.name or given.name(session.recipe, arguments.part)
    place_for(session, name, replace=arguments.replace)  # refused before torch is loaded
    predictor = open_predictor(session, arguments.device)
    for note in predictor.notes:
        say(note)
    with _Shown() as bar:
        scored = scored_and_kept(predictor, recipe, name, arguments, bar.progress(""))
    if arguments.json:
        print_json(scored.as_json())
    else:
        print_external(scored.report, scored.place, scored.looks)


def _matrix(
    arguments: argparse.Namespace, sessions: Mapping[str, Session], sets: Mapping[str, GivenSet]
) -> int:
    """Every session on every set, and the table of them."""
    learnt = {name for one in sessions.values() for name in one.recipe.dataset.findings}
    for finding in arguments.finding:
        if finding not in learnt:
            raise UsageError(
                f"no session has learnt {finding}",
                where="--finding",
                remedy=did_you_mean(finding, learnt) or f"There are {', '.join(sorted(learnt))}.",
            )
    found: list[Cell] = []
    total = len(sessions) * len(sets)
    with _Shown() as bar:

        def progress_of(session: str, name: str) -> Progress:
            return bar.progress(f"{len(found) + 1} of {total}, {session} on {name}: ")

        for cell in cells(sessions, sets, arguments, bar.say, progress_of):
            found.append(cell)
            told = "not scored"
            if cell.scored is not None:
                told = f"mean AUROC {figure_text(cell.scored.report['mean_auroc'])}"
            bar.say(f"{len(found)} of {total}, {cell.session} on {cell.name}: {told}")
    if arguments.json:
        every = [cell.as_json() for cell in found]
        print_json({"sessions": list(sessions), "sets": list(sets), "cells": every})
    else:
        print_matrix(found, arguments.finding)
    return exit_code_of(found)


def _sessions(arguments: argparse.Namespace) -> dict[str, Session]:
    """What each is called -> it: its name, or as typed where two have the same."""
    opened = {text: open_session(text, arguments.sessions) for text in arguments.session}
    paths = [one.path for one in opened.values()]
    twice = next((t for t in arguments.session if arguments.session.count(t) > 1), None) or next(
        (text for text, one in opened.items() if paths.count(one.path) > 1), None
    )
    if twice is not None:
        raise UsageError("is named twice", where=twice, remedy="Name each session once.")
    names = [one.name for one in opened.values()]
    return {one.name if names.count(one.name) == 1 else t: one for t, one in opened.items()}


def _named_sets(
    arguments: argparse.Namespace, sessions: Mapping[str, Session], sets: Sequence[GivenSet]
) -> dict[str, GivenSet]:
    """The name of each set's results -> it."""
    from core.evaluation.external.kept import place_for

    own = next(iter(sessions.values())).recipe
    for given in sets:
        given.recipe_for(own)  # a wrong key is refused before anything is scored
    if arguments.name is not None:
        if len(sets) > 1:
            raise UsageError(
                "there are several data sets",
                where=f"--name {arguments.name}",
                remedy="Name each of them: --on NAME=FOLDER.",
            )
        place_for(next(iter(sessions.values())), arguments.name, replace=True)  # can it be one?
        return {arguments.name: sets[0]}
    by_name: dict[str, GivenSet] = {}
    for given in sets:
        name = given.name(own, arguments.part)
        if name in by_name:
            raise UsageError(
                f"two data sets have the name {name}",
                where=f"--on {given.typed}",
                why="Each is kept in a session under its name.",
                remedy=f"Name one of them otherwise: --on {name}-2={given.where}",
            )
        by_name[name] = given
    return by_name


class _Shown:
    """A bar on stderr where it is a terminal, and lines above it."""

    def __init__(self) -> None:
        self._bar = Bar(console=stderr_console(), transient=True, disable=not _is_watched())

    def __enter__(self) -> _Shown:
        self._bar.start()
        self._task = self._bar.add_task("reading the tables", total=None)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line for the user."""
        if self._bar.disable:
            say(text)
        else:
            self._bar.console.print(Text(visible(text)))

    def progress(self, before: str) -> Progress:
        """Called with what is done, how much of it, and of how much."""

        def progress(what: str, done: int, total: int | None) -> None:
            self._bar.update(self._task, description=before + what, completed=done, total=total)

        return progress


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Options stand anywhere among the sessions, which argparse doesn't do by itself."""
    made = parser()
    arguments, left_over = made.parse_known_intermixed_args(argv)
    refuse_left_over(made, arguments, left_over)
    return arguments


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "external",
        "A session's best network on another data set: every figure beside that of the session's "
        "own test part, their difference, and where it comes from. Thresholds stay those of the "
        "session's val. With several sessions or data sets: a table of each on each.",
        "cxr-tui external demo --set dataset.images=/data/chexpert --part test\n"
        "  cxr-tui external demo --set dataset.images=scans --set dataset.labels=ours.csv\n"
        "  cxr-tui external demo demo-slow --on /data/chexpert --on ours=ours.toml",
    )
    parser.add_argument(
        "session",
        metavar="SESSION",
        nargs="+",
        type=named,
        help="a name or a path; with several, each is put on each data set",
    )
    parser.add_argument(
        "--on",
        metavar="[NAME=]SET",
        action="append",
        type=named,
        default=[],
        help="a data set: the folder of a collection, or a recipe, of which dataset, labels and "
        "split are taken; may be repeated",
    )
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
    parser.add_argument(
        "--finding",
        metavar="FINDING",
        action="append",
        type=named,
        default=[],
        help="in a table of several, this finding's AUROC instead of the mean; may be repeated",
    )
    add_json(parser)
    add_places(parser)
    add_device(parser)
    return parser
