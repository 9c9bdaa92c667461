"""Where torch's compiler keeps what it generates, and executes again in the next run.

It would take ``torchinductor_USER`` in the folder of temporary files: a name that anybody can
foretell, in a place where anybody can make it first. The libraries and pickles in it would be
executed as ours.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from core.store.own_folder import planted

VARIABLES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")

_SWITCHES = (
    ("torch._inductor.config", "cpp_cache_precompile_headers"),
    ("torch._dynamo.config", "caching_precompile"),
)


class UnsafeCompilerCacheError(PermissionError):
    """A folder of the environment's that isn't ours alone."""


def name_own_folders() -> None:
    """Name folders of ours where the environment names none; before torchvision is imported.

    With it torch's compiler is, which at once makes the folder that it will use. Processes that are
    started later inherit it.

    Raises:
        OSError: no folder can be made at all.
    """
    missing = [name for name in VARIABLES if _is_unnamed(os.environ.get(name))]
    if missing:
        folder = _kept_folder() or _passing_folder()
        for name in missing:
            os.environ[name] = str(folder / ("triton" if "TRITON" in name else "inductor"))


def own_compiler_cache() -> None:
    """Have torch compile into folders that nobody else can write to; before it compiles.

    Raises:
        UnsafeCompilerCacheError: the environment names one that isn't the user's own.
        OSError: no folder can be made at all.
    """
    name_own_folders()
    for name in VARIABLES:
        _require_private(name, Path(os.environ[name]).absolute())
    # These are kept under the name of torch's own choice, whatever the variable says: headers, and
    # pickles of two experiments that are off by themselves.
    os.environ["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
    os.environ["TORCHINDUCTOR_ENABLE_CACHING_MODULE"] = "0"
    for module, switch in _SWITCHES:
        config: Any = sys.modules.get(module)
        if hasattr(config, switch):
            setattr(config, switch, False)


def _is_unnamed(folder: str | None) -> bool:
    """Whether it is torch's own choice, which it puts into the environment itself."""
    if not folder:
        return True
    path = Path(folder)
    return path.name.startswith("torchinductor_") and path.parent == Path(tempfile.gettempdir())


def _require_private(variable: str, folder: Path) -> None:
    why = _why_not_private(folder)
    if why is not None:
        raise UnsafeCompilerCacheError(
            f"{variable} names {folder}, which {why}. What the compiler finds there is executed. "
            "Unset it, or name a folder of your own that nobody else may write to"
        )


def _why_not_private(folder: Path) -> str | None:
    """Why others could put something into a folder, which is made where there is none."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        others, real = planted(folder), folder.resolve()
        others = others or planted(real)
        status = real.stat()
        open_above = [
            str(above)
            for above in real.parents
            if _is_open(above.stat()) and not above.stat().st_mode & stat.S_ISVTX
        ]
    except OSError as error:
        return f"can't be used ({error.strerror})"
    if others is not None:
        return f"{others}, or lies in such a folder"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (number {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to (mode {stat.S_IMODE(status.st_mode):o})"
    return f"anybody may replace, by {open_above[0]}" if open_above else None


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH)


def _kept_folder() -> Path | None:
    """Among the user's caches, for the runs to come; None where it can't be our own."""
    folder = user_cache_path("cxr-tui") / "torch-compiler"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid == os.geteuid():
            return None if _why_not_private(folder) else folder
    return None


def _passing_folder() -> Path:
    """One that is gone with this process."""
    folder, process = tempfile.mkdtemp(prefix="cxr-tui-compiler-"), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # not a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)
