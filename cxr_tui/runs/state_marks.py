"""Signs of a run's states; apart, since the first paint needs them and nothing of a run."""

from __future__ import annotations

MARKS = {
    "running": "●",
    "paused": "‖",
    "finished": "✓",
    "stopped": "■",
    "failed": "✗",
    "silent": "○",
    "interrupted": "○",
    "new": "·",
}
"""The sign before each state."""
