"""Read other people's checkpoints without running anything in them.

A torch file is a pickle, and a pickle is a program. It is never run here: a small stack machine
follows its opcodes and builds plain containers, descriptions of tensors, and inert records of
everything else. So the tensors of a pickled module can be read without its class. No name in the
file is ever imported or called.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.errors import DataError
from core.model.inert_pickle import BrokenPickleError
from core.model.pickled_tensors import Found, find_tensors
from core.model.torch_archive import MAX_BYTES, ArchiveError, read_legacy, read_zip
from core.regular_file import open_regular
from core.store.files import is_file


@dataclass(frozen=True)
class ForeignCheckpoint:
    """The content of a checkpoint file.

    Attributes:
        path: the file.
        container: "safetensors", "torch zip" or "torch legacy".
        tensors: by name, on the CPU, as stored.
        metadata: of a safetensors file; empty otherwise.
        notes: plain values next to the tensors, such as "epoch" or "pathologies".
        class_name: of the pickled module, such as "torchxrayvision.models.DenseNet"; None for a
            plain state dict.
    """

    path: Path
    container: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, object] = field(default_factory=dict)
    class_name: str | None = None


def read_tensors(path: Path) -> ForeignCheckpoint:
    """Read the tensors of a .safetensors or torch file, recognised by its content.

    Raises:
        DataError: there is no such file, its format is unknown, or it is damaged.
    """
    try:
        if not is_file(path):
            raise DataError("no such file", where=path, remedy="Check model.weights")
        if path.stat().st_size > MAX_BYTES:
            raise DataError(
                f"too large for a DenseNet121 ({path.stat().st_size / 1024**3:.0f} GiB)", where=path
            )
        with open_regular(path) as file:
            head = file.read(512)
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", where=path) from error
    if head[:2] == b"\x80\x02" or head[:4] == b"PK\x03\x04":
        return _read_torch(path, is_zip=head[:2] == b"PK")
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return _read_safetensors(path)
    raise DataError(
        f"not a checkpoint that can be read: {_what_it_is(head)}",
        where=path,
        remedy="model.weights takes imagenet, none, a .safetensors file or a file written by "
        "torch.save",
    )


def _read_safetensors(path: Path) -> ForeignCheckpoint:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return ForeignCheckpoint(path, "safetensors", tensors, metadata)


def _read_torch(path: Path, *, is_zip: bool) -> ForeignCheckpoint:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            archive = read_zip(file) if is_zip else read_legacy(raw)
            found = find_tensors(archive.root)
            # All storages are read before the mmap is closed; tensors own their memory.
            tensors = archive.build(found.tensors)
    except (
        ArchiveError,
        BrokenPickleError,
        OSError,
        ValueError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise _damaged(path, error) from error
    return _checked(path, "torch zip" if is_zip else "torch legacy", found, tensors)


def _checked(
    path: Path, container: str, found: Found, tensors: dict[str, Tensor]
) -> ForeignCheckpoint:
    if not tensors:
        raise DataError(
            "contains no named tensors",
            where=path,
            remedy="A checkpoint must be a state dict or a module, or contain one under a key such "
            "as 'state_dict' or 'model'",
        )
    return ForeignCheckpoint(
        path, container, tensors, notes=found.notes, class_name=found.class_name
    )


def _damaged(path: Path, error: BaseException) -> DataError:
    return DataError(
        f"can't be read as a checkpoint ({error})",
        where=path,
        why="It is damaged, or in an unknown format",
        remedy="Download it again, or save its state dict with a current torch",
    )


def _what_it_is(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it is a web page (a download that needed a log-in or a confirmation?)"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; `git lfs pull` fetches the file itself"
    if head.startswith(b"\x89HDF"):
        return "it is an HDF5 file (Keras), with other layer names"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "it is compressed; unpack it first"
    if head[257:262] == b"ustar":
        return "it is a tar archive (torch before 0.1.10, or one that must be unpacked first)"
    return "its first bytes match no known format"
