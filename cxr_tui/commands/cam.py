"""``cxr-tui cam SESSION``: heat maps of where the network looks, compared with boxes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress as Bar

from core.errors import UsageError
from core.evaluation.maps.localization import NEAR, POINTING
from core.evaluation.maps.localization_words import CONTROLS, OTHER_IMAGE, RANDOM, USUAL_PLACE
from core.evaluation.maps.methods import METHODS, method_named
from core.health.diagnosis import Diagnosis
from core.health.maps import check_maps
from core.store.sessions import open_session
from core.words import number_of
from cxr_tui.arguments import (
    add_device,
    add_json,
    add_places,
    cache_folder,
    common_parser,
    named,
)
from cxr_tui.commands.wrong_sheet import draw_wrong_sheet
from cxr_tui.runs.health_text import answers_of, health_pairs
from cxr_tui.terminal.stdout import print_json, print_pairs, print_table, stderr_console

if TYPE_CHECKING:
    from core.evaluation.maps.cams import DrawnCams

_CONTROL_HEADS = {RANDOM: "random", USUAL_PLACE: "usual place", OTHER_IMAGE: "other map"}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    method = method_named(arguments.method)
    if arguments.wrong is None and (arguments.sheet or arguments.part != "test"):
        raise UsageError(
            "--sheet and --part are for the images that are most wrong",
            remedy="Name their finding with --wrong.",
        )
    session = open_session(arguments.session, arguments.sessions)
    if arguments.wrong is not None:
        return draw_wrong_sheet(arguments, session)
    from core.evaluation.maps.cams import chosen_candidates, draw_cams, localize
    from core.evaluation.maps.map_source import open_map_source  # torch: not for --help

    source = open_map_source(session, cache_folder(arguments.cache), arguments.device)
    candidates = chosen_candidates(source, arguments.finding, arguments.count, arguments.seed)
    with Bar(console=stderr_console(), transient=True, disable=not _is_watched()) as bar:
        task = bar.add_task("maps", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        drawn = draw_cams(source, candidates, method, progress=progress)
        report = None
        if not arguments.no_measure:
            report = localize(source, method, progress=progress)
    if arguments.json:
        print_json(_as_json(drawn, report))
    else:
        _show(drawn, report)
    return 0


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _as_json(drawn: DrawnCams, report: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "cams": [
            {
                "image": found.candidate.image,
                "finding": found.candidate.finding,
                "probability": round(found.probability, 6),
                "boxes": len(found.boxes_K4),
                "hit": found.hit,
                "within_half_a_cell": found.near,
                "evidence": found.has_evidence,
                "seen_in_training": found.candidate.seen,
                "file": str(file),
            }
            for found, file in zip(drawn.shown, drawn.files, strict=True)
        ],
        "with_boxes": drawn.num_boxed,
        "contact_sheet": str(drawn.sheet),
        "table": str(drawn.table),
        "warnings": list(drawn.warnings),
        "health": [answer.as_json() for answer in _health(drawn)],
        "localization": None if report is None else dict(report),
    }


def _show(drawn: DrawnCams, report: Mapping[str, Any] | None) -> None:
    rows = [
        [
            found.candidate.image,
            found.candidate.finding,
            f"{found.probability:.3f}",
            _outcome(found.hit, found.near, found.has_evidence),
            "–" if found.best_overlaps is None else f"{found.best_overlaps[0]:.2f}",
            "seen in training" if found.candidate.seen else found.candidate.kind,
        ]
        for found in drawn.shown
    ]
    count = len(drawn.shown)
    title = f"{count} map{'' if count == 1 else 's'}, {drawn.num_boxed} with a box"
    head = ["image", "finding", "probability", "peak", "IoU", "drawn as"]
    print_table(title, head, rows, left=2)
    print_table(None, (), (), notes=[*_where(drawn), *drawn.warnings])
    found = [answer.as_json() for answer in _health(drawn)]
    print_pairs(health_pairs(answers_of(found)))
    if report is None:
        return
    if report["findings"]:
        _show_localization(report)
    print_table(None, (), (), notes=[*report["summary"], *report["warnings"]])


def _health(drawn: DrawnCams) -> list[Diagnosis]:
    return list(check_maps(drawn=len(drawn.shown), with_boxes=drawn.num_boxed))


def _outcome(hit: bool | None, near: bool | None, has_evidence: bool) -> str:
    if not has_evidence:
        return "no evidence"
    if hit is None:
        return "–"
    return "hit" if hit else ("near" if near else "miss")


def _where(drawn: DrawnCams) -> list[str]:
    return [f"overlays and {drawn.table.name} in {drawn.table.parent}", f"all: {drawn.sheet}"]


def _show_localization(report: Mapping[str, Any]) -> None:
    # Fits 80 columns; regions and their overlaps are in the sentences below.
    head = ["finding", "maps", "in box", "95 %", "near"]
    head += [_CONTROL_HEADS[name] for name in CONTROLS]
    rows = []
    for finding, figures in report["findings"].items():
        at = figures["map"]
        interval = at[f"{POINTING}_ci"]
        rows.append(
            [
                finding,
                f"{figures['maps']:,}",
                _share(at[POINTING]),
                "–" if interval is None else f"{interval[0]:.2f}–{interval[1]:.2f}",
                _share(at[NEAR]),
                *(_share(figures["controls"][name][POINTING]) for name in CONTROLS),
            ]
        )
    title = (
        f"test part: {report['maps']:,} boxed maps on {number_of(report['images'], 'image')} of "
        f"{number_of(report['patients'], 'patient')}, {report['method']} at {report['input_px']} px"
    )
    print_table(title, head, rows)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "cam",
        "Draw heat maps of where the network looks, as PNG overlays with boxes, and compare the "
        "maps of all test images that have boxes with these, next to three controls.",
        "cxr-tui cam 20261123-120000-nih-14 --finding Mass --count 8\n"
        "  cxr-tui cam 20261123-120000-nih-14 --wrong Mass --sheet mass.png",
    )
    parser.add_argument("session", metavar="SESSION", help="a name or a path")
    parser.add_argument(
        "--finding", metavar="FINDING", help="default: the findings with boxes, in turn"
    )
    parser.add_argument(
        "--count", metavar="N", type=_positive, default=8, help="maps to draw (default 8)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=_not_negative, default=0, help="selects the images"
    )
    parser.add_argument(
        "--no-measure",
        action="store_true",
        help="only draw: don't measure the test images with boxes",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        default=METHODS[0],
        help=f"{', '.join(METHODS)} (default {METHODS[0]})",
    )
    wrong = parser.add_argument_group("the images that the scores get most wrong, without maps")
    wrong.add_argument(
        "--wrong",
        metavar="FINDING",
        help="draw those labelled absent and scored highest, and those labelled present and scored "
        "lowest, on one picture, and do nothing else",
    )
    wrong.add_argument(
        "--sheet",
        metavar="FILE.png",
        type=lambda text: Path(named(text)),
        help="where to write it (default: images-by-error-FINDING-PART.png in the session)",
    )
    wrong.add_argument("--part", choices=("test", "val"), default="test", help="default test")
    add_device(parser)
    add_json(parser)
    add_places(parser)
    return parser


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
