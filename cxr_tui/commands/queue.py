"""``cxr-tui queue``: runs that wait their turn; list, add, run, order, pause, empty."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import SessionError, UsageError
from core.recipe_toml import changed_recipe
from core.store.queue.entry import ENDS, Entry
from core.store.queue.queue import Queue
from cxr_tui.arguments import (
    PlainParser,
    WrappedHelp,
    add_cache,
    add_changes,
    add_device,
    add_json,
    add_on_end,
    add_sessions,
    cache_folder,
    common_parser,
    folder,
    named,
)
from cxr_tui.own_data import own_recipe
from cxr_tui.runs.queue_end import QueueClock, QueueEnd
from cxr_tui.runs.queue_words import end_in_words, entries_in_words
from cxr_tui.terminal.safe_text import duration
from cxr_tui.terminal.stdout import print_json, print_json_line, print_table, say

if TYPE_CHECKING:
    from cxr_tui.batch.queue_worker import Work

_MOST_AT_ONCE = 100


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        CxrError: see the actions.
    """
    arguments = parser().parse_args(argv)
    act: Callable[[Queue, argparse.Namespace], int] = getattr(arguments, "act", _list)
    return act(Queue(arguments.sessions), arguments)


def _list(queue: Queue, arguments: argparse.Namespace) -> int:
    entries = queue.entries()
    states = [entry.state() for entry in entries]
    stated = list(zip(entries, states, strict=True))
    end = QueueClock(queue.sessions).end(stated)
    if arguments.json:
        print_json(
            {
                "paused": queue.is_paused,
                "seconds_left": round(end.seconds, 1),
                "entries_never_timed": end.num_unknown,
                "entries": [
                    {**_described(one), "seconds_left": _rounded(end.by_entry.get(one.name))}
                    for one in entries
                ],
            }
        )
        return 0
    if not entries:
        print_table(f"The queue of {arguments.sessions} is empty.", (), ())
        return 0
    rows = [
        (f"{entry.number}", state, entry.session.name, _takes(end, entry), _when(entry))
        for entry, state in stated
    ]
    head = ("entry", "state", "session", "takes", "added")
    notes = [note] if (note := end_in_words(end, states)) else []
    paused = "The queue is paused." if queue.is_paused else None
    print_table(paused, head, rows, left=3, notes=notes)
    for entry in entries:
        if why := entry.fault or (entry.ended.message if entry.ended else ""):
            say(f"cxr-tui: entry {entry.number}: {why}")
    return 0


def _described(entry: Entry) -> dict[str, Any]:
    ended = entry.ended
    return {
        "entry": entry.number,
        "name": entry.name,
        "state": entry.state(),
        "session": entry.session.name,
        "added": entry.added,
        "exit_code": ended.exit_code if ended else None,
        "message": entry.fault or (ended.message if ended else ""),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _takes(end: QueueEnd, entry: Entry) -> str:
    seconds = end.by_entry.get(entry.name)
    return "–" if seconds is None else duration(seconds)


def _when(entry: Entry) -> str:
    return f"{duration(max(0.0, time.time() - entry.added))} ago" if entry.added else "–"


def _add(queue: Queue, arguments: argparse.Namespace) -> int:
    """Add it once, or several times with one training seed after the other.

    Raises:
        UsageError: several can't have one name.
        RecipeError, SessionError: it can't be added.
    """
    recipe, count = own_recipe(arguments.recipe, arguments.set), arguments.count
    if count > 1 and arguments.session is not None:
        raise UsageError("--session names one session, but --count adds several")
    for turn in range(count):
        seed = recipe.train.seed + turn
        one = recipe if turn == 0 else changed_recipe(recipe, [f"train.seed={seed}"])
        entry = queue.add(one, arguments.session)
        if arguments.json:
            print_json_line(json.dumps(_described(entry)))
            continue
        said = f"entry {entry.number}  session {entry.session.path}"
        print_table(said + (f"  seed {seed}" if count > 1 else ""), (), ())
    if queue.is_paused:
        say("The queue is paused; go on with: cxr-tui queue resume")
    return 0


def _run(queue: Queue, arguments: argparse.Namespace) -> int:
    from cxr_tui.batch.queue_worker import QueueWorker  # slow to import: not for --help
    from cxr_tui.terminal.streams import outlive_readers

    outlive_readers(json_on_stdout=arguments.json)
    done: list[Work] = []

    def ended(work: Work) -> None:
        done.append(work)
        if arguments.json:
            print_json_line(json.dumps(_described(work.entry) | {
                "state": work.ended.state,
                "exit_code": work.ended.exit_code,
                "message": work.ended.message,
                "seconds": round(work.seconds, 1),
            }))  # fmt: skip

    cache = cache_folder(arguments.cache)
    until_empty, on_end = arguments.until_empty, arguments.on_end
    worker = QueueWorker(queue, arguments.device, cache, until_empty, ended, on_end)
    code = worker.work()
    if done and not arguments.json:
        rows = [
            (f"{work.entry.number}", work.ended.state, work.entry.session.name,
             duration(work.seconds))
            for work in done
        ]  # fmt: skip
        print_table(None, ("entry", "state", "session", "time"), rows, left=3)
    return code


def _move(queue: Queue, arguments: argparse.Namespace) -> int:
    entry = queue.entry(arguments.entry)
    left = [one for one in queue.entries() if one.ended is None]
    to = {"first": 0, "last": len(left)}.get(arguments.to)
    queue.move(entry, int(arguments.to) - 1 if to is None else to)
    return _list(queue, arguments)


def _remove(queue: Queue, arguments: argparse.Namespace) -> int:
    for entry in [queue.entry(asked) for asked in arguments.entry]:
        queue.remove(entry)
        say(f"entry {entry.number} removed")
    return 0


def _retry(queue: Queue, arguments: argparse.Namespace) -> int:
    for entry in [queue.entry(asked) for asked in arguments.entry]:
        queue.put_back(entry)
        say(f"entry {entry.number} waits again")
    return 0


def _clear(queue: Queue, arguments: argparse.Namespace) -> int:
    """Remove every entry that no worker has."""
    removed = 0
    for entry in queue.entries():
        state = entry.state()
        if state == "running" or (arguments.ended and state not in ENDS):
            continue
        try:
            queue.remove(entry)
        except SessionError as error:
            if queue.entries() and entry.path.is_dir() and entry.state() != "running":
                raise
            say(f"cxr-tui: {error}")
            continue
        removed += 1
    say(f"{entries_in_words(removed)} removed; sessions stay")
    return 0


def _pause(queue: Queue, _arguments: argparse.Namespace) -> int:
    queue.pause()
    say("The queue is paused: what runs goes on to its end, and nothing else is taken.")
    return 0


def _resume(queue: Queue, _arguments: argparse.Namespace) -> int:
    queue.go_on()
    say("The queue goes on.")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "queue",
        "Runs that wait their turn: list them, or add, run, order, pause and empty them. Whoever "
        "works on the queue takes one entry after the other; one that was begun goes on.",
        "cxr-tui queue add nih-14 --set dataset.images=/data/nih\n"
        "  cxr-tui queue add nih-14 --set train.learning_rate=0.001 --session slow\n"
        "  cxr-tui queue run --until-empty\n"
        "  cxr-tui queue",
    )
    actions = parser.add_subparsers(
        title="actions",
        metavar="ACTION",
        parser_class=PlainParser,
        help="what to do; without one, the queue is listed",
    )
    _add_actions(actions)
    add_sessions(parser)
    add_json(parser)
    return parser


