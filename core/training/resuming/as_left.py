"""Whether a session stands as its last run left it: looked at before anything of it is believed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from core.data.tables.text_file import table_bytes
from core.errors import CxrError, DataError, RunFailedError
from core.model.own_metadata import read_metadata
from core.model.patient_digests import PatientDigests, keys_beside
from core.recipe import Recipe
from core.store.checkpoint import LAST, read_checkpoint
from core.store.past import Past
from core.store.seals import kept_seals
from core.store.session import Session, SessionWriter
from core.training.keeping import has_checkpoint

_NAMED = 5
_MOST_DIGITS = 19  # of a patient's number, an int64
_FROM_BEFORE = (
    "this session was begun before recipe.toml, split.csv and events.jsonl were sealed: that they "
    "are what its run left can't be told. From now on their seals are kept."
)


def require_as_left(
    session: Session, recipe: Recipe, writer: SessionWriter, past: Past
) -> str | None:
    """Refuse what was edited or removed since the last run, by its name; a notice, or None.

    Args:
        session: its own files.
        recipe: under which it is to go on.
        writer: holds the events.
        past: what they tell.

    Raises:
        RecipeError: a key differs that makes another run.
        DataError: split.csv or events.jsonl is not what the run left.
        RunFailedError: its checkpoints are gone, though they acknowledged steps.
    """
    split_file = session.path / "split.csv"
    if past.acknowledged_step and not has_checkpoint(session):
        raise RunFailedError(
            f"its checkpoints are gone, though {past.acknowledged_step:,} steps were acknowledged",
            where=session.checkpoints,
            why="From step 0 it would be another run under the same name.",
            remedy="Bring the files last-… back, or start a new session.",
        )
    seals = kept_seals(session)
    if seals is None:
        if not has_checkpoint(session):
            return None
        _refuse_moved(session, split_file)
        return _FROM_BEFORE
    seals.refuse_another_recipe(recipe, session.path / "recipe.toml")
    if split_file.exists() and not seals.is_of_split(table_bytes(split_file)):
        _refuse_moved(session, split_file)
        raise _edited(split_file, "its rows are others")
    if seals.events is not None and not writer.events_begin_with(seals.events):
        raise _edited(
            session.events_path,
            f"it is shorter than {seals.events.size_bytes:,} bytes, or some of these are others",
        )
    return None


def _refuse_moved(session: Session, split_file: Path) -> None:
    """Raises DataError: patients stand in test that the last checkpoint has seen."""
    moved = sorted(_seen_among(_patients_of_test(split_file), session))
    if not moved:
        return
    more = f" and {len(moved) - _NAMED:,} more" if len(moved) > _NAMED else ""
    named = ", ".join(map(str, moved[:_NAMED]))
    subject, verb = ("patient", "stands") if len(moved) == 1 else ("patients", "stand")
    raise _edited(
        split_file,
        f"{subject} {named}{more} {verb} in test, but trained the weights or chose the best epoch",
    )


def _edited(path: Path, how: str) -> DataError:
    return DataError(
        f"is not what this run left: {how}",
        where=path,
        why="Figures of a run whose files were changed in the middle mean nothing.",
        remedy="Bring the old file back, or start a new session.",
    )


def _seen_among(patients: frozenset[int], session: Session) -> frozenset[int]:
    """Those that the last checkpoint's weights have seen, as far as it can be told."""
    try:
        checkpoint = read_checkpoint(session.checkpoints, LAST)
        path = checkpoint.file.model_path
        own = read_metadata(checkpoint.metadata, where=path)
    except CxrError:
        return frozenset()  # that it can't be read is said where the run goes on from it
    if own is None:
        return frozenset()
    trained = own.provenance.with_keys(keys_beside(path)).trained_patients
    if isinstance(trained, PatientDigests):
        return trained.among(patients) or frozenset()
    return patients & (trained or frozenset())


def _patients_of_test(split_file: Path) -> frozenset[int]:
    """By the file's own column; what is not a number there is passed over.

    Raises:
        DataError: a number is longer than any that a run writes.
    """
    try:
        text = table_bytes(split_file).decode("utf-8", "replace")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (csv.Error, DataError):
        return frozenset()  # that it can't be read is said where the parts are read
    patients = (str(row.get("Patient ID")) for row in rows if row.get("split") == "test")
    numbers = [text for text in patients if text.isascii() and text.isdigit()]
    if longer := [text for text in numbers if len(text) > _MOST_DIGITS]:
        raise _edited(split_file, f"it names a patient by {len(longer[0]):,} digits")
    return frozenset(map(int, numbers))
