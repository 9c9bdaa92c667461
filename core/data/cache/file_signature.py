"""A signature of a file's status, which changes when the file does.

Name, size and mtime can be the same for other bytes: ``tar --mtime`` and ``cp -p`` set them, and a
container image has one time for all files. The time of the last status change (ctime) can't be set:
the kernel writes its own clock there whenever bytes, name or times change, so a file that was
unpacked, copied or restored has another one. It is trusted together with the inode number. The
device number is not used: it differs between mounts and between hosts of one file server, and the
same data set would be read again each time.

Not every ctime comes from a running kernel. File system images (squashfs, iso9660) and disks from
reproducible builds have times that came with their content, in whole seconds. A kernel's clock has
a fraction; so whole seconds are not trusted, and such a file is read and digested again at every
start. Lustre and BeeGFS store true times without a fraction. There, whole seconds are trusted once
the second of the change is over. If a program serves the files (FUSE: rclone, sshfs, ratarmount),
or the format has no such time (exFAT, FAT, erofs), the reported ctime may be the settable mtime,
including its fraction: no time is trusted.

One case is not detected: a writer that has mapped a file into memory changes no time until the
system writes the page back.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import xxhash

UNKNOWN = 0
"""The signature of a file that must be read to be identified."""

_SECOND_NS = 10**9
_CLOCKS_OF_WHOLE_SECONDS = frozenset({"lustre", "beegfs"})
_NO_CLOCKS = frozenset({"exfat", "vfat", "msdos", "erofs", "ntfs", "ntfs3"})
_SERVED_BY_A_PROGRAM = "fuse"
_SETTLED_NS = 2 * _SECOND_NS
_NUMBERS = struct.Struct("<4q")


def file_signature(status: os.stat_result, member: str | None = None) -> int:
    """A 64-bit signature of a file's status, or of a member of it; ``UNKNOWN`` if there is none."""
    clock = _clock(_file_system(status.st_dev))
    changed_ns = status.st_ctime_ns
    if clock is None:
        return UNKNOWN
    if changed_ns % _SECOND_NS == 0:
        changed_lately = time.time_ns() - changed_ns < _SETTLED_NS
        if changed_lately or clock == "fractions":
            return UNKNOWN
    inode = status.st_ino & (2**63 - 1)
    numbers = _NUMBERS.pack(status.st_size, status.st_mtime_ns, changed_ns, inode)
    if member is not None:
        numbers += member.encode("utf-8", "surrogateescape")
    return xxhash.xxh3_64_intdigest(numbers) or 1


@lru_cache(maxsize=256)
def _clock(kind: str) -> Literal["fractions", "whole seconds"] | None:
    """Which of a file system's times of change are a running clock's; None: none."""
    if kind in _NO_CLOCKS or kind.startswith(_SERVED_BY_A_PROGRAM):
        return None
    return "whole seconds" if kind in _CLOCKS_OF_WHOLE_SECONDS else "fractions"


@lru_cache(maxsize=256)
def _file_system(device: int) -> str:
    """The type of the file system, such as ``lustre``; '' if unknown."""
    number = f"{os.major(device)}:{os.minor(device)}"
    return next((kind for mounted, kind in _mounts() if mounted == number), "")


def _mounts() -> Iterator[tuple[str, str]]:
    """Device and type of each mount, see proc_pid_mountinfo(5)."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and after:
            yield fields[2], after.split(" ", 1)[0]
