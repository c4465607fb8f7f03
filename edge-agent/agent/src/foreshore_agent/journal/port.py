"""What the engine's host needs of the journal: records and values in, a word when they are durable.

    engine ──AppendRecords, Keep──► JournalPort ──► disk
    engine ◄──IntentDurable | IntentFailed── Writing, when it is done

`runtime.core` writes through it; `runtime.agent` opens the journal behind it, a rehearsal queues.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from foreshore_agent.journal.tally import PROMISE, JournalEntry, JournalStatus, Values

__all__ = ["PROMISE", "JournalEntry", "JournalPort", "JournalStatus", "Values", "Writing"]


class Writing(Protocol):
    """A write under way: an asyncio future, or what counts as done from the beginning."""

    def add_done_callback(self, call: "Callable[[Writing], object]", /) -> None:
        """Call once it is durable or has failed; at once, where it is done."""
        ...

    def cancelled(self) -> bool:
        """Whether nobody will know what became of it."""
        ...

    def exception(self) -> BaseException | None:
        """Return why it failed, once it is done and not cancelled; None if it did not."""
        ...


class JournalPort(Protocol):
    """Where records and durable values go."""

    @property
    def standing(self) -> JournalStatus:
        """Where the journal stands, as of the last commit."""
        ...

    def append(
        self, entries: Sequence[JournalEntry], values: Values = (), *, is_patient: bool = False
    ) -> Writing:
        """Write records and values, all or none.

        What `is_patient` may wait a moment for company; the order of writes stays.
        """
        ...

    def put(self, key: str, value: bytes) -> Writing:
        """Keep one value durably, or forget it if it is empty."""
        ...

    def lose(self, entries: Sequence[JournalEntry], reason: str) -> None:
        """Give records up that cannot be kept; the journal says so in one that can."""
        ...
