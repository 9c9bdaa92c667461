"""Text on CAMs: the line on top, and why there are no maps; no Textual."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from rich.text import Text

from cxr_tui.runs.run_view import RunView
from cxr_tui.terminal.key_names import key_line, key_of
from cxr_tui.terminal.safe_text import shortened, visible

_SHORTEST_NAME = 12
_BESIDE_FINDING = 36
"""Cells of the longest filter and the longest method."""

_GIVE_WAY = ("network", "boxed", "under way", "images")
"""Parts of the head in the order they are dropped; finding, filter and method stay."""


def nothing_shown() -> str:
    """What leads to a session."""
    return "\n".join(
        [
            "No session is shown.",
            "",
            key_line(key_of("mode.sessions"), "choose one"),
            key_line(key_of("mode.sessions", "sessions.new"), "train on the synthetic set"),
        ]
    )


def head(name: str, parts: Mapping[str, str], width: int) -> Text:
    """The session and what is shown of it; its name is cut before any part is dropped.

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
    """The epoch of the network, as named on Results; otherwise its file's name."""
    if epoch is None:
        return checkpoint
    return f"epoch {epoch}" if checkpoint.startswith("best") else f"within epoch {epoch}"


def no_row_words(only: str, finding: str, *, has_others: bool) -> str:
    """Why the list is empty: the filter ``only`` matches nothing, or there is no image at all."""
    if only:
        return f"No image is '{only}'. {key_of('cams.filter')} shows others."
    if not has_others:
        return "No image to show, of any finding: none with a box, none called."
    return (
        f"No image of {visible(finding)} to show: none with a box, none called. "
        f"{key_of('cams.finding', 'cams.next', apart=' or ')} chooses another finding."
    )


def untrained_words(view: RunView, name: str, *, is_reading: bool, is_written: bool) -> str:
    """Why there is no network for maps, when there will be one, and what to do."""
    if is_reading:
        return "The session is being read."
    if is_written:
        return _coming(view)
    if view.kept or view.state == "finished":
        return (
            "There are no maps: none of the run's checkpoints is intact.\n\n"
            "Restore the session's checkpoints/ from a copy, and the maps appear here."
        )
    resume = key_of("mode.training", "training.resume")
    goes_on = key_line(resume, f"starts it, or: cxr-tui --resume {visible(name)}")
    if view.state == "new":
        return f"There are no maps: nothing has been trained here.\n\n{goes_on}"
    verb = {"stopped": "was stopped", "failed": "failed"}.get(view.state, "was interrupted")
    reason = f"\n{visible(view.message)}" if view.message else ""
    return (
        f"There are no maps: the run {verb} before it saved a checkpoint.{reason}\n\n"
        f"{goes_on.replace('starts it', 'starts it again')}"
    )


def _coming(view: RunView) -> str:
    lines = [
        "There are no maps yet: the run has saved no checkpoint so far.",
        "The first is saved after epoch 1, and its maps appear here then.",
        "",
    ]
    if view.state == "paused":
        lines.append(key_line(key_of("run.pause"), "continues the paused run"))
    elif view.stage == "training":
        lines.append(key_line(key_of("run.checkpoint"), "saves a checkpoint now"))
    return "\n".join([*lines, key_line(key_of("mode.training"), "the curves of its training")])


def means_words(means: str, colours: str | None) -> str:
    """How to read a picture that is not in true colour, and how to get one that is.

    Args:
        means: what it is drawn with.
        colours: rich's name for what the terminal tells of; None where no colours are wanted.
    """
    words = []
    if means == "letters":
        words.append("Digits are tenths of the map's peak, O is the box, X the peak.")
    number = {"256": 256, "standard": 16}.get(colours or "")
    if number:
        words.append(
            f"This terminal tells of {number} colours. Where it has more: COLORTERM=truecolor "
            "cxr-tui; in tmux also: set -as terminal-features ',*:RGB'"
        )
    return " ".join(words)
