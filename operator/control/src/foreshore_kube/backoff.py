"""How long to wait before the next try: exponential with full jitter, without an end.

Informers, reads and the operator's client of the hub use it. Full jitter (a uniform draw below the
exponential bound) because after an API server's restart everybody comes back at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def delays(first: float = 0.5, cap: float = 30.0) -> Iterator[float]:
    """Seconds to wait before each further try, for ever; make a new one after a success."""
    bound = first
    while True:
        yield max(0.05, random.uniform(0, bound))  # noqa: S311 (spreads load, keeps no secret)
        bound = min(cap, bound * 2)
