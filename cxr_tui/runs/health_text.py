"""Diagnoses of health checks in words, for batch output, tables and screens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.events import Diagnosed

SIGNS = {"ok": "✓", "note": "·", "warning": "▲", "stop": "■"}
"""State has a word and a mark, never only a colour."""

GRAVE = ("stop", "warning")
"""Severities that make the results or the run doubtful."""

ARROW = "→"
"""Mark before the remedy."""


def sign_of(severity: str) -> str:
    """The mark of a severity; an unknown one gets a note's."""
    return SIGNS.get(severity, SIGNS["note"])


def evidence_in_words(evidence: Mapping[str, Any]) -> str:
    """The evidence of a diagnosis, such as ``tied pairs 0.998, distinct scores 2``."""
    parts = []
    for name, value in evidence.items():
        if value is None:
            continue
        said = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name.replace('_', ' ')} {said}")
    return ", ".join(parts)


def answers_of(found: object) -> list[Diagnosed]:
    """A report's diagnoses, most severe first; empty if an older version wrote the report."""
    from core.store.answers import gravest_first  # not before the first paint

    entries = found if isinstance(found, list) else []
    return gravest_first(_answer(entry) for entry in entries if isinstance(entry, Mapping))


def _answer(entry: Mapping[str, Any]) -> Diagnosed:
    evidence, changes = entry.get("evidence"), entry.get("changes")
    from core.events import Diagnosed  # not before the first paint

    return Diagnosed(
        check=str(entry.get("check", "")),
        severity=str(entry.get("severity", "")),
        text=str(entry.get("text", "")),
        evidence=evidence if isinstance(evidence, Mapping) else {},
        remedy=str(entry.get("remedy") or ""),
        changes=tuple(map(str, changes)) if isinstance(changes, list) else (),
    )


def in_one_sentence(answer: Diagnosed) -> str:
    """The finding, the evidence in brackets, and the remedy."""
    evidence = evidence_in_words(answer.evidence)
    parts = [answer.text, f"({evidence})" if evidence else "", answer.remedy]
    return " ".join(part for part in parts if part)


def health_pairs(answers: Iterable[Diagnosed]) -> Sequence[tuple[str, str]]:
    """Each diagnosis as a mark and a sentence."""
    return [(sign_of(answer.severity), in_one_sentence(answer)) for answer in answers]
