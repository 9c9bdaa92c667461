"""What nvidia-smi says; it knows of every process on a GPU, and takes no torch."""

from __future__ import annotations

import subprocess

_SECONDS = 5


def ask_nvidia_smi(query: str, *options: str) -> str | None:
    """Its answer to a query such as ``--query-gpu=memory.used``: CSV without header and units.

    None where there is no such tool, or it won't answer: then nothing is known.
    """
    try:
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout
