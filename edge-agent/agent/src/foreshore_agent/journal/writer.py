"""The journal's only thread, and the way to it from asyncio.

What is appended in one turn of the loop goes to the thread as one list. The thread takes all lists
that wait, writes them in one transaction, syncs once, and wakes the loop once (group commit): one
record costs a thread switch and one `fdatasync`, and under load many records share them.

    append ──► gathered ──flush──► queue ──► [BEGIN … COMMIT + fdatasync] ──► then(None | reason)
       │                             ▲          │ no room: give up the ballast, fail, be full
       │                             └── idle: forget, checkpoint, try to recover every second
       └─ patient: waits for the next operation, a few milliseconds at most

The loop touches no file: a disk that stands still for seconds, in writes or in syncs, holds the
thread alone. Rejected: writing in the loop and syncing in the thread. Measured with a record and a
value a commit, it takes as much processor time (0.10 ms in place of 0.12 ms) and as many wake-ups,
since the answer waits for the thread either way; but 0.06 ms of it would be the loop's, which is
what a busy agent is short of, and the loop stands still with every write: 43 ms at a checkpoint
beside other users of the disk, and as long as the disk pleases where it stalls.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from foreshore_agent.journal import tally
from foreshore_agent.journal.operations import Append, Call, Operation, reason_of
from foreshore_agent.journal.port import Then
from foreshore_agent.journal.room import Quotas
from foreshore_agent.journal.store import JournalFull, Store
from foreshore_agent.journal.tally import JournalEntry, JournalStatus, Values
from foreshore_api.reasons import agent
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record

_GROUP: Final = 256
"""Operations in one transaction, roughly: what was handed over together stays together."""
_BACKLOG: Final = 10_000
"""Operations that may wait for a slow disk; beyond, records are refused at once."""
_ANSWERS: Final = 32
"""Operations answered in one tick of the loop: behind a disk that stood still wait hundreds."""
_CHORE_ROUNDS: Final = 16
"""Under unbroken load, a slice of house-keeping comes after so many commits."""
_RETRY_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.005
"""How long what nobody waits for may wait for company: one sync less where decisions are dense.
With 0.1 s, at 100 decisions a second the record of one went with the intent of the next: a tenth
less processor time, and a tenth more until each command left. The command comes first."""
_LOG: Final = logging.getLogger(__name__)
_PREFIX: Final = "agent/"
"""Keys of the agent, apart from the journal's own."""
_DEFAULT_QUOTAS: Final = Quotas()


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Journal:
    """One agent's journal; made by `open`, used from one event loop."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop
        self._queue: queue.SimpleQueue[list[Operation] | None] = queue.SimpleQueue()
        self._standing = store.standing
        self._watchers: list[Callable[[JournalStatus], None]] = []
        self._gathered: list[Operation] = []
        self._is_due = False
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: set[Operation] = set()
        self._unanswered: deque[Operation] = deque()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._is_closed = False
        self.broken: Final[asyncio.Future[None]] = loop.create_future()
        """Ends, with the defect, when the thread has ended before it was told to."""
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        self.journal_id = store.journal_id
        """The UUID of this state directory's journal, made once."""

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        quotas: Quotas = _DEFAULT_QUOTAS,
        is_collected: bool = True,
        now: Callable[[], datetime] = _wall_clock,
        identity: str | None = None,
    ) -> Self:
        """Open the journal of a state directory, or make it.

        `is_collected` says whether a hub collects the records; without one both classes are rings.
        `now` is the engine's clock; it dates gap records. `identity` is the UUID of a journal that
        is made here; by default a random one.

        Raises:
            JournalInUse: another process has this directory.
            sqlite3.DatabaseError: the file is damaged.
            OSError: the directory cannot be written.
        """
        store = await asyncio.to_thread(
            Store, directory, quotas, now, is_collected=is_collected, identity=identity
        )
        return cls(store, asyncio.get_running_loop())

    @property
    def standing(self) -> JournalStatus:
        """Where the journal stands, as of the last commit."""
        return self._standing

    @property
    def full(self) -> bool:
        """Whether nothing may be commanded because it could not be recorded."""
        return self._standing.full

    def watch(self, changed: Callable[[JournalStatus], None]) -> None:
        """Call `changed` in the loop whenever the journal becomes full or has room again."""
        self._watchers.append(changed)

    def describe(self, source: str) -> None:
        """Name the CloudEvents source of the records that the journal writes itself."""
        self._store.source = source

    def append(
        self,
        entries: Sequence[JournalEntry],
        values: Values = (),
        *,
        is_patient: bool = False,
        then: Then | None = None,
    ) -> None:
        """Write records and values, all or none; `then` is called in the loop, later, once.

        It takes None when they are on disk, else the reason code of why they are not; they are then
        counted and named in a gap record. What `is_patient` may wait a few milliseconds for another
        operation to share its sync; the order of operations stays.

        Raises:
            ValueError: a body is longer than the hub takes.
        """
        is_urgent = True
        for entry in entries:
            entry.check()
            is_urgent = is_urgent and entry.reserve
        kept = [(_PREFIX + key, value) for key, value in values]
        self._take(Append(entries, kept, then, is_urgent), is_patient=is_patient)

    def lose(self, entries: Sequence[JournalEntry], reason: str) -> None:
        """Give records up that cannot be kept: they are counted and named in a gap record."""
        if not self._is_closed and not self.broken.done():
            self._refused.update(tally.losses(entries, reason))
            self._own_up()
            self._is_due = True
            self._loop.call_soon(self.flush)

    def put(self, key: str, value: bytes) -> None:
        """Keep one value, or forget it if it is empty; `standing` says when nothing can be kept."""
        self.append((), ((key, value),))

    def flush(self) -> None:
        """Hand what was gathered in this turn over, but for what is patient alone."""
        if self._is_due:
            self._hand_over()

    def keep(self, key: str, value: bytes) -> asyncio.Future[None]:
        """Keep one value, or forget it if it is empty; done once that is durable.

        The future raises JournalFull when it could not be kept.
        """
        return self._ask(lambda store: store.put(_PREFIX + key, value))

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        """Return a value that `put` kept, or None."""
        return self._ask(lambda store: store.get(_PREFIX + key))

    def values(self, prefix: str) -> asyncio.Future[dict[str, bytes]]:
        """Return every value that is kept under a key with this prefix, by its whole key."""

        def run(store: Store) -> dict[str, bytes]:
            kept = store.values(_PREFIX + prefix)
            return {key.removeprefix(_PREFIX): value for key, value in kept.items()}

        return self._ask(run)

    def after(
        self, sequence: int, limit: int = 500, size: int = record.MAXIMUM_BATCH_BYTES // 2
    ) -> asyncio.Future[tuple[record.ShippedRecord, ...]]:
        """Return records behind `sequence`: at most `limit`, about `size` bytes, at least one."""
        return self._ask(lambda store: store.after(sequence, limit, size))

    def newest(self, limit: int) -> asyncio.Future[tuple[record.ShippedRecord, ...]]:
        """Return the newest records, oldest first: what a restart rebuilds its state from."""
        return self._ask(lambda store: store.newest(limit))

    def acknowledge(self, sequence: int) -> asyncio.Future[None]:
        """Note that the hub has committed everything up to `sequence`."""
        return self._ask(lambda store: store.acknowledge(sequence))

    async def close(self) -> None:
        """Write what is queued, and let go of the directory."""
        if not self._is_closed:
            self._is_closed = True
            self._own_up()
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        while self._unanswered:  # noqa: ASYNC110 - answers are callbacks, they have no event
            await asyncio.sleep(0)

    def _ask(self, ask: Callable[[Store], Any]) -> asyncio.Future[Any]:
        call = Call(ask, self._loop.create_future())
        self._take(call)
        self._loop.call_soon(self.flush)
        return call.done

    def _take(self, operation: Operation, *, is_patient: bool = False) -> None:
        operation.error = self._refusal(operation)
        if operation.error is not None:
            self._loop.call_soon(operation.answer)
            return
        self._own_up()
        self._gather(operation)
        self._is_due = self._is_due or not is_patient
        if self._patience is None:
            self._patience = self._loop.call_later(_PATIENCE_SECONDS, self._hand_over)

    def _refusal(self, operation: Operation) -> JournalFull | None:
        if self._is_closed:
            return JournalFull(agent.RECORDER_FULL, "the journal is closed")
        if self.broken.done():
            return JournalFull(reasons.DISK_FAILING, "the journal is broken")
        if len(self._waiting) >= _BACKLOG and not operation.is_urgent:
            self._refused.update(tally.losses(operation.entries, reasons.DISK_SLOW))
            return JournalFull(reasons.DISK_SLOW, f"{len(self._waiting)} writes wait")
        return None

    def _gather(self, operation: Operation) -> None:
        self._waiting.add(operation)
        self._gathered.append(operation)

    def _hand_over(self) -> None:
        """Queue all that was gathered, what is patient too: the order of operations stays."""
        self._is_due = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _own_up(self) -> None:
        """Have what was never tried named in a gap record."""
        if self._refused:
            refused, self._refused = self._refused, Counter()
            done = self._loop.create_future()
            self._gather(Call(lambda store: store.count_lost(refused), done))

    # Everything below runs in the thread, but for `_deliver` and `_break`.

    def _work(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - logged, and told to the owner
            _LOG.exception("the journal's thread ends")
            with contextlib.suppress(RuntimeError):  # the loop may have ended before
                self._loop.call_soon_threadsafe(self._break, error)
        finally:
            self._store.close()

    def _serve(self) -> None:
        rounds = 0
        while (batch := self._next()) is not None:
            rounds += 1
            if batch:
                self._commit(batch)
                self._tell(batch)
            if not batch or rounds % _CHORE_ROUNDS == 0:
                self._keep_house()

    def _next(self) -> list[Operation] | None:
        """Wait for operations; an empty list when there is time for chores, None at the end."""
        batch: list[Operation] = []
        try:
            turn = self._queue.get(timeout=self._waits())
            while turn is not None:
                batch += turn
                if len(batch) >= _GROUP:
                    return batch
                turn = self._queue.get_nowait()
        except queue.Empty:
            return batch
        if batch:
            self._queue.put(None)  # the end comes after what was queued before it
        return batch or None

    def _waits(self) -> float | None:
        if self._store.is_failing:
            return _RETRY_SECONDS
        return 0.0 if self._store.has_chores else None

    def _commit(self, batch: list[Operation]) -> None:
        """Carry operations out; where only some can be written, those that may use the reserve."""
        try:
            self._attempt(batch)
        except JournalFull as error:
            full = error
        except Exception as error:  # noqa: BLE001 - logged; whoever waits must not wait for ever
            _LOG.exception("the journal could not carry out what was asked")
            _fail(batch, error)
            return
        else:
            return
        _fail([operation for operation in batch if not operation.is_urgent], full)
        urgent = [operation for operation in batch if operation.is_urgent]
        try:
            self._attempt(urgent)
        except JournalFull as error:
            _fail(urgent, error)

    def _attempt(self, batch: list[Operation]) -> None:
        with self._store.transaction():
            for operation in batch:
                operation.error = None
                try:
                    operation.run(self._store)
                except JournalFull as error:
                    operation.error = error

    def _keep_house(self) -> None:
        try:
            if self._store.is_failing:
                self._store.recover()
            elif self._store.has_chores:
                self._store.chore()
        except JournalFull as error:
            _LOG.warning("the journal could not tidy up: %s", error)
        self._tell([])

    def _tell(self, batch: list[Operation]) -> None:
        for operation in batch:
            if operation.error is not None and operation.entries:
                self._store.count_lost(tally.losses(operation.entries, reason_of(operation.error)))
        standing = self._store.standing
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, standing)
        except RuntimeError:
            _LOG.warning("the journal's loop ended before %d answers", len(batch))
        self._store.checkpoint()

    def _deliver(self, batch: list[Operation], standing: JournalStatus) -> None:
        before, self._standing = self._standing, standing
        self._waiting.difference_update(batch)
        self._answer(batch)
        if before.full != standing.full:
            for changed in self._watchers:
                changed(standing)

    def _answer(self, batch: Iterable[Operation]) -> None:
        """Answer operations in their order, not too many in one tick."""
        is_under_way = bool(self._unanswered)
        self._unanswered.extend(batch)
        if not is_under_way:
            self._answer_some()

    def _answer_some(self) -> None:
        """Answer the first; a defect of whoever asked leaves no other waiting."""
        for _ in range(min(_ANSWERS, len(self._unanswered))):
            try:
                self._unanswered[0].answer()
            except Exception as error:  # noqa: BLE001 - reported as that of any callback
                about = {"message": "a defect behind the journal", "exception": error}
                self._loop.call_exception_handler(about)
            self._unanswered.popleft()
        if self._unanswered:
            self._loop.call_soon(self._answer_some)

    def _break(self, error: Exception) -> None:
        """Nobody writes any more: fail whoever waits, be full, have the owner end the process."""
        self.broken.set_exception(error)
        self.broken.exception()  # it may be that nobody looks
        waiting, self._waiting = self._waiting, set()
        _fail(waiting, JournalFull(reasons.DISK_FAILING, "the journal is broken"))
        self._standing = self._standing._replace(full=True, reason=reasons.DISK_FAILING)
        self._answer(waiting)
        for changed in self._watchers:
            changed(self._standing)


def _fail(batch: Iterable[Operation], error: Exception) -> None:
    for operation in batch:
        operation.error = error
