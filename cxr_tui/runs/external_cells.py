"""A session's network on other data sets: each result kept in the session, or why there is none."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import CxrError, StoppedError
from core.store.ledger import Looks, look_at, part_of_images
from cxr_tui.arguments import cache_folder

if TYPE_CHECKING:
    from core.evaluation.external.given_sets import GivenSet
    from core.evaluation.predicting.predictor import Predictor
    from core.recipe import Recipe
    from core.store.session import Session

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of a network on a data set, and where it is kept."""

    report: Mapping[str, Any]
    place: Path
    looks: Looks

    def as_json(self) -> dict[str, Any]:
        """The report with the looks at these images."""
        return {**self.report, "looks": self.looks.as_json()}


@dataclass(frozen=True, eq=False)
class Cell:
    """A session on a data set: scored, or the error that says why not."""

    session: str
    name: str
    scored: Scored | None = None
    error: CxrError | None = None

    def as_json(self) -> dict[str, Any]:
        """Whose it is, why it is missing, and the keys of a single result."""
        told = {"session": self.session, "set": self.name}
        why = None if self.error is None else str(self.error)
        code = 0 if self.error is None else self.error.exit_code
        found = {} if self.scored is None else self.scored.as_json()
        return {**told, "error": why, "exit_code": code, **found}


def scored_and_kept(
    predictor: Predictor,
    recipe: Recipe,
    name: str,
    arguments: argparse.Namespace,
    progress: Progress,
) -> Scored:
    """Score a data set, and keep its predictions and report in the session.

    Raises:
        CxrError: see ``place_for``, ``evaluate_elsewhere`` and ``keep_external``.
    """
    from core.evaluation.external.elsewhere import evaluate_elsewhere
    from core.evaluation.external.kept import keep_external, place_for
    from core.health.report import health_report_of_external

    session = predictor.session
    place = place_for(session, name, replace=arguments.replace)
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
    return Scored(report, place, look_at(session.path.parent, session.name, images, "external"))


def cells(
    sessions: Mapping[str, Session],
    sets: Mapping[str, GivenSet],
    arguments: argparse.Namespace,
    told: Callable[[str], None],
    progress_of: Callable[[str, str], Progress],
) -> Iterator[Cell]:
    """Each session on each set, one session after the other; no cell costs another.

    Args:
        sessions: what a session is called -> it.
        sets: the name of a set's results -> it.
        arguments: those of the command.
        told: called with what is to be said about a network.
        progress_of: the progress of a session on a set.

    Raises:
        StoppedError: asked to stop; what was scored before is kept.
    """
    from core.evaluation.predicting.predictor import open_predictor

    for called, session in sessions.items():
        try:
            predictor = open_predictor(session, arguments.device)
        except CxrError as error:
            yield from (Cell(called, name, error=error) for name in sets)
            continue
        for note in predictor.notes:
            told(f"{called}: {note}")
        for name, given in sets.items():
            try:
                recipe = given.recipe_for(session.recipe)
                progress = progress_of(called, name)
                scored = scored_and_kept(predictor, recipe, name, arguments, progress)
            except StoppedError:
                raise
            except CxrError as error:
                yield Cell(called, name, error=error)
            else:
                yield Cell(called, name, scored)


def exit_code_of(found: Sequence[Cell]) -> int:
    """0 if anything was scored, else that of the first reason."""
    errors = [cell.error for cell in found if cell.error is not None]
    return 0 if len(errors) < len(found) else errors[0].exit_code
