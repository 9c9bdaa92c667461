"""Pictures of the console's screens, for looking at them, for the README and for docs/

    python tests/pictures.py FOLDER [--session DIR] [--size 80x24]… [--ascii] [--light]

Writes an SVG a screen and size, and a PNG of it where ``rsvg-convert`` is installed; each is the
app's own export, drawn from a real session (the newest demo unless another is named).
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "support"))

import platformdirs
from console import plain, press, until

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
}


async def take(folder: Path, session: Path, size: str, *, ascii_only: bool, light: bool) -> None:
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
        for name, (digit, words, keys) in SCREENS.items():
            await press(pilot, digit)
            if name == "cams":  # its keys need the network
                await until(pilot, lambda: "in the box" in plain(app), "the network", 120)
            await press(pilot, *keys)
            await until(pilot, lambda words=words: words in plain(app), f"{name}: {words!r}", 120)
            await asyncio.sleep(2.0)  # what comes from threads: no more than a picture waits for it
            save(folder / f"{name}-{size}.svg", app.export_screenshot())
            if name == "keys":
                await press(pilot, "escape")


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
    given = parser.parse_args()
    session = given.session or sorted(Path("sessions").glob("*-demo*"))[-1]
    given.folder.mkdir(parents=True, exist_ok=True)
    for size in given.size or SIZES:
        asyncio.run(take(given.folder, session, size, ascii_only=given.ascii, light=given.light))


if __name__ == "__main__":
    main()
