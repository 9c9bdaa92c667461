"""What is said beside a report's figures: notes, operating points, what is missing; no Textual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.evaluation.metrics_words import READ_THE_INTERVAL
