"""Values that outlive the process: what hub mode and folder mode keep in the journal's own store.

Both ask for no more of the journal than this, so that a test needs no journal.
"""

from collections.abc import Awaitable
from typing import Protocol


class Values(Protocol):
    """Bytes under a name; a value that was kept is there after a crash."""

    def keep(self, key: str, value: bytes) -> Awaitable[None]:
        """Keep a value durably."""
        ...

    def get(self, key: str) -> Awaitable[bytes | None]:
        """Return a value, or None."""
        ...
