"""``cxr-tui doctor``: what this machine offers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.model.device import choose_device, present_offer
from core.model.precision import choose_precision
from core.model.weights import imagenet_folders
from core.store.environment import describe_environment
from core.store.files import is_folder
from cxr_tui.arguments import add_places, cache_folder, common_parser
from cxr_tui.terminal.stdout import print_json, print_pairs


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = common_parser(
        "doctor",
        "What this machine offers: device, precision, terminal, disk, versions.",
        "cxr-tui doctor --json",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_places(parser)
    arguments = parser.parse_args(argv)
    found = _examined(arguments.device, arguments.sessions, cache_folder(arguments.cache))
    if arguments.json:
        print_json(found)
        return 0
    print_pairs((key.replace("_", " "), _shown(value)) for key, value in found.items())
    return 0


def _examined(request: str, sessions: Path, cache: Path) -> dict[str, Any]:
    choice = choose_device(request)
    precision = choose_precision("auto", choice.device)
    environment = describe_environment()
    weights = [str(f) for folder in imagenet_folders() for f in folder.glob("densenet121*.pth")]
    return {
        "device": str(choice.device),
        "device_name": choice.name,
        "devices": list(present_offer().devices),
        "precision": precision.name,
        "precision_because": precision.reason,
        "imagenet_weights": weights[0] if weights else None,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "terminal": os.environ.get("TERM"),
        "terminal_size": list(shutil.get_terminal_size()),
        "colours": os.environ.get("COLORTERM") or None,
        "encoding": sys.stdout.encoding,
        "sessions_free_gib": _free_gib(sessions),
        "cache": str(cache),
        "cache_free_gib": _free_gib(cache),
        "host": environment["host"],
        "platform": environment["platform"],
        "python": environment["python"],
        "versions": environment["versions"],
        "commit": environment["commit"],
        "warnings": [*choice.warnings, *precision.warnings],
    }


def _free_gib(folder: Path) -> float | None:
    """Free space where the folder is, or will be made."""
    for place in (folder.absolute(), *folder.absolute().parents):
        if is_folder(place):
            return round(shutil.disk_usage(place).free / 2**30, 1)
    return None


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "–"
    return str(value)
