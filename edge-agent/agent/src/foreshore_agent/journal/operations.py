"""What travels between the loop and the journal's thread: what is asked, and what came of it.

`writer.Journal` makes operations in the loop, `writer` carries them out in the thread, and each is
answered in the loop again, exactly once. An append has a callback and no future: a future costs the
loop a callback of its own, and more memory than the record's entry.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foreshore_agent.journal.port import Then
from foreshore_agent.journal.store import JournalFull, Store
from foreshore_agent.journal.tally import JournalEntry, Values
from foreshore_api.reasons import agent


class Operation(Protocol):
    """One thing that the store is to do."""

    entries: Sequence[JournalEntry]
    """Records that are lost, and have to be counted, where it fails."""
    is_urgent: bool
    """Whether it may use the room that the ballast leaves."""
    error: Exception | None
    """Why it was not done; set by whoever tried."""

    def run(self, store: Store) -> None:
        """Do it, in the thread and in a transaction."""
        ...

    def answer(self) -> None:
        """Tell whoever asked, in the loop."""
        ...


@dataclass(slots=True, eq=False)
class Append:
    """Records and values that are written together."""

    entries: Sequence[JournalEntry]
    values: Values
    then: Then | None
    is_urgent: bool
    error: Exception | None = None

    def run(self, store: Store) -> None:
        """Write them."""
        store.append(self.entries, self.values)

    def answer(self) -> None:
        """Say that they are durable, or why they are not."""
        if self.then is not None:
            self.then(None if self.error is None else reason_of(self.error))


@dataclass(slots=True, eq=False)
class Call:
    """Something whose result somebody waits for."""

    ask: Callable[[Store], Any]
    done: "asyncio.Future[Any]"
    result: Any = None
    entries: Sequence[JournalEntry] = ()
    is_urgent: bool = True
    error: Exception | None = None

    def run(self, store: Store) -> None:
        """Ask the store."""
        self.result = self.ask(store)

    def answer(self) -> None:
        """Hand the result over, unless nobody waits any more."""
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


def reason_of(error: Exception) -> str:
    """Return the reason code of a failure; a defect's is that nothing can be recorded."""
    return error.reason if isinstance(error, JournalFull) else agent.RECORDER_FULL
