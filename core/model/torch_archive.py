"""The two containers of torch.save, down to the bytes of each storage.

- zip, since torch 1.6: ``<name>/data.pkl`` and ``<name>/data/<key>``, uncompressed. - legacy: five
pickles (a magic number, a protocol version, machine properties, the object, the list of storage
keys), then each storage as a count and its values.
"""

from __future__ import annotations

import io
import math
import mmap
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import torch
from torch import Tensor

from core.model.inert_pickle import Followed, follow
from core.model.pickled_tensors import StorageSpec, TensorSpec, storage_spec

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_MAX_PICKLE_BYTES = 256 * 1024**2
MAX_BYTES = 8 * 1024**3
"""The largest file accepted; a DenseNet121 with its optimiser is 0.1 GB."""

MAX_UNFOLDED_BYTES = 2 * 1024**3
"""The largest size in memory: many tensors can be views of one storage."""


class ArchiveError(ValueError):
    """The container is damaged or of an unsupported kind."""


@dataclass(frozen=True)
class Archive:
    """A followed object and a reader for its storages.

    Attributes:
        root: the value of the pickle.
        read_storage: returns the bytes of one storage.
    """

    root: Any
    read_storage: Callable[[StorageSpec], bytes]

    def build(self, specs: Mapping[str, TensorSpec]) -> dict[str, Tensor]:
        """The tensors, each with its own memory.

        Raises:
            ArchiveError: a storage is missing or has another size than the tensor says.
        """
        # Many tensors can share one storage: a small file could demand all the memory.
        if sum(map(_num_bytes, specs.values())) > MAX_UNFOLDED_BYTES:
            raise ArchiveError("its tensors are too large for a DenseNet121")
        storages: dict[str, Tensor] = {}
        tensors: dict[str, Tensor] = {}
        for name, spec in specs.items():
            if spec.storage.key not in storages:
                storages[spec.storage.key] = self._values(spec.storage)
            values = storages[spec.storage.key]
            view = torch.as_strided(values, spec.shape, spec.stride, spec.offset)
            tensors[name] = view.clone(memory_format=torch.contiguous_format)
        return tensors

    def _values(self, storage: StorageSpec) -> Tensor:
        if storage.num_values * storage.dtype.itemsize > MAX_UNFOLDED_BYTES:
            raise ArchiveError(f"storage {storage.key[:40]} is too large for a DenseNet121")
        if storage.num_values == 0:
            return torch.empty(0, dtype=storage.dtype)
        raw = bytearray(self.read_storage(storage))
        if len(raw) != storage.num_values * storage.dtype.itemsize:
            raise ArchiveError(f"storage {storage.key} has another size than its tensors")
        return torch.frombuffer(raw, dtype=storage.dtype)


def _num_bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * spec.storage.dtype.itemsize


def read_zip(file: IO[bytes]) -> Archive:
    """Open the zip container.

    Raises:
        ArchiveError: it was not written by torch.save, or is damaged.
        BrokenPickleError: its pickle can't be followed.
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ArchiveError(str(error)) from error
    names = set(archive.namelist())
    pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ArchiveError("a zip archive, but not written by torch.save")
    prefix = pickles[0].removesuffix("data.pkl")
    if f"{prefix}constants.pkl" in names:
        raise ArchiveError("a TorchScript program; save its state_dict() with torch.save")
    if f"{prefix}byteorder" in names and _member(archive, f"{prefix}byteorder", 16) != b"little":
        raise ArchiveError("written on a big-endian machine")
    followed = follow(io.BytesIO(_member(archive, pickles[0], _MAX_PICKLE_BYTES)))

    def read_storage(storage: StorageSpec) -> bytes:
        num_bytes = storage.num_values * storage.dtype.itemsize
        return _member(archive, f"{prefix}data/{storage.key}", num_bytes)

    return Archive(followed.value, read_storage)


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    try:
        member = archive.getinfo(name)
        # torch never compresses, so a small file can't expand into a large one here.
        if member.file_size > most_bytes or member.compress_type != zipfile.ZIP_STORED:
            raise ArchiveError(f"{name} is larger than it declares, or compressed")
        return archive.read(member)
    except (KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{name} is missing or damaged ({error})") from error


def read_legacy(raw: mmap.mmap) -> Archive:
    """Open the legacy container; ``raw`` must stay open until the tensors are built.

    Raises:
        ArchiveError: it was not written by torch.save, or is truncated.
        BrokenPickleError: one of its pickles can't be followed.
    """
    if follow(raw).value != _MAGIC_NUMBER or follow(raw).value != _PROTOCOL_VERSION:
        raise ArchiveError("a pickle, but not written by torch.save")
    machine = follow(raw).value
    if isinstance(machine, dict) and machine.get("little_endian") is False:
        raise ArchiveError("written on a big-endian machine")
    followed = follow(raw)
    places = _storage_places(raw, follow(raw).value, _storages(followed))

    def read_storage(storage: StorageSpec) -> bytes:
        if storage.key not in places:
            raise ArchiveError(f"storage {storage.key} is missing")
        start, stop = places[storage.key]
        return raw[start:stop]

    return Archive(followed.value, read_storage)


def _storages(followed: Followed) -> dict[str, StorageSpec]:
    specs = (storage_spec(reference) for reference in followed.persistent)
    return {spec.key: spec for spec in specs if spec is not None}


def _storage_places(
    raw: mmap.mmap, keys: Any, storages: Mapping[str, StorageSpec]
) -> dict[str, tuple[int, int]]:
    """Start and end of each storage's values in the file."""
    if not isinstance(keys, list):
        raise ArchiveError("its list of storages can't be read")
    places: dict[str, tuple[int, int]] = {}
    place = raw.tell()
    for each in keys:
        key = str(each) if isinstance(each, (str, int)) else ""
        if key not in storages:
            raise ArchiveError(f"storage {key[:40]} belongs to no tensor")
        count = int.from_bytes(raw[place : place + 8], "little", signed=True)
        start = place + 8
        place = start + count * storages[key].dtype.itemsize
        if count < 0 or place > len(raw):
            raise ArchiveError("it ends early: the download is incomplete")
        places[key] = (start, place)
    return places
