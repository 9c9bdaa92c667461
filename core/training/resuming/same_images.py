"""Whether a run resumes with the images it started with, and the cache kept them intact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core.data.batches import Part
from core.data.cache.cache import ImageCache
from core.errors import DataError
from core.events import Event, Warned
from core.store.seals import kept_seals
from core.training.context import RunContext
from core.training.keeping import has_checkpoint

Record = Callable[[Event], None]

CONTENT = "content"
"""In dataset.json: one digest of all images' bytes, and their number."""

_UNKNOWN = (
    "this session was started before the digest of image files was recorded, so only their names "
    "and sizes could be compared. Their digest is recorded from now on."
)


def require_same_content(context: RunContext, parts: Mapping[str, Part]) -> dict[str, object]:
    """Compare the images' bytes with those the session started with, or record their digest.

    Returns:
        The digest, to be sealed.

    Raises:
        DataError: they differ, though names and sizes are the same; or dataset.json doesn't hold
            the digest that the last checkpoint has.
    """
    session, cache, names = context.session, parts["train"].cache, _names(parts)
    now: dict[str, object] = {"digest": content_of(parts), "images": len(names)}
    described = session.read_json("dataset.json") or {}
    known = described.get(CONTENT)
    sealed = kept_seals(session)
    if sealed is not None and sealed.content is not None and sealed.content != known:
        raise DataError(
            "differs from what this run left: the images' digest is missing or changed",
            where=session.path / "dataset.json",
            why="Whether the images are still the same could not be checked.",
            remedy="Restore the old file, or start a new session.",
        )
    if known is None:
        if has_checkpoint(session):
            context.record(Warned(message=_UNKNOWN))
        context.keep(lambda: session.write_json("dataset.json", described | {CONTENT: now}))
    elif known != now:
        raise DataError(
            "the image files differ from those this session started with: "
            + _which_content(cache, names, known),
            where=session.path / "dataset.json",
            why="Results of a run whose data changed midway are meaningless.",
            remedy="Restore the old images, or start a new session.",
        )
    return now


def content_of(parts: Mapping[str, Part]) -> str:
    """One digest of the bytes of all parts' image files."""
    return parts["train"].cache.content_digest(_names(parts))


def _names(parts: Mapping[str, Part]) -> list[str]:
    return sorted({str(name) for part in parts.values() for name in part.images_N})


def _which_content(cache: ImageCache, names: Sequence[str], known: object) -> str:
    """Which images differ, as far as the cache knows."""
    then = known.get("images") if isinstance(known, dict) else None
    if isinstance(then, int) and then != len(names):
        refused = next(iter(sorted(cache.quarantined.items())), None)
        example = f"; {refused[0]}: {refused[1]}" if refused else ""
        return f"{len(names):,} can be decoded now, and {then:,} could then{example}"
    met = cache.met_with_other_bytes(names)
    if not met:
        return "their bytes differ; this cache never held the old ones, so it can't tell which"
    more = f" and {len(met) - 1:,} more" if len(met) > 1 else ""
    return f"{met[0]}{more} had other bytes"


def tell_mended(cache: ImageCache, record: Record) -> None:
    """Report images found damaged in the cache since the last call."""
    mended = cache.take_mended()
    if mended:
        more = f" and {len(mended) - 1:,} more" if len(mended) > 1 else ""
        record(
            Warned(
                message=f"{mended[0]}{more} didn't match their checksum in the cache and were "
                "decoded again: its disk may be failing, or something else writes there",
                where=str(cache.folder),
            )
        )
