"""What a run goes on from besides its weights, sealed: edited by hand, it would be another run.

dataset.json and the state of each checkpoint hold the recipe's values and the digest of split.csv;
a checkpoint also holds the digest of the images, and what events.jsonl began with when it was
written. They tell an edit, a merge or a mixed-up copy. They are no signature: whoever means to can
change both.
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
    """Of what a run was made; None where it isn't known.

    Attributes:
        recipe: its values, as nested tables.
        split: the SHA-256 of split.csv.
        events: what events.jsonl began with.
        content: the digest of the images' bytes, and of how many; in checkpoints alone.
    """

    recipe: Mapping[str, Any] | None
    split: str | None
    events: Prefix | None = None
    content: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, recipe: Recipe, split: bytes) -> Seals:
        """Those of a run under this recipe, with this split.csv."""
        return cls(as_toml_values(recipe), hashlib.sha256(split).hexdigest())

    def is_of_split(self, split: bytes) -> bool:
        """Whether split.csv is still the same, as far as that is known."""
        return self.split is None or hashlib.sha256(split).hexdigest() == self.split

    def refuse_another_recipe(self, recipe: Recipe, path: Path) -> None:
        """Hold a recipe, of this file, against the one that the run was under.

        Raises:
            RecipeError: a key differs that makes another run.
        """
        if self.recipe is not None:
            safe_differences(sealed_recipe(self.recipe, f"the seal of {path}"), recipe, path)

    def with_events(self, events: Prefix) -> Seals:
        """The same, with what events.jsonl begins with by now."""
        return replace(self, events=events)

    def with_content(self, content: Mapping[str, Any]) -> Seals:
        """The same, with the digest of the images."""
        return replace(self, content=content)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` reads."""
        events, content = self.events, self.content
        told: dict[str, Any] = {"recipe": self.recipe, "split": self.split}
        told |= {} if events is None else {"events": [events.size_bytes, events.digest]}
        return told | ({} if content is None else {"content": content})

    @classmethod
    def from_json(cls, value: object) -> Seals | None:
        """What was kept; None where nothing was, or it is nothing of ours."""
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
    """The seal of a file's beginning; None where it is none."""
    match value:
        case [int(size_bytes), str(digest)] if size_bytes >= 0:
            return Prefix(size_bytes, digest)
    return None


def kept_seals(session: Session) -> Seals | None:
    """Those of the newest checkpoint, or of before there was one; None in sessions of before.

    Raises:
        SessionError: dataset.json is not a JSON object.
    """
    state = newest_state(session.checkpoints, LAST) or {}
    described = session.read_json("dataset.json") or {}
    return Seals.from_json(state.get(SEALS)) or Seals.from_json(described.get(SEALS))
