"""Whether a run goes on with the images that it began with, and the cache kept them whole."""

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
"""In dataset.json: one digest of all images' bytes, and of how many."""

_UNKNOWN = (
    "this session was begun before image files were known by their bytes: that they are those of "
    "then is taken from their names and sizes. From now on their digest is kept."
)


def require_same_content(context: RunContext, parts: Mapping[str, Part]) -> dict[str, object]:
    """Hold the images' bytes against those that the session began with, or keep their digest.

    Returns:
        The digest, to be sealed.

    Raises:
        DataError: they are others, though of the same names and sizes; or dataset.json doesn't
            hold the digest that the last checkpoint has.
    """
    session, cache, names = context.session, parts["train"].cache, _names(parts)
    now: dict[str, object] = {"digest": content_of(parts), "images": len(names)}
    described = session.read_json("dataset.json") or {}
    known = described.get(CONTENT)
    sealed = kept_seals(session)
    if sealed is not None and sealed.content is not None and sealed.content != known:
        raise DataError(
            "is not what this run left: the images' digest is gone, or another",
            where=session.path / "dataset.json",
            why="Whether the images are still those of then could not be told.",
            remedy="Bring the old file back, or start a new session.",
        )
    if known is None:
        if has_checkpoint(session):
            context.record(Warned(message=_UNKNOWN))
        context.keep(lambda: session.write_json("dataset.json", described | {CONTENT: now}))
    elif known != now:
        raise DataError(
            "the image files are not those that this session began with: "
            + _which_content(cache, names, known),
            where=session.path / "dataset.json",
            why="Figures of a run that changed its data in the middle mean nothing.",
            remedy="Bring the old images back, or start a new session.",
        )
    return now


def content_of(parts: Mapping[str, Part]) -> str:
    """One digest of the bytes of all parts' image files."""
    return parts["train"].cache.content_digest(_names(parts))


def _names(parts: Mapping[str, Part]) -> list[str]:
    return sorted({str(name) for part in parts.values() for name in part.images_N})


def _which_content(cache: ImageCache, names: Sequence[str], known: object) -> str:
    """Which images differ from then, as far as the cache remembers."""
    then = known.get("images") if isinstance(known, dict) else None
    if isinstance(then, int) and then != len(names):
        refused = next(iter(sorted(cache.quarantined.items())), None)
        example = f"; {refused[0]}: {refused[1]}" if refused else ""
        return f"{len(names):,} can be decoded now, and {then:,} could then{example}"
    met = cache.met_with_other_bytes(names)
    if not met:
        return "their bytes differ; which ones can't be told, since this cache has not met the old"
    more = f" and {len(met) - 1:,} more" if len(met) > 1 else ""
    return f"{met[0]}{more} had other bytes"


def tell_mended(cache: ImageCache, record: Record) -> None:
    """Say which images were damaged in the cache since this was called last."""
    mended = cache.take_mended()
    if mended:
        more = f" and {len(mended) - 1:,} more" if len(mended) > 1 else ""
        record(
            Warned(
                message=f"{mended[0]}{more} didn't match their checksum in the cache and were "
                "decoded anew: its disk may be failing, or something else writes there",
                where=str(cache.folder),
            )
        )
