"""The agent's conversation with the hub: assignments down, records, reports and renewals up.

Each loop fails alone and comes back with full jitter; no decision ever waits for any of them.

    follow   long-poll, newest assignment to the runtime; begun anew when the hub answers again
    ship     records in order, forgotten once acknowledged
    report   every two seconds, or when something changed
    renew    on demand, for ourselves and for peers
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from foreshore_agent import backoff, journal
from foreshore_agent.hub import door
from foreshore_api import printable
from foreshore_api.reasons import link as reasons
from foreshore_api.wire import assignment, beat, record, report

REPORT_SECONDS: Final = 2.0
SHIP_IDLE_SECONDS: Final = 0.5
BATCH_RECORDS: Final = 500
NOT_DURABLE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 3.0
"""An answer later than this is of little use: the next request is on its way."""
_LOG: Final = logging.getLogger(__name__)


class Records(Protocol):
    """The part of the journal that is shipped."""

    journal_id: str

    @property
    def standing(self) -> "_Standing":
        """Where the journal stands."""
        ...

    def after(self, sequence: int, limit: int) -> Awaitable[tuple[record.ShippedRecord, ...]]:
        """Return the records behind a sequence number."""
        ...

    def acknowledge(self, sequence: int) -> Awaitable[None]:
        """Note what the hub has committed."""
        ...


class _Standing(Protocol):
    @property
    def last(self) -> int: ...

    @property
    def acknowledged(self) -> int: ...


@dataclass(frozen=True, slots=True)
class HubCalls:
    """What the runtime is told and asked."""

    assigned: Callable[[assignment.Assignment], Awaitable[None]]
    renewed: Callable[[beat.Renewal], None]
    facts: Callable[[], report.Report]
    connected: Callable[[bool], None]


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what is still under way, and wait for its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class HubLink:
    """All loops of one agent's link."""

    def __init__(self, door: door.Door, records: Records, calls: HubCalls) -> None:
        self._door: Final = door
        self._records: Final = records
        self._calls: Final = calls
        self._changed: Final = asyncio.Event()
        self._returned: Final = asyncio.Event()
        """Set when a call is answered after one that was not."""
        self._is_connected = False
        self._complaints: dict[str, str] = {}
        self._batch = BATCH_RECORDS
        self._refused = ""

    @property
    def answered_at(self) -> float | None:
        """When the hub last answered, on the boot-time clock."""
        return self._door.answered_at

    @property
    def unix(self) -> float | None:
        """The hub's own time in its newest answer, in Unix seconds."""
        return self._door.unix

    @property
    def is_connected(self) -> bool:
        """Whether the hub answers."""
        return self._is_connected

    @property
    def refused(self) -> str:
        """Why the hub does not take the next record, if it refuses it even alone."""
        return self._refused

    def hurry(self) -> None:
        """Report now: something changed that others wait for."""
        self._changed.set()

    async def run(self) -> None:
        """Talk until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="hub-assignment")
                tasks.create_task(self._ship(), name="hub-records")
                tasks.create_task(self._report(), name="hub-report")
        finally:
            await self._door.close()

    async def renew(self, request: beat.RenewalRequest) -> beat.Renewal | None:
        """Ask once for a renewal, ours or a peer's; None when there is no answer in time."""
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                renewal = await self._door.renew(request)
        except (TimeoutError, door.DoorError) as error:
            self._note_failure("renewals", error)
            return None
        self._note_success("renewals")
        return renewal

    async def _follow(self) -> None:
        etag: str | None = None
        wait = backoff.Backoff()
        while True:
            try:
                fetched = await self._poll(etag)
            except door.DoorError as error:
                self._note_failure("assignments", error)
                await asyncio.sleep(wait.next())
                continue
            self._note_success("assignments")
            wait.reset()
            if fetched is not None:
                if await self._hand_over(fetched.assignment):
                    etag = fetched.etag or None
                else:
                    await asyncio.sleep(NOT_DURABLE_SECONDS)
            await asyncio.sleep(0)

    async def _poll(self, etag: str | None) -> door.Fetched | None:
        """Wait for another assignment; ask anew when the hub answers others after an outage.

        A link that lost packets says nothing on a connection on which only we wait. The answer may
        be among them, and the poll would end by its own time limit: up to 40 seconds in which this
        agent works by what was, while replicas of that go.
        """
        while True:
            self._returned.clear()
            polling = asyncio.ensure_future(self._door.assignment(etag))
            returning = asyncio.ensure_future(self._returned.wait())
            try:
                await asyncio.wait((polling, returning), return_when=asyncio.FIRST_COMPLETED)
                if polling.done():
                    return polling.result()
            finally:
                await _ended(polling, returning)

    async def _hand_over(self, fresh: assignment.Assignment) -> bool:
        """Hand an assignment to the runtime; False when the disk does not take it now."""
        try:
            await self._calls.assigned(fresh)
        except journal.JournalFull as error:
            _LOG.warning("a new assignment cannot be made durable and must wait: %s", error)
            return False
        return True

    async def _ship(self) -> None:
        wait = backoff.Backoff()
        while True:
            standing = self._records.standing
            if standing.acknowledged >= standing.last:
                await asyncio.sleep(SHIP_IDLE_SECONDS)
                continue
            try:
                await self._ship_batch(standing.acknowledged)
            except (door.DoorError, journal.JournalFull, ValueError) as error:
                self._note_failure("records", error)
                if not self._has_smaller_batch(error):
                    await asyncio.sleep(wait.next())
            else:
                self._note_success("records")
                self._batch, self._refused = min(BATCH_RECORDS, self._batch * 2), ""
                wait.reset()

    def _has_smaller_batch(self, error: Exception) -> bool:
        """Ask for half of what was refused next: one record must not hold back those before it."""
        if not isinstance(error, door.HubRefusedError):
            return False
        if self._batch == 1:
            self._refused = str(error)
            return False
        self._batch //= 2
        return True

    async def _ship_batch(self, acknowledged: int) -> None:
        """Hand over what follows; only what the hub says it has committed is forgotten."""
        records = await self._records.after(acknowledged, self._batch)
        if not records:
            await asyncio.sleep(SHIP_IDLE_SECONDS)
            return
        journal, last = self._records.journal_id, self._records.standing.last
        batch = record.Batch(journal=journal, records=records, last=last)
        answer = await self._door.records(batch)
        if answer.journal != journal:
            raise door.DoorError(reasons.WRONG_JOURNAL, answer.journal)
        if answer.acknowledged <= acknowledged:
            raise door.DoorError(reasons.NOTHING_ACKNOWLEDGED, str(answer.acknowledged))
        await self._records.acknowledge(min(answer.acknowledged, records[-1].sequence))

    async def _report(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._door.report(self._calls.facts())
                self._note_success("reports")
            except (door.DoorError, ValueError) as error:  # ours may be no valid report, too
                self._note_failure("reports", error)
            try:
                async with asyncio.timeout(REPORT_SECONDS):
                    await self._changed.wait()
                await asyncio.sleep(0.05)  # what changes together is reported together
            except TimeoutError:
                continue

    def _note_success(self, what: str) -> None:
        if self._complaints.pop(what, None) is not None:
            self._returned.set()
        if not self._is_connected:
            self._is_connected = True
            _LOG.info("the hub answers")
            self._calls.connected(True)  # noqa: FBT003 - a callback

    def _note_failure(self, what: str, error: Exception) -> None:
        """Say it once; one lost call is no lost hub, several seconds without an answer are."""
        complaint = printable.clean(error) or type(error).__name__
        if self._complaints.get(what) != complaint:
            self._complaints[what] = complaint
            _LOG.warning("the hub and %s: %s", what, complaint)
        answered = self._door.answered_at
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._is_connected and (answered is None or now - answered > RENEW_SECONDS):
            self._is_connected = False
            self._calls.connected(False)  # noqa: FBT003 - a callback
