"""What CAMs says in words: the line on top, and why there are no maps; no Textual."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from rich.text import Text

from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.safe_text import shortened, visible

_SHORTEST_NAME = 12
_BESIDE_FINDING = 36
"""Cells that the longest filter and the longest method take."""

_GIVE_WAY = ("network", "boxed", "under way", "images")
"""Parts of the head, what is dropped first before the rest; finding, filter and method stay."""


def head(name: str, parts: Mapping[str, str], width: int) -> Text:
    """The session and what is shown of it; its name is cut before any part is left out.

    ``parts`` in their order: finding, filter, images, boxed, method, network, under way.
    """
    shown = {part: visible(text) for part, text in parts.items() if text}
    if "finding" in shown:
        shown["finding"] = shortened(shown["finding"], max(_SHORTEST_NAME, width - _BESIDE_FINDING))
    name = visible(name)
    least = min(_SHORTEST_NAME, cell_len(name))
    for part in _GIVE_WAY:
        if width - 2 - cell_len(_joined(shown)) >= least:
            break
        shown.pop(part, None)
    rest = _joined(shown)
    room = max(1, width - 2 - cell_len(rest))
    text = Text(no_wrap=True, overflow="ellipsis")
    return text.append(f" {shortened(name, room)}", style="bold").append(rest)


def _joined(parts: Mapping[str, str]) -> str:
    return "".join(f"{', ' if part == 'boxed' else ' · '}{text}" for part, text in parts.items())


def network_words(checkpoint: str, epoch: int | None) -> str:
    """The epoch that the network is of, as Results names it; else its file's name."""
    if epoch is None:
        return checkpoint
    return f"epoch {epoch}" if checkpoint.startswith("best") else f"within epoch {epoch}"


def untrained_words(view: RunView, name: str, *, is_reading: bool, is_written: bool) -> str:
    """Why there is no network to make maps of, when it comes, and what to do."""
    if is_reading:
        return "The session is being read."
    if is_written:
        return _coming(view)
    if view.kept or view.state == "finished":
        return (
            "There are no maps: none of the run's checkpoints is there whole any more.\n\n"
            "Bring the session's checkpoints/ back from a copy, and they come here."
        )
    goes_on = f"1, r          begins it, or: cxr-tui --resume {visible(name)}"
    if view.state == "new":
        return f"There are no maps: nothing has been trained here.\n\n{goes_on}"
    verb = {"stopped": "was stopped", "failed": "failed"}.get(view.state, "was interrupted")
    reason = f"\n{visible(view.message)}" if view.message else ""
    return (
        f"There are no maps: the run {verb} before it kept a checkpoint.{reason}\n\n"
        f"{goes_on.replace('begins it', 'begins it anew')}"
    )


def _coming(view: RunView) -> str:
    lines = [
        "There are no maps yet: the run has kept no checkpoint so far.",
        "The first comes with epoch 1, and its maps come here then.",
        "",
    ]
    if view.state == "paused":
        lines.append("P             goes on with the run, which is paused")
    elif view.stage == "training":
        lines.append("C             keeps a checkpoint now")
    return "\n".join([*lines, "4             the curves of its training"])
