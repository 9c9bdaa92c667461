"""Import torchvision next to a torch that its compiled part was not built for.

The package index's torchvision is built for CUDA. With a CPU-only torch its compiled part doesn't
load, and its import fails at two undeclared operators. Declaring their schemas is enough for models
and transforms. If the compiled part loads, this module does nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")

# A Library removes its declarations when it is collected, so this one is kept.
_kept_alive: list[torch.library.Library] = []


def declare_missing_operators() -> tuple[str, ...]:
    """Declare the operators that torchvision's import lacks; call it before that import.

    Returns:
        The names declared now: none if torchvision's own operators load, or if this was done
        before.
    """
    if _compiled_part_loads():
        return ()
    missing = tuple(name for name in _OPERATORS if not _exists(name))
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in missing:
            library.define(f"{name}{_SCHEMA}")  # type: ignore[no-untyped-call]
        _kept_alive.append(library)
    return missing


def _compiled_part_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")  # doesn't import the package
    folders = () if spec is None else tuple(spec.submodule_search_locations or ())
    for folder in folders:
        for library in sorted(Path(folder).glob("_C*.*")):
            if library.suffix not in (".so", ".pyd", ".dylib"):
                continue
            try:
                # Declaring first and loading later would register the operators twice.
                torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
            except OSError:
                return False
            return True
    return False


def _exists(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)
