"""Searches in the list of sessions: one row each, with its trials folded under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.words import number_of
from cxr_tui.sessions.columns import Order
from cxr_tui.sessions.listed import SearchRow, search_and_part

if TYPE_CHECKING:
    from core.search.watching import SearchSeen
    from core.store.summary import SessionSummary
    from cxr_tui.sessions.listed import Listed

_ON = ("running", "paused")


@dataclass
class SearchFolds:
    """Which searches there are, what is known of each, and which are unfolded.

    Attributes:
        names: of the searches that have a folder beside the sessions.
        seen: what their studies say, as far as they were read.
    """

    names: Collection[str] = ()
    seen: dict[str, SearchSeen] = field(default_factory=dict)
    unfolded: set[str] = field(default_factory=set)

    def search_of(self, session: str) -> str | None:
        """The search whose trial, or retraining, a session is."""
        name, _ = search_and_part(session)
        return name if name in self.names else None

    def rows(self, sessions: Sequence[SessionSummary], order: Order) -> list[Listed]:
        """Each search in the place of its newest session, and its own under it if unfolded."""
        own: dict[str, list[SessionSummary]] = {name: [] for name in sorted(self.names)}
        top: list[SessionSummary | str] = []
        for one in sessions:
            name = self.search_of(one.name)
            if name is None:
                top.append(one)
                continue
            if not own[name]:
                top.append(name)
            own[name].append(one)
        begun = [name for name, ones in own.items() if not ones]  # no session yet
        listed = [
            self._row(one, own[one]) if isinstance(one, str) else one for one in [*begun, *top]
        ]
        return list(self._with_own(order.ordered(listed), own, order))

    def fold(self, name: str, *, is_folded: bool) -> None:
        """Show a search's own sessions under it, or no longer."""
        if is_folded:
            self.unfolded.discard(name)
        else:
            self.unfolded.add(name)

    def _with_own(
        self, rows: Iterable[Listed], own: dict[str, list[SessionSummary]], order: Order
    ) -> Iterable[Listed]:
        for row in rows:
            yield row
            if isinstance(row, SearchRow) and row.is_unfolded:
                yield from order.ordered(own[row.search])

    def _row(self, name: str, own: Sequence[SessionSummary]) -> SearchRow:
        seen = self.seen.get(name)
        figures = [one.best_val_auroc for one in own if one.best_val_auroc is not None]
        best = seen.best if seen is not None else None
        return SearchRow(
            search=name,
            state=_state(seen, own),
            is_unfolded=name in self.unfolded,
            trials=_trials(seen, own),
            counts=_counts(seen, "running", "pruned", "failed"),
            in_words="" if seen is None else in_words(seen),
            best_val_auroc=best.val_auroc if best else max(figures, default=None),
            updated=max((one.updated for one in own), default=0.0),
            num_bytes=sum(one.num_bytes for one in own),
            message=seen.fault if seen is not None else "",
            findings=own[0].findings if own else (),
            size_px=own[0].size_px if own else None,
            device=own[0].device if own else "",
        )


def _state(seen: SearchSeen | None, own: Sequence[SessionSummary]) -> str:
    if any(one.state in _ON for one in own) or (seen is not None and seen.number("running")):
        return "running"
    if seen is None or not seen.trials:
        return "new" if not own else "stopped"
    ended = seen.number("complete", "pruned", "failed")
    return "finished" if seen.is_reported and ended >= (seen.limit or 0) else "stopped"


def _trials(seen: SearchSeen | None, own: Sequence[SessionSummary]) -> str:
    if seen is None or not seen.trials:  # not read yet, or not to be read: what is here
        return number_of(sum("-trial-" in one.name for one in own), "trial")
    return number_of(len(seen.trials), "trial")


def _counts(seen: SearchSeen | None, *states: str) -> str:
    if seen is None:
        return ""
    return ", ".join(f"{count} {state}" for state in states if (count := seen.number(state)))


def in_words(seen: SearchSeen) -> str:
    """How many trials there are, in which states, and the best; '' without any."""
    if not seen.trials:
        return ""
    of = f" of {seen.limit}" if seen.limit and seen.limit > len(seen.trials) else ""
    counts = _counts(seen, "running", "interrupted", "complete", "pruned", "failed")
    best = seen.best
    told = "" if best is None else f"; best val AUROC {best.val_auroc:.3f}, trial {best.number:02d}"
    return f"{number_of(len(seen.trials), 'trial')}{of}: {counts}{told}"
