"""Pictures of the console's screens, for looking at them, for the README and for docs/

    python tests/pictures.py FOLDER [--session DIR] [--size 80x24]… [--ascii] [--light]
    python tests/pictures.py FOLDER --contact-sheet [--session DIR] [--size 80x24]…

Writes an SVG a screen and size, and a PNG of it where ``rsvg-convert`` is installed; each is the
app's own export, drawn from a real session (the newest demo unless another is named).

``--only NAME`` is a screen; without it all of them. A contact sheet is one PNG a size: a row a
screen, a column for each number of colours of a terminal in a dark and in a light theme, drawn cell
by cell; and each of its pictures in full.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "support"))

import platformdirs
from cell_picture import picture_of, sheet_of
from console import plain, press, until
from PIL import Image
from rich.color import ColorSystem
from textual.pilot import Pilot

from cxr_tui.app.app import ConsoleApp
from cxr_tui.console.workspace import Workspace

SIZES = ("80x24", "120x40", "200x60")
CELL_PX = 12.2
_TEXT = re.compile(
    r'<text class="([^"]+)" x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+"([^>]*)>(.*?)</text>'
)

# What has to stand on a screen before its picture is taken, and the keys that bring it there.
SCREENS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "sessions": ("1", "val AUROC", ()),
    "data": ("2", "box at", ()),
    "recipe": ("3", "GiB free", ()),
    "training": ("4", "Cardiomegaly", ()),
    "training-auroc": ("4", "chance", (".",)),
    "results": ("5", "sensitivity", ()),
    "cams": ("6", "in the box", (",", ",")),
    "keys": ("4", "Keys of", ("?",)),
    "wrong": ("5", "labelled present", ("enter",)),
    "delete": ("1", "permanently", ("d",)),
    "picker": ("2", "Open a data set", ("o",)),
    "health": ("4", "the most serious first", ("h",)),
}

# Those for which the sessions' folder needs more: --only takes them.
OF_MORE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "notes": ("5", "health", ("v",)),
    "worth": ("5", "alarms", ("D",)),
    "groups": ("5", "women", ("W",)),
    "findings": ("2", "findings", ("f",)),
    "co-occurrence": ("2", "%", ("c",)),
    "search-row": ("1", "pruned", ("g",)),
    "search": ("1", "AUROC by trial", ("g", "enter")),
    "comparison": ("1", "difference", ("G", "space", "k", "space", "Y")),
}

_LEFT_BY_ESCAPE = (
    "keys",
    "wrong",
    "delete",
    "picker",
    "health",
    "worth",
    "groups",
    "findings",
    "search",
    "comparison",
)

COLOURS: dict[str, tuple[ColorSystem, dict[str, str]]] = {
    "true colour": (ColorSystem.TRUECOLOR, {"TERM": "xterm-256color", "COLORTERM": "truecolor"}),
    "256": (ColorSystem.EIGHT_BIT, {"TERM": "xterm-256color"}),
    "16": (ColorSystem.STANDARD, {"TERM": "xterm"}),
    "none": (
        ColorSystem.TRUECOLOR,
        {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"},
    ),
}
"""Number of a terminal's colours, and what it tells of them; without any, Textual draws greys."""

THEMES = ("reading-room", "light-box")


async def take(
    folder: Path,
    session: Path,
    size: str,
    names: Collection[str] = tuple(SCREENS),
    *,
    ascii_only: bool,
    light: bool,
) -> None:
    """A picture of every screen at one size."""
    columns, _, rows = size.partition("x")
    os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}  # whatever it is started in
    cache = Path(platformdirs.user_cache_dir("cxr-tui"))
    workspace = Workspace(session.parent, cache, device="cpu")
    app = ConsoleApp(workspace, ascii_only=ascii_only, attach=session.name)
    async with app.run_test(size=(int(columns), int(rows))) as pilot:
        if light:
            app.theme = "light-box"
        await until(pilot, lambda: app.current_mode == "training", "the session")
        for name in names:
            digit, words, keys = (SCREENS | OF_MORE)[name]
            await press(pilot, digit)
            if name == "cams":  # its keys need the network
                await until(pilot, lambda: "in the box" in plain(app), "the network", 120)
            await press(pilot, *keys)
            await until(pilot, lambda words=words: words in plain(app), f"{name}: {words!r}", 120)
            await asyncio.sleep(2.0)  # what comes from threads: no more than a picture waits for it
            save(folder / f"{name}-{size}.svg", app.export_screenshot())
            if name in _LEFT_BY_ESCAPE:
                await press(pilot, "escape")


