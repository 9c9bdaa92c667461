"""``cxr-tui bench RECIPE``: how fast each part is here, and what limits a run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.bench.rounds import BLOCK_SECONDS
from core.errors import StoppedError
from core.recipe_toml import load_recipe
from cxr_tui.arguments import add_cache, cache_folder, common_parser
from cxr_tui.batch.narration import Narrator
from cxr_tui.batch.stop_signals import StopSignals
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
    arguments = _parser().parse_args(argv)
    recipe = load_recipe(arguments.recipe, arguments.set)
    from core.bench.measure import run_bench  # torch: not for --help, nor to refuse a recipe

    narrator = Narrator()
    # Nothing of it is kept, so a signal ends it wherever it is: a block may take ten minutes.
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
    return StoppedError("stopped before everything was measured; nothing is left of it")


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
    memory = f"memory at its peak: {_gib(found['peak_host_bytes'])} on the host"
    if found["peak_device_bytes"] is not None:
        memory += f", {_gib(found['peak_device_bytes'])} on the device"
    to_decode = found["images_to_decode"]
    about = "about " if nih["ingest_is_estimated"] else ""
    held = " and ".join(found["images_held"])
    where = f"images of {held} are in the device's memory" if held else "images from the cache"
    return [
        *found["warnings"],
        f"{found['step']} steps: {found['step_reason']}; {where}",
        f"the whole loop reaches {_percent(ratios['loop_to_step']['median'])} of its ceiling; data "
        f"cost {_percent(found['data_share'])} of its time once the images are in the cache",
        f"ingest reaches {_percent(ratios['ingest_to_cores']['median'])} of what the cores decode, "
        f"validation {ratios['validation_to_loop']['median']:.1f} times the rate of training",
        memory,
        f"this recipe: ingest {duration(expected['ingest'])} ({to_decode:,} images to decode), an "
        f"epoch {duration(expected['epoch'])}, the whole run {duration(expected['run'])}",
        f"NIH at these settings: ingest of all {nih['all_images']:,} images {about}"
        f"{duration(expected['nih_ingest'])}, training once on the {nih['train_val_images']:,} of "
        f"the official train_val list {duration(expected['nih_epoch'])}",
    ]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def _parser() -> argparse.ArgumentParser:
    parser = common_parser(
        "bench",
        "How fast each part of a run is on this machine, on some images of the recipe's data set: "
        "decoding, ingest, cache, augmentation, the bare training step (the ceiling), the whole "
        "loop and validation; what limits a run, and how long NIH would take. Takes about a "
        "minute and leaves no session.",
        "cxr-tui bench demo\n  cxr-tui bench nih-14 --set dataset.images=/data/nih --json",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a path, or a shipped recipe's name")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=_seconds,
        default=BLOCK_SECONDS,
        help=f"length of a measured block; longer is steadier (default {BLOCK_SECONDS:g})",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
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
