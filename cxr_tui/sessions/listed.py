"""What has a row in the list of sessions: a session, or a search with its trials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar


@dataclass(frozen=True)
class SearchRow:
    """A search in the list, with what the columns ask of a session.

    Attributes:
        search: its name.
        trials: how many.
        counts: how many of them run and were pruned, for a wide terminal.
        in_words: all of it, for the line below the list.
        message: why its study can't be read, if it can't.
    """

    search: str
    state: str
    is_unfolded: bool
    trials: str
    counts: str
    in_words: str
    best_val_auroc: float | None
    updated: float
    num_bytes: int
    message: str = ""
    epoch: int = 0
    epochs: int = 0
    best_epoch: int | None = None
    health: str = ""
    health_text: str = ""
    findings: tuple[str, ...] = ()
    size_px: int | None = None
    images_per_second: float | None = None
    device: str = ""
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its folder under the sessions': no session is called so."""
        return self.name_of(self.search)

    @staticmethod
    def name_of(search: str) -> str:
        """The name of that search's row."""
        return f"searches/{search}"


if TYPE_CHECKING:
    from core.store.summary import SessionSummary

    Listed = SessionSummary | SearchRow
    Row = TypeVar("Row", bound=Listed)

_OF_A_SEARCH = re.compile(r"(.+)-(trial-\d+|best-\d+-seed\d+|unchanged-seed\d+)")


def search_and_part(session: str) -> tuple[str, str]:
    """What a session's name says of the search that it is of, such as ``night``, ``trial-07``."""
    found = _OF_A_SEARCH.fullmatch(session)
    return (found[1], found[2]) if found is not None else ("", session)
