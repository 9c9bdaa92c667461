"""``cxr-tui compare A B``: whether one run, or recipe, is better than another."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from core.errors import UsageError
from cxr_tui.arguments import add_json, add_sessions, common_parser, whole_number
from cxr_tui.terminal.stdout import print_json


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    names = [*arguments.runs, *(arguments.against or ())]
    if len(names) < 2:
        raise UsageError(
            "needs two runs to compare",
            remedy="Name two sessions, or predictions: cxr-tui compare A B.",
        )
    # numpy and pandas: not for --help
    from core.evaluation.comparing.compare import compare_runs, noted_looks
    from core.evaluation.comparing.scored_runs import read_runs
    from cxr_tui.reports.comparison_table import print_comparison

    runs = read_runs(names, arguments.sessions, arguments.labels)
    report = compare_runs(
        runs,
        len(arguments.runs) if arguments.against else None,
        common=arguments.common,
        margin=arguments.margin,
        rule=arguments.operating_point,
        draws=arguments.bootstrap,
        seed=arguments.seed,
    )
    looks = noted_looks(runs, arguments.sessions)
    report["looks"] = looks.as_json() if looks else None
    if arguments.json:
        print_json(report)
    else:
        print_comparison(report)
    return 0


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = common_parser(
        "compare",
        "Whether one run is better than another on the same test images: differences of AUROC, "
        "AUPRC and specificity with intervals over patients, and p values corrected for the "
        "number of findings. Runs that differ in seeds alone form a group; then seeds count too.",
        "cxr-tui compare demo demo-slow\n"
        "  cxr-tui compare A1 A2 A3 --against B1 B2 B3\n"
        "  cxr-tui compare mine.csv theirs.csv --labels Data_Entry_2017_v2020.csv",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a session's name or path, or a CSV of predictions",
    )
    parser.add_argument(
        "--against",
        metavar="RUN",
        nargs="+",
        help="the second group; the runs before it are the first",
    )
    parser.add_argument(
        "--labels", metavar="FILE.csv", type=Path, help="the label table of predictions"
    )
    parser.add_argument(
        "--common",
        action="store_true",
        help="compare the images and findings that all runs have, and leave out others",
    )
    parser.add_argument(
        "--margin",
        metavar="AUROC",
        type=_margin,
        help="differences below this count as none: tells whether models are equal",
    )
    parser.add_argument(
        "--operating-point",
        metavar="RULE",
        help="chooses on val the sensitivity at which specificities are compared: youden or "
        "sensitivity=0.9 (default: the recipe's)",
    )
    parser.add_argument(
        "--bootstrap",
        metavar="N",
        type=whole_number(0, 100_000),
        default=1000,
        help="draws of patients for AUPRC (default 1000)",
    )
    parser.add_argument(
        "--seed", metavar="N", type=whole_number(0, 2**32 - 1), default=0, help="of the draws"
    )
    add_json(parser)
    add_sessions(parser)
    return parser


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not 0 < margin < 1:
        raise argparse.ArgumentTypeError(f"a margin lies between 0 and 1, got {text!r}")
    return margin
