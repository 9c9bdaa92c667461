"""Private cache folders for torch's compiler, which runs their content again in later runs.

Its default is ``torchinductor_USER`` in the temporary folder: a predictable name in a place where
anybody can create it first. The libraries and pickles in it would run with our permissions.
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
    """A folder named in the environment that others can write to."""


def name_own_folders() -> None:
    """Set our own folders if the environment names none; call it before torchvision is imported.

    torchvision imports torch's compiler, which creates its folder immediately. Processes started
    later inherit the setting.

    Raises:
        OSError: no folder can be created.
    """
    missing = [name for name in VARIABLES if _is_unnamed(os.environ.get(name))]
    if missing:
        folder = _kept_folder() or _passing_folder()
        for name in missing:
            os.environ[name] = str(folder / ("triton" if "TRITON" in name else "inductor"))


def own_compiler_cache() -> None:
    """Make torch compile into folders that nobody else can write to; call it before compiling.

    Raises:
        UnsafeCompilerCacheError: the environment names a folder that isn't private.
        OSError: no folder can be created.
    """
    name_own_folders()
    for name in VARIABLES:
        _require_private(name, Path(os.environ[name]).absolute())
    # torch ignores the variable for these: headers, and pickles of two experiments that are off by
    # default.
    os.environ["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
    os.environ["TORCHINDUCTOR_ENABLE_CACHING_MODULE"] = "0"
    for module, switch in _SWITCHES:
        config: Any = sys.modules.get(module)
        if hasattr(config, switch):
            setattr(config, switch, False)


def _is_unnamed(folder: str | None) -> bool:
    """Whether it is unset or torch's default, which torch puts into the environment itself."""
    if not folder:
        return True
    path = Path(folder)
    return path.name.startswith("torchinductor_") and path.parent == Path(tempfile.gettempdir())


def _require_private(variable: str, folder: Path) -> None:
    why = _why_not_private(folder)
    if why is not None:
        raise UnsafeCompilerCacheError(
            f"{variable} names {folder}, which {why}. The compiler executes what it finds there. "
            "Unset the variable, or name a folder of your own that nobody else can write to"
        )


def _why_not_private(folder: Path) -> str | None:
    """Why others could write to the folder, which is created if missing; None if they can't."""
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
        return f"{others}, or is inside such a folder"
    if status.st_uid != os.geteuid():
        return f"belongs to another user (number {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write to (mode {stat.S_IMODE(status.st_mode):o})"
    return f"anybody can replace, through {open_above[0]}" if open_above else None


def _is_open(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH)


def _kept_folder() -> Path | None:
    """A permanent folder among the user's caches; None if it can't be private."""
    folder = user_cache_path("cxr-tui") / "torch-compiler"
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid == os.geteuid():
            return None if _why_not_private(folder) else folder
    return None


def _passing_folder() -> Path:
    """A temporary folder, removed when this process ends."""
    folder, process = tempfile.mkdtemp(prefix="cxr-tui-compiler-"), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)
