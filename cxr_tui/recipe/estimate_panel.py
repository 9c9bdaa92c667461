"""What stands beside the form before the start: steps, cache, device, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.recipe import Recipe
from cxr_tui.terminal.safe_text import duration, visible

if TYPE_CHECKING:
    from core.bench.throughput import Throughput
    from cxr_tui.recipe.estimate import Estimate

UNKNOWN = "–"
_GIB = 2**30


def estimate_lines(
    recipe: Recipe, estimate: Estimate | None, throughput: Throughput | None, measuring: str
) -> Group:
    """Names and values, a dash for what is not known yet; what needs attention below them.

    ``measuring`` says how far a measurement is, or why there is none; '' offers one.
    """
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold", ratio=1)
    for name, value in (
        ("an epoch", _steps(recipe, estimate)),
        ("images", _images(estimate)),
        ("cache", _cache(estimate)),
        ("disk", _disk(estimate)),
        ("device", visible(_device(estimate, throughput))),
        ("time", measuring or _time(recipe, estimate, throughput)),
    ):
        grid.add_row(name, Text(value))
    notes = Table.grid(padding=(0, 1), expand=True)
    notes.add_column(no_wrap=True)
    notes.add_column(overflow="fold", ratio=1)
    for mark, text in _attention(estimate):
        notes.add_row(mark, Text(visible(text)))
    return Group(grid, notes)


def _steps(recipe: Recipe, estimate: Estimate | None) -> str:
    if estimate is None or estimate.steps_per_epoch is None:
        return UNKNOWN
    epochs = recipe.train.epochs
    return f"{estimate.steps_per_epoch:,} steps; {epochs:,} epoch{'' if epochs == 1 else 's'}"


def _images(estimate: Estimate | None) -> str:
    if estimate is None or estimate.images is None:
        return UNKNOWN
    return ", ".join(f"{part} {count:,}" for part, count in estimate.images.items())


def _cache(estimate: Estimate | None) -> str:
    if estimate is None or estimate.cache_bytes is None:
        return UNKNOWN
    share = estimate.share_ready
    there = "" if share is None else f", {100 * share:.0f} % there"
    return f"{sized(estimate.cache_bytes)}{there}"


def _disk(estimate: Estimate | None) -> str:
    if estimate is None or estimate.disk_free_bytes is None:
        return UNKNOWN
    return f"{sized(estimate.disk_free_bytes)} free"


def _device(estimate: Estimate | None, throughput: Throughput | None) -> str:
    if throughput is not None:
        memory = "" if throughput.peak_bytes is None else f", {sized(throughput.peak_bytes)} used"
        return f"{throughput.device}, {throughput.precision}{memory}"
    return UNKNOWN if estimate is None else estimate.device or UNKNOWN


def _time(recipe: Recipe, estimate: Estimate | None, throughput: Throughput | None) -> str:
    if throughput is None:
        return "m measures it"
    rate = f"{throughput.train_images_per_second:,.3g} images/s"
    if estimate is None or estimate.images is None:
        return rate
    seconds = throughput.epoch_seconds(estimate.images)
    whole = duration(seconds * recipe.train.epochs)
    return f"{duration(seconds)} an epoch, {whole} in all, at {rate}"


def _attention(estimate: Estimate | None) -> list[tuple[str, str]]:
    if estimate is None:
        return []
    lines = [("▲", estimate.problem)] if estimate.problem else []
    if estimate.lacks_disk:
        lines.append(("▲", "the cache does not fit: free some space, or use --cache DIR"))
    lines += [("·", estimate.note)] if estimate.note else []
    lines += [("·", f"{estimate.stage} …")] if estimate.stage else []
    return lines


def sized(num_bytes: int) -> str:
    """Bytes with the unit that suits them."""
    if num_bytes >= _GIB / 10:
        return f"{num_bytes / _GIB:,.1f} GiB"
    mib = num_bytes / 2**20
    return f"{mib:,.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"
