"""How long to wait before asking again: full jitter, so that a fleet does not come back in step.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (there: full jitter).
"""

import random
from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 10.0


class Backoff:
    """Waits of one conversation; a success starts over."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first: Final = first
        self._longest: Final = longest
        self._failures = 0

    def reset(self) -> None:
        """Forget past failures."""
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        bound = min(self._longest, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return random.uniform(0.0, bound)  # noqa: S311 - spreads load, guards nothing