def _add_actions(actions: argparse._SubParsersAction[PlainParser]) -> None:
    def action(name: str, what: str, act: Callable[..., int]) -> argparse.ArgumentParser:
        added = actions.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.",
            formatter_class=WrappedHelp, allow_abbrev=False,
        )  # fmt: skip
        added.set_defaults(act=act)
        return added

    add = action("add", "add a recipe as the last entry", _add)
    add.add_argument("recipe", metavar="RECIPE", type=named, help="a path or a shipped name")
    add_changes(add)
    add.add_argument("--session", metavar="NAME", type=named, help="the name of its session")
    add.add_argument(
        "--count", metavar="N", type=_count, default=1, help="add it N times, a seed apart"
    )
    run = action("run", "take one entry after the other and train it", _run)
    run.add_argument(
        "--until-empty", action="store_true", help="end when nothing is left, instead of waiting"
    )
    add_device(run)
    add_on_end(run)
    add_cache(run)
    move = action("move", "move an entry to another place", _move)
    move.add_argument("entry", metavar="ENTRY", help="its number, or its session")
    move.add_argument("to", metavar="PLACE", type=_place, help="first, last, or a number from 1")
    for name, what, act in (
        ("remove", "remove entries; their sessions stay", _remove),
        ("retry", "let failed or stopped entries wait again", _retry),
    ):
        of_some = action(name, what, act)
        of_some.add_argument("entry", metavar="ENTRY", nargs="+", help="a number, or a session")
    action("pause", "take no other entry; what runs goes on to its end", _pause)
    action("resume", "take entries again", _resume)
    clear = action("clear", "remove every entry that isn't running; sessions stay", _clear)
    clear.add_argument("--ended", action="store_true", help="only those that have ended")
    every: list[argparse.ArgumentParser] = list(actions.choices.values())
    _add_places(every, (add, run, move))


def _add_places(
    every: Sequence[argparse.ArgumentParser], printing: Sequence[argparse.ArgumentParser]
) -> None:
    """--sessions and --json after the action too."""
    for one in every:
        # Also after the action; without a default, what stands before it is kept.
        one.add_argument("--sessions", metavar="DIR", type=folder, default=argparse.SUPPRESS,
                         help="where sessions are kept (default ./sessions)")  # fmt: skip
    for one in printing:
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                         help="JSON on stdout")  # fmt: skip


def _count(text: str) -> int:
    if not (
        text.isascii() and text.isdecimal() and len(text) < 4 and 0 < int(text) <= _MOST_AT_ONCE
    ):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_AT_ONCE}")
    return int(text)


def _place(text: str) -> str:
    is_number = text.isascii() and text.isdecimal() and len(text) < 7 and int(text) > 0
    if not is_number and text not in ("first", "last"):
        raise argparse.ArgumentTypeError("must be first, last, or a whole number from 1")
    return text
