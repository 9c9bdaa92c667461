"""Which images of another data set are the session's own: the same bytes, or the same pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.data.cache.cache import count_ready, open_cache
from core.data.cache.cache_rows import content_digest
from core.data.images.decode import MAX_ENCODED_BYTES
from core.data.images.given_decoding import SquareRule
from core.data.images.image_file import ImageFile
from core.errors import CxrError
from core.evaluation.external.external_scores import DecodedData
from core.evaluation.external.own_side import OwnSide
from core.regular_file import read_regular


@dataclass(frozen=True)
class SameImages:
    """Names of the other set's images that are among the session's.

    Attributes:
        trained: among its train and val parts.
        tested: among its test part.
        note: what could not be compared; '' if all was.
    """

    trained: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    note: str = ""


def same_images(
    decoded: DecodedData, own: OwnSide, cache_folder: Path, rule: SquareRule
) -> SameImages:
    """Compare with all of the session's images that are still there.

    Where its decoded images are in the cache, by the digests of their files and by their pixels;
    otherwise files of the same size are read.
    """
    trained, tested = own.images("train", "val"), own.images("test")
    if own.with_images is None or not (trained or tested):
        return SameImages(
            note="The session's own images are gone, so copies of them among these are not "
            "recognised by their bytes."
        )
    files = own.with_images.index.files
    contract = {"size_px": rule.size_px, "resize": rule.resize, "rule": rule.grey}
    every = [*trained, *tested]
    try:
        if count_ready(cache_folder, files, every, **contract) == len(every):  # type: ignore[arg-type]
            return _by_cache(decoded, own, cache_folder, contract)
    except (CxrError, OSError):
        pass  # another user's cache, or a damaged one: the files themselves are compared
    return _by_files(decoded, files, trained, tested)


def _by_cache(
    decoded: DecodedData, own: OwnSide, cache_folder: Path, contract: dict[str, object]
) -> SameImages:
    assert own.with_images is not None
    every = own.images("train", "val", "test")
    cache = open_cache(
        cache_folder,
        own.with_images.index.files,
        every,
        max_quarantined_share=1.0,
        **contract,  # type: ignore[arg-type]
    )
    names_N = decoded.data.index.images[decoded.rows_N].tolist()
    rows_N = decoded.cache.rows_of(names_N)
    digests = [one.tobytes() for one in decoded.cache.digests(rows_N)]
    pixels = decoded.cache.pixel_checksums(rows_N).tolist()

    def among(names: Sequence[str]) -> tuple[str, ...]:
        rows = cache.rows_of([name for name in names if name not in cache.quarantined])
        files = {one.tobytes() for one in cache.digests(rows)}
        seen = set(cache.pixel_checksums(rows).tolist())
        each = zip(names_N, digests, pixels, strict=True)
        return tuple(name for name, digest, sum_ in each if digest in files or sum_ in seen)

    return SameImages(among(own.images("train", "val")), among(own.images("test")))


def _by_files(
    decoded: DecodedData,
    files: Mapping[str, ImageFile],
    trained: Sequence[str],
    tested: Sequence[str],
) -> SameImages:
    names = decoded.data.index.images[decoded.rows_N].tolist()
    digests = [one.tobytes() for one in decoded.cache.digests(decoded.cache.rows_of(names))]
    by_size: dict[int, dict[bytes, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, digest in zip(names, digests, strict=True):
        by_size[decoded.data.index.files[name].num_bytes][digest].append(name)
    unread = 0

    def among(own_names: Sequence[str]) -> tuple[str, ...]:
        nonlocal unread
        found: list[str] = []
        for file in (files[name] for name in own_names):
            if file.num_bytes not in by_size:
                continue
            content = _content(file)
            unread += content is None
            if content is not None:
                digest = content_digest(content).tobytes()
                found += by_size[file.num_bytes].get(digest, [])
        return tuple(found)

    both = among(trained), among(tested)
    note = ""
    if unread:
        note = (
            f"{unread:,} of the session's own images are in archives or can't be read, so copies "
            "of them among these are not recognised by their bytes."
        )
    return SameImages(*both, note)


def _content(file: ImageFile) -> bytes | None:
    if file.member is not None:
        return None
    try:
        return read_regular(file.path, MAX_ENCODED_BYTES)
    except (OSError, ValueError):
        return None
