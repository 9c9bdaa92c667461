"""The role of a worker: one a GPU works on a folder's queue.

Two runs on one GPU would be slower than one after the other, and may run out of memory. Workers on
a CPU are not counted: their number is their owner's choice.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from core.errors import SessionError
from core.nvidia_smi import nvidia_smi, physical_gpus
from core.store.heartbeat import Heartbeat
from core.store.held_folder import HeldFolder
from core.store.lock import Lock
from core.store.queue.queue import Queue


@dataclass(frozen=True)
class WorkerRole:
    """Held until ``give_up``; empty for a CPU."""

    _lock: Lock | None = None
    _folder: HeldFolder | None = None
    _heartbeat: Heartbeat | None = None

    def give_up(self) -> None:
        """Let another worker have the GPU."""
        if self._heartbeat is not None and self._lock is not None and self._folder is not None:
            self._heartbeat.stop()
            self._lock.release()
            self._folder.close()


def take_role(queue: Queue, device: str) -> WorkerRole:
    """Become the worker of this queue on this device, named as on the command line.

    Raises:
        SessionError: another process is, or the queue's folder can't be written.
    """
    gpu = _gpu(device)
    if gpu is None:
        return WorkerRole()
    place = queue.path / "workers" / gpu
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / "lock").touch()
    except OSError as error:
        why = error.strerror or str(error)
        raise SessionError(f"the queue can't be worked on ({why})", where=place) from error
    try:
        lock = Lock(place)
    except SessionError as error:
        raise SessionError(
            f"another worker has this GPU: {error.what.partition(': ')[2] or 'unknown'}",
            where=f"--device {device}",
            why="Two runs on one GPU are slower than one after the other.",
            remedy="Let that worker go on, or name another GPU, such as --device cuda:1.",
        ) from error
    folder = HeldFolder(place)
    return WorkerRole(lock, folder, Heartbeat(folder.descriptor))


def _gpu(device: str) -> str | None:
    """A name for the GPU itself on this host, whatever number the process sees; None: a CPU."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cuda"):
        return None
    gpus = physical_gpus(nvidia_smi(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    place = int(number) if number.isdecimal() and len(number) < 4 else 0
    if place >= len(gpus):
        return None  # without a GPU; or the run itself says that there is none of that number
    return re.sub(r"[^A-Za-z0-9.-]", "-", f"{socket.gethostname()}-{gpus[place]}")
