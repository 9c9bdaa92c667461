"""Answers of health checks in words, for batch output, tables and screens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.events import Diagnosed
from core.store.answers import gravest_first

SIGNS = {"ok": "✓", "note": "·", "warning": "▲", "stop": "■"}
"""State is a word and a mark, never colour alone."""

GRAVE = ("stop", "warning")
"""With these the figures or the run are doubtful."""

ARROW = "→"
"""Before what to do about it."""


def sign_of(severity: str) -> str:
    """The mark of an answer; of a word that this version does not know, a note's."""
    return SIGNS.get(severity, SIGNS["note"])


def evidence_in_words(evidence: Mapping[str, Any]) -> str:
    """The numbers behind an answer, such as ``tied pairs 0.998, distinct scores 2``."""
    parts = []
    for name, value in evidence.items():
        if value is None:
            continue
        said = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name.replace('_', ' ')} {said}")
    return ", ".join(parts)


def answers_of(report: Mapping[str, Any]) -> list[Diagnosed]:
    """A report's answers, gravest first; none where an older version has written it."""
    found = report.get("health")
    entries = found if isinstance(found, list) else []
    return gravest_first(_answer(entry) for entry in entries if isinstance(entry, Mapping))


def _answer(entry: Mapping[str, Any]) -> Diagnosed:
    evidence, changes = entry.get("evidence"), entry.get("changes")
    return Diagnosed(
        check=str(entry.get("check", "")),
        severity=str(entry.get("severity", "")),
        text=str(entry.get("text", "")),
        evidence=evidence if isinstance(evidence, Mapping) else {},
        remedy=str(entry.get("remedy") or ""),
        changes=tuple(map(str, changes)) if isinstance(changes, list) else (),
    )


def in_one_sentence(answer: Diagnosed) -> str:
    """What was found, the evidence in brackets, and what to do."""
    evidence = evidence_in_words(answer.evidence)
    parts = [answer.text, f"({evidence})" if evidence else "", answer.remedy]
    return " ".join(part for part in parts if part)


def health_pairs(answers: Iterable[Diagnosed]) -> Sequence[tuple[str, str]]:
    """Each answer as a mark and the sentence beside it."""
    return [(sign_of(answer.severity), in_one_sentence(answer)) for answer in answers]
