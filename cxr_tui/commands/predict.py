"""``cxr-tui predict SESSION PATH…``: a session's network on images that are in no table."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DataError, StoppedError, UsageError
from core.store.sessions import open_session
from core.words import number_of
from cxr_tui.arguments import (
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
    folder,
    named,
)
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.leftover_words import refuse_left_over
from cxr_tui.reports.prediction_progress import PredictionProgress
from cxr_tui.reports.prediction_table import (
    Told,
    is_shown_in_full,
    prediction_json,
    print_images,
    print_notes,
    print_prediction,
)
from cxr_tui.terminal.stdout import print_json, say

if TYPE_CHECKING:
    from core.data.images.given_images import GivenImage, GivenImages
    from core.evaluation.predicting.predictor import Predictor
    from core.evaluation.predicting.row_file import RowFile
    from core.evaluation.predicting.rows import PredictedImage, Totals

_MOST_ON_SCREEN = 50


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = _parsed(argv)
    session = open_session(arguments.session, arguments.sessions)
    from core.data.images.given_images import FROM_STDIN
    from core.evaluation.calibrating.prevalence import parse_prevalence
    from core.evaluation.predicting.called_maps import ready_map_folder
    from core.evaluation.predicting.predictor import open_predictor  # torch: not for --help
    from core.evaluation.predicting.row_file import RowFile

    if FROM_STDIN not in arguments.paths and not any(map(os.path.lexists, arguments.paths)):
        raise _nothing_there(arguments.paths)
    given = parse_prevalence(arguments.prevalence, session.recipe.dataset.findings)
    predictor = open_predictor(session, arguments.device, given)
    if arguments.maps is not None:
        ready_map_folder(arguments.maps)
    with ExitStack() as stack:
        # What is refused is refused before the guard learns, which takes a minute.
        rows = None
        if arguments.out is not None:
            out = RowFile(arguments.out, predictor.findings, resume=arguments.resume)
            rows = stack.enter_context(out)
        predictor = _guarded(arguments, predictor)
        for note in predictor.notes:
            say(note)
        if rows is not None:
            _to_file(arguments, predictor, rows)
        else:
            _to_screen(arguments, predictor)
    return 0


def _guarded(arguments: argparse.Namespace, predictor: Predictor) -> Predictor:
    from core.evaluation.predicting.guard.guard_source import with_guard

    narrator = Narrator()
    remedy = "" if arguments.out is None else "Run the same command with --resume."

    def stopped() -> StoppedError:
        return StoppedError("stopped before the first image", remedy=remedy)

    with StopSignals("stopping", leaving=stopped):
        try:
            return with_guard(
                predictor,
                cache_folder(arguments.cache),
                lambda stage, done, total: narrator.stage("guard", stage, done, total),
            )
        finally:
            narrator.close()


def _to_file(arguments: argparse.Namespace, predictor: Predictor, rows: RowFile) -> None:
    from core.data.images.given_images import GivenImages
    from core.evaluation.predicting.called_maps import save_called_maps
    from core.evaluation.predicting.rows import cells_of

    findings, thresholds = predictor.findings, predictor.thresholds
    has_maps, maps = arguments.maps is not None, 0
    before = rows.totals.images
    progress = PredictionProgress(arguments.paths)

    def is_wanted(file: str) -> bool:
        is_new = rows.is_new(file)
        progress.passed += not is_new
        return is_new

    def stopped() -> StoppedError:
        return StoppedError(
            f"stopped: {number_of(rows.totals.images, 'row')} are whole in {arguments.out}",
            remedy="Run the same command with --resume to go on.",
        )

    images = GivenImages(arguments.paths, _lines(), is_wanted)
    with progress, StopSignals("stopping", leaving=stopped):
        for batch in predictor.batches(images, progress.tell, keeps_content=has_maps):
            if has_maps:  # before its rows: a row says that all of it is done
                maps += save_called_maps(predictor, batch, arguments.maps)
            rows.add([cells_of(image, findings, thresholds) for image in batch.rows])
            progress.add(len(batch.rows))
    _told(arguments, predictor, images, rows.totals, before, maps)


def _to_screen(arguments: argparse.Namespace, predictor: Predictor) -> None:
    from core.data.images.given_images import GivenImages
    from core.evaluation.predicting.called_maps import save_called_maps
    from core.evaluation.predicting.rows import Totals, cells_of

    findings, thresholds = predictor.findings, predictor.thresholds
    has_maps, maps = arguments.maps is not None, 0
    images, totals = GivenImages(arguments.paths, _lines(), _once()), Totals(findings)
    shown: list[PredictedImage] = []
    with StopSignals("stopping", leaving=lambda: StoppedError("stopped; nothing was written")):
        for batch in predictor.batches(_few(images), keeps_content=has_maps):
            if has_maps:
                maps += save_called_maps(predictor, batch, arguments.maps)
            shown += batch.rows
            for image in batch.rows:
                totals.add(cells_of(image, findings, thresholds))
    if not arguments.json:
        print_images(shown, predictor)
    _told(arguments, predictor, images, totals, 0, maps, shown)


def _lines() -> Iterator[str]:
    """The list on standard input; not read before it is asked for."""
    yield from map(os.fsdecode, sys.stdin.buffer)


def _once() -> Callable[[str], bool]:
    """Asked for a file, whether it was not asked for before."""
    seen: set[str] = set()

    def is_wanted(file: str) -> bool:
        is_new = file not in seen
        seen.add(file)
        return is_new

    return is_wanted


def _few(images: Iterable[GivenImage]) -> Iterator[GivenImage]:
    """The same, refused where there are more than a screen shows."""
    for number, image in enumerate(images):
        if number == _MOST_ON_SCREEN:
            raise UsageError(
                f"there are more than {_MOST_ON_SCREEN} images",
                why="Without --out their predictions are only shown.",
                remedy="Name a file for them: --out predictions.csv.",
            )
        yield image


def _told(
    arguments: argparse.Namespace,
    predictor: Predictor,
    images: GivenImages,
    totals: Totals,
    before: int,
    maps: int,
    shown: Sequence[PredictedImage] | None = None,
) -> None:
    """The summary; refused where nothing was scored."""
    told = Told(predictor, images, totals, before, arguments.out, arguments.maps, maps)
    if arguments.json:
        print_json(prediction_json(told, shown))
    elif shown is not None and is_shown_in_full(shown):
        print_notes(told)
    elif totals.scored:
        print_prediction(told)
    if not totals.scored:
        raise _nothing_scored(arguments, images, totals)


def _nothing_there(paths: Sequence[str]) -> DataError:
    others = len(paths) - 1
    more = f", nor {'is the other one' if others == 1 else f'are the {others:,} others'}"
    return DataError(
        f"there is no such file or folder{more if others else ''}",
        where=paths[0],
        why="Nothing was scored or written",
        remedy="Name images: PNG, JPEG, TIFF or DICOM, folders or archives of them",
    )


def _nothing_scored(
    arguments: argparse.Namespace, images: GivenImages, totals: Totals
) -> DataError:
    if totals.first_error is not None:
        file, reason = totals.first_error
        others = totals.images - 1
        more = f", and {number_of(others, 'other file')} neither" if others else ""
        return DataError(
            f"{reason}{more}",
            where=file,
            why="No image could be scored",
            remedy="Name images: PNG, JPEG, TIFF or DICOM, folders or archives of them",
        )
    if images.unreadable:
        folder, reason = next(iter(images.unreadable.items()))
        return DataError(f"can't be listed: {reason}", where=folder, why="No image was found")
    kinds = ", ".join(
        f"{count:,} {suffix or 'without ending'}" for suffix, count in images.others.most_common(4)
    )
    return DataError(
        "there is no image here",
        where=", ".join(arguments.paths[:3]),
        why=f"It has only other files: {kinds}" if kinds else "It is empty",
        remedy="Name images: PNG, JPEG, TIFF or DICOM, folders or archives of them",
    )


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Options stand anywhere among the paths, which argparse doesn't do by itself."""
    made = parser()
    arguments, left_over = made.parse_known_intermixed_args(argv)
    refuse_left_over(made, arguments, left_over)
    if arguments.resume and arguments.out is None:
        raise UsageError("--resume goes on with a file", remedy="Name it with --out FILE.csv.")
    return arguments


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "predict",
        "A session's best network on your own images, without labels or tables: probabilities, "
        "calls at the operating points chosen on val, and what a call is worth.",
        "cxr-tui predict demo scan.png\n"
        "  cxr-tui predict demo /data/hospital --out scores.csv\n"
        "  find /data -name '*.dcm' | cxr-tui predict demo - --out scores.csv --resume",
    )
    parser.add_argument("session", metavar="SESSION", help="a name or a path")
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=named,
        help="an image, a folder, a tar or zip of images, or - for a list on standard input",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.csv",
        type=lambda text: Path(named(text)),
        help="a row for each image; default: a table on the terminal, for a few images",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with --out where it was stopped"
    )
    parser.add_argument(
        "--maps",
        metavar="DIR",
        type=folder,
        help="save a heat map over the image for each finding that is called",
    )
    parser.add_argument(
        "--prevalence",
        metavar="FINDING=SHARE",
        action="append",
        default=[],
        help="where your images come from; PPV and NPV depend on it (default: the test part's); "
        "may be repeated",
    )
    add_json(parser)
    add_places(parser)
    add_device(parser)
    return parser
