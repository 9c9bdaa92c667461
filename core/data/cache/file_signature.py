"""What tells from outside that a file is still the one that was read.

A name, a size and a time of change can be given to any bytes: ``tar --mtime`` and ``cp -p`` set
them, and a container's image holds one time for all. The time of the last change of a file's
*state* (ctime) can't be set: the running kernel writes its own clock there whenever bytes, name or
times change, so a file that was unpacked, copied or restored has another one. Together with the
inode's number it is believed. The device's number is not asked: it differs from mount to mount and
from host to host of one file server, and the same data set would be read again each time.

Not every ctime is such a clock's. File systems that are images themselves (squashfs, iso9660), and
disks written by a reproducible build, hold times that came with their content, in whole seconds.
A kernel's clock has a fraction; so whole seconds are not believed, and such a file is read and
digested again at every start. Lustre and BeeGFS keep no fraction of a true clock's time. There,
whole seconds are believed once the second in which a file was changed is over. Where a program
serves the files (FUSE: rclone, sshfs, ratarmount), or the format has no such time (exFAT, FAT,
erofs), what is told as ctime may be the settable mtime, fraction and all: no time is believed.

What none of this tells: a writer that holds a file mapped into its memory changes no time while it
writes, until the system writes the page back.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import xxhash

UNKNOWN = 0
"""The signature of a file that has to be read to be known again."""

_SECOND_NS = 10**9
_CLOCKS_OF_WHOLE_SECONDS = frozenset({"lustre", "beegfs"})
_NO_CLOCKS = frozenset({"exfat", "vfat", "msdos", "erofs", "ntfs", "ntfs3"})
_SERVED_BY_A_PROGRAM = "fuse"
_SETTLED_NS = 2 * _SECOND_NS
_NUMBERS = struct.Struct("<4q")


def file_signature(status: os.stat_result, member: str | None = None) -> int:
    """64 bits for a file of this status, or for a member of it; ``UNKNOWN`` is no signature."""
    kind = _file_system(status.st_dev)
    if kind in _NO_CLOCKS or kind.startswith(_SERVED_BY_A_PROGRAM):
        return UNKNOWN
    if status.st_ctime_ns % _SECOND_NS == 0:
        changed_lately = time.time_ns() - status.st_ctime_ns < _SETTLED_NS
        if changed_lately or kind not in _CLOCKS_OF_WHOLE_SECONDS:
            return UNKNOWN
    inode = status.st_ino & (2**63 - 1)
    numbers = _NUMBERS.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)
    name = b"" if member is None else member.encode("utf-8", "surrogateescape")
    return xxhash.xxh3_64_intdigest(numbers + name) or 1


@lru_cache(maxsize=256)
def _file_system(device: int) -> str:
    """The type of the file system, such as ``lustre``; '' where the kernel doesn't say."""
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
