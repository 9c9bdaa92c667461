"""The command line; the only place besides the runner that turns a bug into a message."""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import platformdirs

from core.errors import CxrError, DataError, UsageError, internal_error
from cxr_tui.arguments import (
    PlainParser,
    WrappedHelp,
    add_changes,
    add_device,
    add_on_end,
    add_places,
    cache_folder,
    named,
)
from cxr_tui.leftover_words import refuse_left_over, refuse_unknown_command
from cxr_tui.terminal.safe_text import visible
from cxr_tui.terminal.streams import (
    Outliving,
    flush_stdout,
    hush_stdout,
    leave_at_once,
    ready_streams,
)

COMMANDS = {
    "audit": "what to know before training",
    "evaluate": "figures of a session, or of any predictions file",
    "predict": "a session's network on your own images",
    "export": "a session's network as ONNX and safetensors, with a card",
    "compare": "whether one run or recipe is better than another",
    "external": "a session's network on another data set, beside its own figures",
    "report": "a session as one HTML file, with figures, curves and checklists",
    "cam": "heat maps of where the network looks, compared with boxes",
    "repeat": "train a recipe with several seeds, to see what a seed does",
    "search": "look for better values of a recipe's keys, judged on val alone",
    "resolution": "train the same data at several input sizes and compare AUROC",
    "bench": "how fast each part of a run is, and what limits it",
    "sessions": "list, filter, sort or delete sessions",
    "queue": "runs that wait their turn: add, run, order, pause, empty",
    "recipes": "list the shipped recipes",
    "weights": "list pretrained weights, and fetch them",
    "keys": "list all keys of a recipe: meaning, default, bounds",
    "phantom": "write a synthetic data set in NIH's format",
    "doctor": "this machine's device, terminal, disk and versions",
    "config": "print your own settings as a config.toml to edit",
    "keymap": "print the console's keys as a keys.toml to edit",
    "completion": "print a script for Tab completion in a shell",
}
"""Command -> what it does; each is a module of cxr_tui.commands, imported only when used."""

_EPILOG = """commands (each has --help with an example):
{commands}

examples:
  cxr-tui                                       the console
  cxr-tui --batch demo
  cxr-tui --batch nih-14 --set dataset.images=/data/nih
  cxr-tui --batch nih-mass --set dataset.images=/data/nih --check
  cxr-tui --resume 20261123-120000-nih-14

exit codes:
  0 done; 2 wrong usage or recipe; 3 data refused; 4 the run failed; 75 stopped with a
  checkpoint, run it again with --resume; 1 internal error (a bug in cxr-tui)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit code is part of the contract with scripts."""
    ready_streams()
    if argv is None:  # run as a program, not called from another
        # Compilers start Python processes, which must not import from the working folder.
        os.environ["PYTHONSAFEPATH"] = "1"
    code = _answered(list(sys.argv[1:] if argv is None else argv))
    from core.in_slices import is_somebody_left_behind  # not for --help

    if is_somebody_left_behind():
        # Abandoned work could crash the interpreter at exit.
        atexit.register(leave_at_once, code)
    return code


def _answered(argv: list[str]) -> int:
    """The exit code, after printing any error."""
    try:
        return _flushed(argv)
    except CxrError as error:
        return _say(f"cxr-tui: {error}", error.exit_code)
    except BrokenPipeError:
        # The reader of our output has closed (`| head`). Python would complain again at exit.
        hush_stdout()
        return 0
    except KeyboardInterrupt:
        return _say("cxr-tui: interrupted", 130)
    except Exception as error:  # noqa: BLE001 - a bug becomes a message here
        return _say(_defect_message(error), 1)


def _flushed(argv: list[str]) -> int:
    """The exit code after flushing stdout: at exit it is too late to report errors."""
    try:
        code = _dispatch(argv)
    except SystemExit:  # argparse's, after --help or a wrong option
        flush_stdout()
        raise
    flush_stdout()
    return code