async def take_contacts(
    folder: Path, session: Path, size: str, names: Collection[str], colours: str
) -> dict[tuple[str, str], Image.Image]:
    """(Screen, theme) -> its picture in a terminal of so many colours."""
    system, told = COLOURS[colours]
    for name in ("COLORTERM", "NO_COLOR"):
        os.environ.pop(name, None)
    os.environ |= told
    columns, _, rows = size.partition("x")
    cache = Path(platformdirs.user_cache_dir("cxr-tui"))
    app = ConsoleApp(Workspace(session.parent, cache, device="cpu"), attach=session.name)
    taken = {}
    async with app.run_test(size=(int(columns), int(rows))) as pilot:
        await until(pilot, lambda: app.current_mode == "training", "the session")
        for name in names:
            digit, words, keys = (SCREENS | OF_MORE)[name]
            await press(pilot, digit)
            if name == "cams":
                await until(pilot, lambda: "in the box" in plain(app), "the network", 120)
            await press(pilot, *keys)
            await until(pilot, lambda words=words: words in plain(app), f"{name}: {words!r}", 120)
            await settled(pilot)
            for theme in THEMES:
                app.theme = theme
                await settled(pilot)
                taken[name, theme] = picture_of(app, system)
                one = f"{name}-{size}-{colours.replace(' ', '-')}-{theme}.png"
                taken[name, theme].save(folder / one)
            if name in _LEFT_BY_ESCAPE:
                await press(pilot, "escape")
    return taken


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until a screen stays as it is for a moment."""
    before, same = "", 0
    while same < 4:
        await pilot.pause(0.1)
        now = plain(pilot.app)
        same = same + 1 if now == before and "reading the" not in now else 0
        before = now


def contact_sheet(folder: Path, session: Path, size: str, names: Collection[str]) -> None:
    """Every screen at one size, in every number of colours and in both themes."""
    heads = [(colours, theme) for colours in COLOURS for theme in THEMES]
    taken = {
        colours: asyncio.run(take_contacts(folder, session, size, names, colours))
        for colours in COLOURS
    }
    rows = [[taken[colours][name, theme] for colours, theme in heads] for name in names]
    titles = [f"{colours}, {theme}" for colours, theme in heads]
    sheet_of(rows, titles, width=640).save(folder / f"contact-sheet-{size}.png")


def save(path: Path, svg: str) -> None:
    """The picture with every character on its cell, whatever fonts there are; and as PNG."""
    path.write_text(_TEXT.sub(_on_cells, svg))
    if shutil.which("rsvg-convert"):
        png = path.with_suffix(".png")
        subprocess.run(["rsvg-convert", "--width", "1500", path, "--output", png], check=True)


def _on_cells(match: re.Match[str]) -> str:
    style, x, y, rest, text = match.groups()
    # A word of plain letters keeps its cells by itself; any other sign is put on its own.
    words = re.finditer(r"[!-~]+|[^\s\xa0]", html.unescape(text))
    return "".join(
        f'<text class="{style}" x="{float(x) + CELL_PX * word.start():.1f}" {y}{rest}>'
        f"{html.escape(word[0])}</text>"
        for word in words
    )


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--size", action="append")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--contact-sheet", action="store_true")
    parser.add_argument(
        "--only", action="append", choices=SCREENS | OF_MORE, help="these screens alone"
    )
    given = parser.parse_args()
    session = given.session or sorted(Path("sessions").glob("*-demo*"))[-1]
    given.folder.mkdir(parents=True, exist_ok=True)
    for size in given.size or SIZES:
        names = given.only or tuple(SCREENS)
        if given.contact_sheet:
            contact_sheet(given.folder, session, size, names)
            continue
        how = {"ascii_only": given.ascii, "light": given.light}
        asyncio.run(take(given.folder, session, size, names, **how))


if __name__ == "__main__":
    main()
