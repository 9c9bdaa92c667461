"""Where weights lie on this machine; found without loading torch."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from platformdirs import user_data_path

from core.errors import DataError
from core.model.pretrained.known import IMAGENET_WEIGHTS, KNOWN, KnownWeights
from core.recipe import IMAGENET, NO_WEIGHTS
from core.regular_file import open_regular
from core.store.files import is_file, is_folder

MOST_BYTES = 2**30
"""Larger files are no DenseNet121; DenseNet121's own have about 30 MiB."""

_NAMED_BY_DIGEST = re.compile(r"densenet121-(?P<digest>[0-9a-f]{8})\.pth")
_CHUNK_BYTES = 2**20


def own_folder() -> Path:
    """Where ``cxr-tui weights get`` puts them."""
    return user_data_path("cxr-tui", appauthor=False) / "weights"


def imagenet_folders() -> tuple[Path, ...]:
    """The folders searched for the ImageNet file: cxr-tui's own, then torch's cache."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch_home = os.environ.get("TORCH_HOME", f"{caches}/torch")
    return own_folder(), Path(torch_home).expanduser() / "hub" / "checkpoints"


def folders_of(known: KnownWeights) -> tuple[Path, ...]:
    """The folders searched for these weights: ours, and those of the library they belong to."""
    if known.name.startswith("xrv-"):
        return own_folder(), Path("~/.torchxrayvision/models_data").expanduser()
    return imagenet_folders()


def place_of(known: KnownWeights) -> Path | None:
    """The file of these weights, unverified; None if it isn't here."""
    places = [folder / known.file for folder in folders_of(known)]
    return next((place for place in places if is_file(place)), None)


def sha256_of(path: Path) -> str:
    """The digest of a file.

    Raises:
        DataError: it can't be read, or is far larger than any weights.
    """
    digest, num_bytes = hashlib.sha256(), 0
    try:
        with open_regular(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                num_bytes += len(chunk)
                if num_bytes > MOST_BYTES:
                    raise DataError("too large for a DenseNet121", where=path)
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})", where=path) from error
    return digest.hexdigest()


def find_imagenet(folders: Sequence[Path] = ()) -> Path:
    """The ImageNet file, verified: torchvision names its files by the digest's first digits.

    Args:
        folders: searched before the usual ones.

    Raises:
        DataError: it isn't here, or damaged; the message says how to get it.
    """
    searched = [*folders, *imagenet_folders()]
    for folder in searched:
        names = (
            [path.name for path in folder.glob("densenet121-*.pth")] if is_folder(folder) else []
        )
        for name in sorted(names, key=lambda name: (name != IMAGENET_WEIGHTS.file, name)):
            match = _NAMED_BY_DIGEST.fullmatch(name)
            if match is None:
                continue
            if not sha256_of(folder / name).startswith(match["digest"]):
                raise DataError(
                    "damaged: its SHA-256 doesn't begin with the digits in its name",
                    where=folder / name,
                    remedy=f"Remove it, then: {command_for(IMAGENET_WEIGHTS)}. Or download it "
                    f"again from {IMAGENET_WEIGHTS.url}",
                )
            return folder / name
    raise _missing(searched)


def _missing(searched: Iterable[Path]) -> DataError:
    known = IMAGENET_WEIGHTS
    return DataError(
        f"ImageNet weights need the file {known.file} ({known.size}), which was not found",
        where="model.weights",
        why=f"Searched: {', '.join(map(str, searched))}; nothing is downloaded by itself",
        remedy=f"Fetch it: {command_for(known)}. {by_hand(known)}. Or start from random weights: "
        "--set model.weights=none",
    )


def command_for(known: KnownWeights) -> str:
    """The command that fetches these weights."""
    return f"cxr-tui weights get {known.name}"


def by_hand(known: KnownWeights) -> str:
    """What to do without a network: which file to bring, and where to put it."""
    digest = f", SHA-256 {known.sha256}" if known.sha256 else ""
    size = f" ({known.size}{digest})" if known.size else ""
    return (
        f"Without a network, download {known.url or known.page} elsewhere and put the file "
        f"{known.file}{size} into {own_folder()}"
    )


def require_weights(choice: str) -> None:
    """Refuse initial weights that aren't here, before anything else is done.

    Args:
        choice: as ``model.weights``: "imagenet", "none", or the path of a file or a session.

    Raises:
        DataError: they are not here, or damaged.
    """
    if choice == IMAGENET:
        find_imagenet()
    elif choice != NO_WEIGHTS and not os.path.lexists(choice):
        by_name = {known.name: known for known in KNOWN}
        raise DataError(
            "no such file", where=choice, remedy=_remedy(by_name.get(Path(choice).name))
        )


def _remedy(meant: KnownWeights | None) -> str:
    """What to do about a path where nothing is, which may be the name of known weights."""
    if meant is None:
        return "Check model.weights; cxr-tui weights lists those that are known"
    if (place := place_of(meant)) is not None:
        return f"These weights are given by their path: --set model.weights={place}"
    return f"{command_for(meant)} fetches these weights, and says their path"
