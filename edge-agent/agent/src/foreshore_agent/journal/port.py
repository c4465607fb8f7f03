"""What the engine's host needs of the journal: records and values in, a word when they are durable.

    engine ──AppendRecords, Keep──► JournalPort ──► disk
    engine ◄──IntentDurable | IntentFailed── then(reason)

`runtime.core` writes through it; `runtime.agent` opens the journal behind it, a rehearsal queues.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from foreshore_agent.journal.tally import PROMISE, JournalEntry, JournalStatus, Values

__all__ = ["PROMISE", "JournalEntry", "JournalPort", "JournalStatus", "Then", "Values"]

Then = Callable[[str | None], None]
"""Takes None once a write is durable, or the reason code of why it is not."""


class JournalPort(Protocol):
    """Where records and durable values go."""

    @property
    def standing(self) -> JournalStatus:
        """Where the journal stands, as of the last commit."""
        ...

    def append(
        self,
        entries: Sequence[JournalEntry],
        values: Values = (),
        *,
        is_patient: bool = False,
        then: Then | None = None,
    ) -> None:
        """Write records and values, all or none.

        `then` is called in the loop, exactly once, and never before this returns. What `is_patient`
        may wait a moment for company; the order of writes stays.
        """
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep one value, or forget it if it is empty; that it cannot be kept is in `standing`."""
        ...

    def flush(self) -> None:
        """End a turn: what was appended since the last one goes to the disk together.

        Without it, what was appended goes with what is patient, a moment later.
        """
        ...

    def lose(self, entries: Sequence[JournalEntry], reason: str) -> None:
        """Give records up that cannot be kept; the journal says so in one that can."""
        ...
