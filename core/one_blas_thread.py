"""NumPy's matrix products on one thread, where a network computes on the same cores.

OpenBLAS's threads go on spinning for a while after a product, in wait for the next one, and so do
torch's: on two cores each image of ``cxr-tui predict`` took 11.5 ms in place of 7.1.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_blas_thread() -> AbstractContextManager[Any]:
    """Within it, NumPy's products start no threads."""
    limited: AbstractContextManager[Any] = _pools().limit(limits=1)
    return limited


@lru_cache(maxsize=1)
def _pools() -> Any:
    """NumPy's libraries: looking for them takes milliseconds, so it is done once."""
    return ThreadpoolController().select(user_api="blas")
