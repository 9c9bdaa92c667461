"""``cxr-tui phantom DIR``: write a synthetic data set in NIH's format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.progress import Progress

from core.data.phantom import write_phantom
from core.recipe import PhantomSettings
from core.recipe_toml import checked_recipe
from core.words import number_of
from cxr_tui.arguments import common_parser, folder
from cxr_tui.terminal.stdout import print_table, stderr_console


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    settings = _checked(arguments.patients, arguments.size, arguments.seed)
    console = stderr_console()
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("drawing", total=None)
        counts = write_phantom(
            arguments.folder,
            patients=settings.patients,
            size_px=settings.size_px,
            seed=settings.seed,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print_table(
        f"{arguments.folder}: {number_of(counts.images, 'image')} of "
        f"{number_of(counts.patients, 'patient')}, {counts.boxes:,} boxes",
        (),
        (),
    )
    return 0


def _checked(patients: int, size_px: int, seed: int) -> PhantomSettings:
    """The settings, checked by the recipe's bounds."""
    table = {"patients": patients, "size_px": size_px, "seed": seed}
    recipe = checked_recipe({"dataset": {"phantom": table}}, "cxr-tui phantom")
    return recipe.dataset.phantom or PhantomSettings()


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "phantom",
        "Write a synthetic chest X-ray data set: NIH's layout and quirks, known truth (truth.csv), "
        "reproducible by seed.",
        "cxr-tui phantom /tmp/phantom --patients 100",
    )
    defaults = PhantomSettings()
    parser.add_argument("folder", metavar="DIR", type=folder, help="a new or empty folder")
    parser.add_argument(
        "--patients",
        metavar="N",
        type=int,
        default=defaults.patients,
        help=f"number to draw (default {defaults.patients})",
    )
    parser.add_argument(
        "--size",
        metavar="PX",
        type=int,
        default=defaults.size_px,
        help=f"width and height of an image (default {defaults.size_px})",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=defaults.seed,
        help="the same seed gives the same bytes (default 0)",
    )
    return parser
