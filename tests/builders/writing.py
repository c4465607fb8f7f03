"""Writes to a journal that a test waits for."""

import asyncio
from collections.abc import Sequence

from foreshore_agent import journal
from foreshore_agent.journal import port


def append(
    opened: journal.Journal,
    entries: Sequence[journal.JournalEntry],
    values: port.Values = (),
    *,
    is_patient: bool = False,
) -> asyncio.Future[int]:
    """Append; the future has the newest number once that is durable, or raises JournalFull."""
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def then(reason: str | None) -> None:
        if reason is None:
            done.set_result(opened.standing.last)
        else:
            done.set_exception(journal.JournalFull(reason))

    opened.append(entries, values, is_patient=is_patient, then=then)
    return done
