"""``cxr-tui bench RECIPE``: how fast each part is here, and what limits a run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.bench.rounds import BLOCK_SECONDS
from core.errors import StoppedError
from cxr_tui.arguments import (
    add_cache,
    add_changes,
    add_device,
    add_json,
    cache_folder,
    common_parser,
)
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals
from cxr_tui.own_data import own_recipe
from cxr_tui.terminal.safe_text import duration
from cxr_tui.terminal.stdout import print_json, print_pairs, print_table

_LONGEST_BLOCK_SECONDS = 600.0
_ROWS = (
    ("decoding, one core", "decode_one_core"),
    ("decoding, all cores", "decode_all_cores"),
    ("ingest", "ingest"),
    ("cache, one thread", "cache"),
    ("augmentation", "augmentation"),
    ("bare step (the ceiling)", "step"),
    ("whole loop", "loop"),
    ("validation", "validation"),
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    recipe = own_recipe(arguments.recipe, arguments.set)
    from core.bench.measure import (
        run_bench,
    )  # torch: not for --help or a refused recipe

    narrator = Narrator()
    # Nothing is saved, so a signal ends it immediately: a block may take ten minutes.
    with StopSignals("stopping", leaving=_stopped):
        try:
            bench = run_bench(
                recipe,
                arguments.device,
                cache_folder(arguments.cache),
                lambda stage, done, total: narrator.stage("bench", stage, done, total),
                block_seconds=arguments.seconds,
            )
        finally:
            narrator.close()
    found = bench.as_json()
    if arguments.json:
        print_json(found)
    else:
        _show(found)
    return 0


def _stopped() -> StoppedError:
    return StoppedError("stopped before everything was measured; no result was saved")


def _show(found: Mapping[str, Any]) -> None:
    rates = found["images_per_second"]
    print_table(
        f"{found['recipe']}: {found['size_px']} px, batch {found['batch_size']}, "
        f"{found['precision']} on {found['device_name']}, {found['cores']} cores",
        ("part", "images/s", "lowest", "highest"),
        [
            [name, *(_rate(rates[key][of]) for of in ("median", "low", "high"))]
            for name, key in _ROWS
        ],
    )
    print_pairs(("·", note) for note in _notes(found))
    limit = found["limit"]
    print_pairs([("▸", f"{limit['text']} {limit['remedy']}")])


def _notes(found: Mapping[str, Any]) -> list[str]:
    ratios, expected, nih = found["ratios"], found["expected_seconds"], found["nih"]
    memory = f"peak memory: {_gib(found['peak_host_bytes'])} on the host"
    if found["peak_device_bytes"] is not None:
        memory += f", {_gib(found['peak_device_bytes'])} on the device"
    to_decode = found["images_to_decode"]
    about = "about " if nih["ingest_is_estimated"] else ""
    held = " and ".join(found["images_held"])
    where = f"images of {held} are in the device's memory" if held else "images from the cache"
    return [
        *found["warnings"],
        f"{found['step']} steps: {found['step_reason']}; {where}",
        f"the whole loop reaches {_percent(ratios['loop_to_step']['median'])} of its ceiling; "
        f"data takes {_percent(found['data_share'])} of its time once the images are in the cache",
        f"ingest reaches {_percent(ratios['ingest_to_cores']['median'])} of the cores' decoding "
        f"rate, validation {ratios['validation_to_loop']['median']:.1f} times the rate of training",
        memory,
        f"this recipe: ingest {duration(expected['ingest'])} ({to_decode:,} images to decode), an "
        f"epoch {duration(expected['epoch'])}, the whole run {duration(expected['run'])}",
        f"NIH with these settings: ingest of all {nih['all_images']:,} images "
        f"{about}{duration(expected['nih_ingest'])}, training once on the "
        f"{nih['train_val_images']:,} of the official train_val list "
        f"{duration(expected['nih_epoch'])}",
    ]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "bench",
        "Measure how fast each part of a run is on this machine, with some images of the recipe's "
        "data set: decoding, ingest, cache, augmentation, the bare training step (the ceiling), "
        "the whole loop and validation. Also says what limits a run and how long NIH would take. "
        "Takes about a minute and leaves no session.",
        "cxr-tui bench demo\n  cxr-tui bench nih-14 --set dataset.images=/data/nih --json",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    add_changes(parser)
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=_seconds,
        default=BLOCK_SECONDS,
        help=f"length of a measured block; longer is steadier (default {BLOCK_SECONDS:g})",
    )
    add_device(parser)
    add_json(parser)
    add_cache(parser)
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _LONGEST_BLOCK_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {_LONGEST_BLOCK_SECONDS:g} seconds")
    return value
