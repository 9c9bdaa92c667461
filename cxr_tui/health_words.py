"""Answers of health checks in words, for batch output, tables and screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SIGNS = {"ok": "✓", "note": "·", "warning": "▲", "stop": "■"}
"""State is a word and a mark, never colour alone."""


def evidence_in_words(evidence: Mapping[str, Any]) -> str:
    """The numbers behind an answer, such as ``tied pairs 0.998, distinct scores 2``."""
    parts = []
    for name, value in evidence.items():
        if value is None:
            continue
        said = f"{value:.4g}" if isinstance(value, float) else str(value)
        parts.append(f"{name.replace('_', ' ')} {said}")
    return ", ".join(parts)


def health_pairs(answers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """A report's answers, each a mark beside the sentence, its evidence, and what to do."""
    pairs = []
    for answer in answers:
        evidence = evidence_in_words(answer["evidence"])
        text = f"{answer['text']} ({evidence}) {answer['remedy']}".strip()
        pairs.append((SIGNS.get(answer["severity"], "·"), text))
    return pairs
