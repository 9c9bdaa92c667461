"""Whether a session is as its last run left it; checked before anything in it is trusted."""

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
    "this session was started before recipe.toml, split.csv and events.jsonl were sealed, so "
    "changes to them can't be detected. They are sealed from now on."
)


def require_as_left(
    session: Session, recipe: Recipe, writer: SessionWriter, past: Past
) -> str | None:
    """Refuse a session that was edited or has lost files since the last run; returns a notice, or
    None.

    Args:
        session: its own files.
        recipe: the recipe to continue with.
        writer: holds the events.
        past: the state from the events.

    Raises:
        RecipeError: a key differs that makes it another run.
        DataError: split.csv or events.jsonl differs from what the run left.
        RunFailedError: its checkpoints are gone, though they acknowledged steps.
    """
    split_file = session.path / "split.csv"
    if past.acknowledged_step and not has_checkpoint(session):
        raise RunFailedError(
            f"its checkpoints are gone, though {past.acknowledged_step:,} steps were acknowledged",
            where=session.checkpoints,
            why="Starting again from step 0 would be another run under the same name.",
            remedy="Restore the files last-…, or start a new session.",
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
        raise _edited(split_file, "its rows differ")
    if seals.events is not None and not writer.events_begin_with(seals.events):
        raise _edited(
            session.events_path,
            f"it is shorter than {seals.events.size_bytes:,} bytes, or some of these differ",
        )
    return None


def _refuse_moved(session: Session, split_file: Path) -> None:
    """Raises DataError: test contains patients that the last checkpoint has seen."""
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
        f"differs from what this run left: {how}",
        where=path,
        why="Results of a run whose files were changed midway are meaningless.",
        remedy="Restore the old file, or start a new session.",
    )


def _seen_among(patients: frozenset[int], session: Session) -> frozenset[int]:
    """Those that the last checkpoint's weights have seen, as far as is known."""
    try:
        checkpoint = read_checkpoint(session.checkpoints, LAST)
        path = checkpoint.file.model_path
        own = read_metadata(checkpoint.metadata, where=path)
    except CxrError:
        return frozenset()  # resuming from it reports that it can't be read
    if own is None:
        return frozenset()
    trained = own.provenance.with_keys(keys_beside(path)).trained_patients
    if isinstance(trained, PatientDigests):
        return trained.among(patients) or frozenset()
    return patients & (trained or frozenset())


def _patients_of_test(split_file: Path) -> frozenset[int]:
    """From the file's own column; values that are not numbers are skipped.

    Raises:
        DataError: a number is longer than any that a run writes.
    """
    try:
        text = table_bytes(split_file).decode("utf-8", "replace")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (csv.Error, DataError):
        return frozenset()  # reading the parts reports that it can't be read
    patients = (str(row.get("Patient ID")) for row in rows if row.get("split") == "test")
    numbers = [text for text in patients if text.isascii() and text.isdigit()]
    if longer := [text for text in numbers if len(text) > _MOST_DIGITS]:
        raise _edited(split_file, f"it has a patient number of {len(longer[0]):,} digits")
    return frozenset(map(int, numbers))
