"""``cxr-tui doctor``: the device, terminal, disk and versions of this machine."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.model.pretrained.places import imagenet_folders, place_of
from core.store.disk import free_bytes
from core.store.environment import describe_environment
from cxr_tui.arguments import add_device, add_json, add_places, cache_folder, common_parser
from cxr_tui.config import user_config
from cxr_tui.terminal.stdout import print_json, print_pairs
from cxr_tui.weights_table import with_tables


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parser().parse_args(argv)
    found = _examined(arguments.device, arguments.sessions, cache_folder(arguments.cache))
    if arguments.json:
        print_json(found)
        return 0
    print_pairs((key.replace("_", " "), _shown(value)) for key, value in found.items())
    return 0


def _examined(request: str, sessions: Path, cache: Path) -> dict[str, Any]:
    from core.model.device import choose_device, present_offer  # torch: not for --help
    from core.model.precision import choose_precision

    choice = choose_device(request)
    precision = choose_precision("auto", choice.device)
    environment = describe_environment()
    config = user_config()
    every = with_tables(config.weights)
    weights = {known.name: place for known in every if (place := place_of(known)) is not None}
    return {
        "config": f"{config.path}{'' if config.was_read else ' (there is none)'}",
        "settings": {name: f"from {origin}" for name, origin in config.origins.items()},
        "device": str(choice.device),
        "device_name": choice.name,
        "devices": list(present_offer().devices),
        "precision": precision.name,
        "precision_because": precision.reason,
        "imagenet_weights": _imagenet(),
        "weights": {name: str(place) for name, place in weights.items()},
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "terminal": os.environ.get("TERM"),
        "terminal_size": list(shutil.get_terminal_size()),
        "colours": os.environ.get("COLORTERM") or None,
        "encoding": sys.stdout.encoding,
        "sessions_free_gib": _free_gib(sessions),
        "sessions": str(sessions),
        "cache": str(cache),
        "cache_free_gib": _free_gib(cache),
        "host": environment["host"],
        "platform": environment["platform"],
        "python": environment["python"],
        "versions": environment["versions"],
        "commit": environment["commit"],
        "warnings": [*choice.warnings, *precision.warnings],
    }


def _imagenet() -> str | None:
    found = [f for folder in imagenet_folders() for f in folder.glob("densenet121*.pth")]
    return str(found[0]) if found else None


def _free_gib(folder: Path) -> float | None:
    free = free_bytes(folder)
    return None if free is None else round(free / 2**30, 1)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    return str(value)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = common_parser(
        "doctor",
        "Show this machine's device, precision, terminal, disk and versions.",
        "cxr-tui doctor --json",
    )
    add_device(parser)
    add_json(parser)
    add_places(parser)
    return parser
