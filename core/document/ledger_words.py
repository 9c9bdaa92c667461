"""How often the test part had been looked at when the report was written."""

from __future__ import annotations

from core.document.blocks import Words
from core.store.ledger import Looks
from core.words import number_of


def ledger_words(looks: Looks) -> Words:
    """The count, and what it means."""
    lines = []
    if looks.times:
        often = "once" if looks.times == 1 else f"{looks.times:,} times"
        lines.append(
            f"The figures of this test part had been scored or shown {often}, in "
            f"{number_of(looks.sources, 'session')}, this report included (looks.jsonl beside the "
            "sessions)."
        )
    if looks.warning:
        lines.append(f"{looks.warning}.")
    lines.append(
        "A test part is honest once: whoever looks, changes something and looks again has begun to "
        "choose by it."
    )
    return Words(tuple(lines))
