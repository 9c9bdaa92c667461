"""A search as it stands, for who looks on while other processes work on it.

Nothing is written, and Optuna is imported at the first look only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import CxrError
from core.search.place import key_of, storage_of, trial_folder
from core.search.space import Value
from core.store.files import is_file
from core.store.lock import is_held

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_OF_THE_EXTRA = ("optuna", "sqlalchemy")


@dataclass(frozen=True)
class TrialSeen:
    """One trial.

    Attributes:
        state: running, interrupted (its process has died, or was stopped), complete, pruned or
            failed.
        val_auroc: of a complete trial the figure by which it is compared, else that of its last
            epoch; None before the first.
        epoch: the last one that it ended.
        why: why it was pruned, or failed.
        values: of the searched keys.
    """

    number: int
    session: str
    state: str
    val_auroc: float | None
    epoch: int
    why: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class SearchSeen:
    """A search at one look.

    Attributes:
        keys: those searched.
        limit: how many trials it is to have, if that was said.
        is_reported: whether it came to its end once, see ``SearchPlace.keep``.
        importance: see ``core.search.report.importance``; {} where it wasn't asked for.
        fault: why its storage can't be read now; the rest is what was seen before.
    """

    name: str
    keys: tuple[str, ...] = ()
    limit: int | None = None
    trials: tuple[TrialSeen, ...] = ()
    is_reported: bool = False
    importance: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""

    def number(self, *states: str) -> int:
        """How many trials are in one of these states."""
        return sum(one.state in states for one in self.trials)

    @property
    def best(self) -> TrialSeen | None:
        """The complete trial with the highest val AUROC; the first of equals."""
        complete = [one for one in self.trials if one.state == "complete"]
        return max(complete, key=lambda one: (one.val_auroc or 0.0, -one.number), default=None)


class SearchWatch:
    """Looks at one search again and again, in the sessions' folder that it has here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._study: optuna.Study | None = None
        self._seen = SearchSeen(path.name)
        self._weighed: tuple[int, Mapping[str, float]] = (0, {})

    def look(self, *, weighs_keys: bool = False) -> SearchSeen:
        """The search now.

        Args:
            weighs_keys: whether the importance of the keys is wanted too, which takes a moment
                after each complete trial.
        """
        try:
            seen = self._now(weighs_keys)
        except ImportError as error:
            told = f"Its trials can't be read: {error.name or 'a driver'} is not installed."
            remedy = ' pip install "cxr-tui[search]"' if error.name in _OF_THE_EXTRA else ""
            seen = replace(self._seen, fault=f"{told}{remedy}")
        except CxrError as error:
            seen = replace(self._seen, fault=str(error))
        self._seen = seen
        return seen

    def _now(self, weighs_keys: bool) -> SearchSeen:
        from core.search.storage import reading_named, storage_for_reading

        where = storage_of(self._path)
        with reading_named(where):
            if self._study is None:
                import optuna

                optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # the screen is on stderr
                storage = storage_for_reading(where)
                self._study = optuna.load_study(study_name=self._path.name, storage=storage)
            attrs = self._study.user_attrs
            known = self._study.get_trials(deepcopy=False)
            claimed = [one for one in known if "place" in one.user_attrs]
            limit = attrs.get("trials")
            return SearchSeen(
                name=self._path.name,
                keys=tuple(json.loads(str(attrs.get("space", "{}")))),
                limit=limit if isinstance(limit, int) else None,
                trials=tuple(self._trial(one) for one in claimed),
                is_reported=is_file(self._path / "search.json"),
                importance=self._importance(claimed) if weighs_keys else {},
            )

    def _trial(self, trial: FrozenTrial) -> TrialSeen:
        figures = {
            epoch: figure
            for epoch, figure in trial.intermediate_values.items()
            if math.isfinite(figure)
        }
        epoch = max(figures, default=0)
        state = self._state(trial)
        return TrialSeen(
            number=trial.number,
            session=str(trial.user_attrs.get("session", "")),
            state=state,
            val_auroc=trial.value if state == "complete" else figures.get(epoch),
            epoch=epoch,
            why=str(trial.user_attrs.get("why", "")),
            values=dict(trial.params),
        )

    def _state(self, trial: FrozenTrial) -> str:
        from core.search.report import STATES

        state = STATES[trial.state]
        is_ours = trial.user_attrs["place"] == key_of(self._path)
        if state == "running" and is_ours and not is_held(trial_folder(self._path, trial.number)):
            return "interrupted"
        return state

    def _importance(self, trials: Sequence[FrozenTrial]) -> Mapping[str, float]:
        from core.search.report import importance

        complete = [one for one in trials if one.value is not None]
        if self._weighed[0] != len(complete) and self._study is not None:
            self._weighed = (len(complete), importance(self._study, trials))
        return self._weighed[1]
