"""``cxr-tui weights [get NAME]``: weights that others have trained, and fetching them."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from core.errors import UsageError
from core.model.pretrained import fetching
from core.model.pretrained.known import KnownWeights, expected_in_words, known_weights
from core.model.pretrained.part_file import part_path
from core.model.pretrained.places import own_folder, place_of, sha256_of
from core.store.disk import size_in_words
from core.store.files import is_file
from cxr_tui.arguments import add_json, common_parser, named
from cxr_tui.config import user_config
from cxr_tui.terminal.stdout import print_json, print_pairs, print_table, say, stderr_console
from cxr_tui.weights_table import with_tables

_EXAMPLE = """cxr-tui weights
  cxr-tui weights get imagenet
  cxr-tui weights get imagenet --url https://mirror.example/densenet121-a639ec97.pth"""


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UsageError: no weights have that name.
        FetchError: they can't be fetched.
    """
    arguments = parser().parse_args(argv)
    every = with_tables(user_config().weights)
    if arguments.get is None:
        _list(every, as_json=arguments.json)
        return 0
    if arguments.get != "get" or arguments.name is None:
        raise UsageError(
            "weights takes nothing, or get NAME", remedy="For example cxr-tui weights get imagenet."
        )
    known = known_weights(arguments.name, every)
    place = _fetched(known, arguments.url or "")
    if arguments.json:
        print_json(_as_json(known) | {"path": str(place)})
        return 0
    say(f"{known.name}: checked, and in place: {place}")
    choice = known.name if known.name == "imagenet" else place
    say(f"Start a run from them: --set model.weights={choice}")
    return 0


def _list(every: Sequence[KnownWeights], *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(own_folder()), "weights": [_as_json(one) for one in every]})
        return
    for of_family, members in itertools.groupby(every, _in_common):
        family, expects, licence = of_family
        print_table(family, (), ())
        print_pairs([("  expects", expects), ("  licence", licence)])
        print_pairs((f"    {known.name:<16}", _row(known)) for known in members)
    unpublished = [known.name for known in every if known.url and not known.sha256]
    if unpublished:
        say(f"No digest is published for {', '.join(unpublished)}: their tensors are checked.")
    say("Fetch one: cxr-tui weights get NAME. Nothing is downloaded by itself.")


def _in_common(known: KnownWeights) -> tuple[str, str, str]:
    return known.family, expected_in_words(known.input_spec), known.licence


def _row(known: KnownWeights) -> str:
    """What they were trained on, and where they are."""
    place, come = place_of(known), _come(known)
    size = f" ({known.size})" if known.size else ""
    if place is not None:
        where = f"here: {place}"
    elif come:
        where = f"partly here, {size_in_words(come)} of {known.size or 'an unknown size'}"
    else:
        where = f"not here{size}" if known.url else f"not here; by hand: {known.page}"
    return f"{known.trained_on}; {where}"


def _come(known: KnownWeights) -> int:
    """Bytes that a fetch broken off has left."""
    part = part_path(own_folder() / known.file)
    return part.stat().st_size if is_file(part) else 0


def _as_json(known: KnownWeights) -> dict[str, Any]:
    place = place_of(known)
    return {
        "name": known.name,
        "title": known.title,
        "path": None if place is None else str(place),
        "bytes_of_part": _come(known),
        "file": known.file,
        "url": known.url or None,
        "page": known.page,
        "licence": known.licence,
        "bytes": known.num_bytes,
        "sha256": known.sha256 or None,
        "input": None if known.input_spec is None else known.input_spec.to_json(),
    }


def _fetched(known: KnownWeights, url: str) -> Path:
    """Fetch with a bar on a terminal, or a line for what happens elsewhere.

    An intact file that another program has fetched is as good.
    """
    place = place_of(known)
    if place is not None and known.sha256 and sha256_of(place) == known.sha256:
        return place
    console = stderr_console()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.file.isatty(),
    )
    try:
        with bar:
            task = bar.add_task(known.name, total=known.num_bytes)
            if url or known.url:
                say(f"{known.name}: from {url or known.url}")
            tell = partial(_show, bar, task)
            return fetching.fetch(known, own_folder(), url=url, tell=tell)
    except KeyboardInterrupt:
        say("what has come stays; the same command goes on from there")
        raise


def _show(bar: Progress, task: TaskID, progress: fetching.Progress) -> None:
    bar.update(task, completed=progress.done, total=progress.total)
    if progress.note:
        say(progress.note)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "weights",
        "List the weights that are known: where they are, what they expect of an image, and their "
        "licence. get NAME fetches one; it goes on where it broke off, and is checked before it is "
        "put in place. Proxies are those of the environment (https_proxy, no_proxy).",
        _EXAMPLE,
    )
    parser.add_argument("get", metavar="get", nargs="?", help="fetch the weights called NAME")
    parser.add_argument("name", metavar="NAME", nargs="?", help="a name of the list")
    parser.add_argument(
        "--url", metavar="URL", type=named, help="fetch from a mirror; the same checks apply"
    )
    add_json(parser)
    return parser
