"""What stands beside the form before the start: steps, cache, device, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from core.recipe import Recipe
from cxr_tui.terminal.safe_text import duration, visible

if TYPE_CHECKING:
    from core.bench.pace import Pace
    from cxr_tui.recipe.estimate import Outlook

UNKNOWN = "–"
_GIB = 2**30


def outlook_lines(
    recipe: Recipe, outlook: Outlook | None, pace: Pace | None, measuring: str
) -> Group:
    """Names and values, a dash for what is not known yet; what needs attention below them.

    ``measuring`` says how far a measurement is, or why there is none; '' offers one.
    """
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold", ratio=1)
    for name, value in (
        ("an epoch", _steps(recipe, outlook)),
        ("images", _images(outlook)),
        ("cache", _cache(outlook)),
        ("disk", _disk(outlook)),
        ("device", visible(_device(outlook, pace))),
        ("time", measuring or _time(recipe, outlook, pace)),
    ):
        grid.add_row(name, Text(value))
    notes = Table.grid(padding=(0, 1), expand=True)
    notes.add_column(no_wrap=True)
    notes.add_column(overflow="fold", ratio=1)
    for mark, text in _attention(outlook):
        notes.add_row(mark, Text(visible(text)))
    return Group(grid, notes)


def _steps(recipe: Recipe, outlook: Outlook | None) -> str:
    if outlook is None or outlook.steps_per_epoch is None:
        return UNKNOWN
    epochs = recipe.train.epochs
    return f"{outlook.steps_per_epoch:,} steps; {epochs:,} epoch{'' if epochs == 1 else 's'}"


def _images(outlook: Outlook | None) -> str:
    if outlook is None or outlook.images is None:
        return UNKNOWN
    return ", ".join(f"{part} {count:,}" for part, count in outlook.images.items())


def _cache(outlook: Outlook | None) -> str:
    if outlook is None or outlook.cache_bytes is None:
        return UNKNOWN
    share = outlook.share_ready
    there = "" if share is None else f", {100 * share:.0f} % there"
    return f"{sized(outlook.cache_bytes)}{there}"


def _disk(outlook: Outlook | None) -> str:
    if outlook is None or outlook.disk_free_bytes is None:
        return UNKNOWN
    return f"{sized(outlook.disk_free_bytes)} free"


def _device(outlook: Outlook | None, pace: Pace | None) -> str:
    if pace is not None:
        memory = "" if pace.peak_bytes is None else f", {sized(pace.peak_bytes)} used"
        return f"{pace.device}, {pace.precision}{memory}"
    return UNKNOWN if outlook is None else outlook.device or UNKNOWN


def _time(recipe: Recipe, outlook: Outlook | None, pace: Pace | None) -> str:
    if pace is None:
        return "m measures it"
    rate = f"{pace.train_images_per_second:,.3g} images/s"
    if outlook is None or outlook.images is None:
        return rate
    seconds = pace.epoch_seconds(outlook.images)
    whole = duration(seconds * recipe.train.epochs)
    return f"{duration(seconds)} an epoch, {whole} in all, at {rate}"


def _attention(outlook: Outlook | None) -> list[tuple[str, str]]:
    if outlook is None:
        return []
    lines = [("▲", outlook.problem)] if outlook.problem else []
    if outlook.lacks_disk:
        lines.append(("▲", "the cache does not fit: free some space, or use --cache DIR"))
    lines += [("·", outlook.note)] if outlook.note else []
    lines += [("·", f"{outlook.stage} …")] if outlook.stage else []
    return lines


def sized(num_bytes: int) -> str:
    """Bytes with the unit that suits them."""
    if num_bytes >= _GIB / 10:
        return f"{num_bytes / _GIB:,.1f} GiB"
    mib = num_bytes / 2**20
    return f"{mib:,.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"
