"""Seals: digests of what a run resumes from besides its weights. A manual edit would make it
another run.

dataset.json and the state of each checkpoint hold the recipe's values and the digest of split.csv.
A checkpoint also holds the digest of the images, and that of events.jsonl when it was written. They
reveal an edit, a merge or a mixed-up copy. They are not a signature: somebody can change both on
purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.going_on import safe_differences
from core.recipe import Recipe
from core.recipe_toml import as_toml_values, sealed_recipe
from core.store.checkpoint import LAST, newest_state
from core.store.event_file import Prefix
from core.store.session import Session

SEALS = "seals"
"""The key in dataset.json and in a checkpoint's state."""


@dataclass(frozen=True)
class Seals:
    """What a run was started with; a value is None if unknown.

    Attributes:
        recipe: the recipe's values, as nested tables.
        split: the SHA-256 of split.csv.
        events: length and digest of the beginning of events.jsonl.
        content: digest of the images' bytes, and their number; in checkpoints only.
    """

    recipe: Mapping[str, Any] | None
    split: str | None
    events: Prefix | None = None
    content: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, recipe: Recipe, split: bytes) -> Seals:
        """The seals of a run with this recipe and this split.csv."""
        return cls(as_toml_values(recipe), hashlib.sha256(split).hexdigest())

    def is_of_split(self, split: bytes) -> bool:
        """Whether split.csv is unchanged, as far as known."""
        return self.split is None or hashlib.sha256(split).hexdigest() == self.split

    def refuse_another_recipe(self, recipe: Recipe, path: Path) -> None:
        """Compare a recipe, read from ``path``, with the run's recipe.

        Raises:
            RecipeError: a key differs that would make it another run.
        """
        if self.recipe is not None:
            safe_differences(sealed_recipe(self.recipe, f"the seal of {path}"), recipe, path)

    def with_events(self, events: Prefix) -> Seals:
        """The same seals with the current digest of events.jsonl."""
        return replace(self, events=events)

    def with_content(self, content: Mapping[str, Any]) -> Seals:
        """The same seals with the digest of the images."""
        return replace(self, content=content)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` reads."""
        events, content = self.events, self.content
        told: dict[str, Any] = {"recipe": self.recipe, "split": self.split}
        told |= {} if events is None else {"events": [events.size_bytes, events.digest]}
        return told | ({} if content is None else {"content": content})

    @classmethod
    def from_json(cls, value: object) -> Seals | None:
        """The seals in a JSON value; None if there are none or it isn't ours."""
        if not isinstance(value, Mapping):
            return None
        keys = ("recipe", "split", "events", "content")
        recipe, split, events, content = map(value.get, keys)
        return cls(
            recipe if isinstance(recipe, Mapping) else None,
            split if isinstance(split, str) else None,
            prefix_of(events),
            content if isinstance(content, Mapping) else None,
        )


def prefix_of(value: object) -> Prefix | None:
    """The prefix in a JSON value; None if it isn't one."""
    match value:
        case [int(size_bytes), str(digest)] if size_bytes >= 0:
            return Prefix(size_bytes, digest)
    return None


def kept_seals(session: Session) -> Seals | None:
    """The seals of the newest checkpoint or, without one, of dataset.json; None in sessions of
    earlier versions.

    Raises:
        SessionError: dataset.json is not a JSON object.
    """
    state = newest_state(session.checkpoints, LAST) or {}
    described = session.read_json("dataset.json") or {}
    return Seals.from_json(state.get(SEALS)) or Seals.from_json(described.get(SEALS))