def _dispatch(argv: list[str]) -> int:
    _refuse_a_folder_that_is_gone()
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    if argv and argv[0] in COMMANDS:
        command = importlib.import_module(f"cxr_tui.commands.{argv[0]}")
        code: int = command.main(argv[1:])
        return code
    parser = _parser()
    arguments, left_over = parser.parse_known_args(argv)
    if argv and arguments.command == argv[0]:
        refuse_unknown_command(argv[0], left_over, tuple(COMMANDS))
    stray = [] if arguments.command is None else [arguments.command]
    is_option_first = bool(left_over) and left_over[0].startswith("-")
    words = left_over + stray if is_option_first else stray + left_over
    refuse_left_over(parser, arguments, words)
    if arguments.batch is None and arguments.resume is None:
        if arguments.session is not None or arguments.check or arguments.json:
            raise UsageError("--session, --check and --json need --batch RECIPE")
        if arguments.set and arguments.attach is not None:
            raise UsageError(
                "--set changes a recipe, but --attach shows a session, which has its own"
            )
        return _console(arguments)
    from cxr_tui.batch.command import resume_batch, start_batch  # slow to import: not for --help

    return start_batch(arguments) if arguments.batch is not None else resume_batch(arguments)


def _complete() -> None:
    """Answer a shell's completion request, and exit."""
    from cxr_tui.completing import answer, command_typed

    if (command := command_typed()) in COMMANDS:
        answer(importlib.import_module(f"cxr_tui.commands.{command}").parser())
    answer(_parser(), COMMANDS)


def _refuse_a_folder_that_is_gone() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise DataError(
            f"the working folder is gone or not accessible ({error.strerror})",
            where=os.environ.get("PWD"),
            why="Paths and libraries are relative to it.",
            remedy="Change to another folder (cd), then start again.",
        ) from error


def _console(arguments: argparse.Namespace) -> int:
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise UsageError(
            "the console needs a terminal",
            remedy="Without one, train with cxr-tui --batch RECIPE; see cxr-tui --help.",
        )
    gc.disable()  # what imports make lives on; the first paint enables it again
    from cxr_tui.app.run import run_console  # Textual: not for --help

    return run_console(
        arguments.sessions,
        cache_folder(arguments.cache),
        arguments.device,
        ascii_only=arguments.ascii,
        attach=arguments.attach,
        on_end=arguments.on_end,
        changes=arguments.set,
    )


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items())
    parser = PlainParser(
        prog="cxr-tui",
        description="Train chest X-ray classifiers, and find out why they don't learn.",
        epilog=_EPILOG.format(commands=commands),
        formatter_class=WrappedHelp,
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the installed versions and exit"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--batch", metavar="RECIPE", type=named, help="train without a screen: a path or a name"
    )
    what.add_argument("--resume", metavar="SESSION", help="continue a session without a screen")
    what.add_argument("--attach", metavar="SESSION", help="the console on one session")
    add_changes(parser)
    parser.add_argument(
        "--session",
        metavar="NAME",
        help="the session's name; continues it if it exists (with --batch)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run everything once in miniature, then stop (with --batch)",
    )
    add_places(parser)
    add_device(parser)
    add_on_end(parser)
    parser.add_argument(
        "--ascii", action="store_true", help="the console in ASCII characters alone"
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    return parser


class _Version(argparse.Action):
    """Looked up only on request, since reading the metadata takes a moment."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        said = []
        for name in ("cxr-tui", "torch", "torchvision", "textual"):
            try:
                said.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                said.append(f"{name} (not installed)")
        sys.stdout.write(", ".join([*said, f"Python {platform.python_version()}"]) + "\n")
        parser.exit()


def _say(message: str, exit_code: int) -> int:
    Outliving(sys.stderr).write(visible(message) + "\n")
    return exit_code


def _defect_message(error: Exception) -> str:
    log = platformdirs.user_log_path("cxr-tui") / "defects.txt"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{datetime.now().astimezone().isoformat()}  {sys.argv}\n")
            traceback.print_exception(error, file=stream)
        where = f"The traceback is in {log}."
    except OSError:
        where = "".join(traceback.format_exception(error))
    return f"cxr-tui: {internal_error(error)}\n{where}"
