"""What a tracker is asked to show, and which ones there are."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from core.errors import UsageError
from core.report_shape import PartReport

_NEEDED_MODULES = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}
"""What each tracker imports; all of it is in the extra ``trackers``."""

TRACKERS = tuple(_NEEDED_MODULES)
"""Their names, as in ``train.trackers``."""


class Tracker(Protocol):
    """Shows one run. Every method may raise whatever its library or the disk raises.

    Attributes:
        is_new: whether nothing of the run is there yet, so that it has to be told from its start.
        run_id: by which a later process finds the run again; '' if the session's folder is enough.
    """

    is_new: bool
    run_id: str

    def scalars(self, time: float, step: int, values: Mapping[str, float]) -> None:
        """Points of curves: the name of each and its value at ``step``; ``time`` since 1970."""

    def drop_after(self, time: float, step: int) -> None:
        """Later steps are void: the run continues from this one."""

    def table(self, time: float, step: int, report: PartReport) -> None:
        """The figures of the test part."""

    def picture(self, time: float, step: int, png: Path) -> None:
        """An overlay: an image with its map."""

    def end(self, time: float, state: str) -> None:
        """The run is ``finished``, ``stopped`` or ``failed``."""

    def flush(self) -> None:
        """Make what was told readable by others."""

    def close(self) -> None:
        """Release files; nothing is told afterwards."""


def require_trackers(trackers: Sequence[str], where: str = "train.trackers") -> None:
    """Refuse trackers whose libraries are not installed, before anything else is done.

    Raises:
        UsageError: one is not installed.
    """
    for tracker in trackers:
        lacking = [name for name in _NEEDED_MODULES[tracker] if not _is_installed(name)]
        if lacking:
            raise UsageError(
                f"{tracker} needs {' and '.join(lacking)}, which is not installed",
                where=where,
                remedy='pip install "cxr-tui[trackers]"',
            )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # half removed
        return False
