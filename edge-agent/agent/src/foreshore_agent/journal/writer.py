"""The journal's only thread, and the way to it from asyncio.

Callers queue operations and wait for futures. The thread takes all that is queued, writes it in one
transaction, syncs once, and wakes the loop once (group commit): one record costs a thread switch
and one `fdatasync`, and under load many records share them.

    append ──► queue ──► [BEGIN … COMMIT + fdatasync] ──► futures
       │         ▲            │ no room: give up the ballast, fail, be full
       │         └── idle: forget, checkpoint, try to recover every second
       └─ patient: waits for the next operation, a few milliseconds at most
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from foreshore_agent.journal.room import Quotas
from foreshore_agent.journal.store import JournalFull, Store
from foreshore_agent.journal.tally import JournalEntry, JournalStatus, Values
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record

_GROUP: Final = 256
"""Operations in one transaction."""
_BACKLOG: Final = 10_000
"""Operations that may wait for a slow disk; beyond, records are refused at once."""
_CHORE_ROUNDS: Final = 16
"""Under unbroken load, a slice of house-keeping comes after so many commits."""
_RETRY_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.005
"""How long what nobody waits for may wait for company: one sync less where decisions are dense."""
_LOG: Final = logging.getLogger(__name__)
_PREFIX: Final = "agent/"
"""Keys of the agent, apart from the journal's own."""
_DEFAULT_QUOTAS: Final = Quotas()

_Answer = tuple["_Operation", Any]
"""An operation and its result, or the exception that its caller gets."""


@dataclass(frozen=True, slots=True)
class _Operation:
    run: Callable[[Store], Any]
    done: asyncio.Future[Any]
    entries: tuple[JournalEntry, ...] = ()
    is_urgent: bool = False
    """Whether it may use the room that the ballast leaves."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Journal:
    """One agent's journal; made by `open`, used from one event loop."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._standing = store.standing
        self._watchers: list[Callable[[JournalStatus], None]] = []
        self._waiting: set[asyncio.Future[Any]] = set()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._patient: list[_Operation] = []
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
        self, entries: Sequence[JournalEntry], values: Values = (), *, is_patient: bool = False
    ) -> asyncio.Future[tuple[int, ...]]:
        """Write records and values, all or none; once on disk, give the records' numbers.

        What `is_patient` may wait a few milliseconds for another operation to share its sync; the
        order of operations stays.

        The future raises JournalFull when they were not written; they are then counted and named in
        a gap record.

        Raises:
            ValueError: a body is longer than the hub takes.
        """
        batch = tuple(entries)
        for entry in batch:
            entry.check()
        kept = tuple((_PREFIX + key, value) for key, value in values)
        return self._submit(
            lambda store: store.append(batch, kept),
            entries=batch,
            is_urgent=all(entry.reserve for entry in batch),
            is_patient=is_patient,
        )

    def lose(self, entries: Sequence[JournalEntry], reason: str) -> None:
        """Give records up that cannot be kept: they are counted and named in a gap record."""
        if not self._is_closed and not self.broken.done():
            self._refused.update((entry.verdict, reason) for entry in entries)
            self._own_up()

    def put(self, key: str, value: bytes) -> asyncio.Future[None]:
        """Keep one value durably, or forget it if it is empty."""
        return self._submit(lambda store: store.put(_PREFIX + key, value), is_urgent=True)

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        """Return a value that `put` kept, or None."""
        return self._submit(lambda store: store.get(_PREFIX + key), is_urgent=True)

    def values(self, prefix: str) -> asyncio.Future[dict[str, bytes]]:
        """Return every value that is kept under a key with this prefix, by its whole key."""

        def run(store: Store) -> dict[str, bytes]:
            kept = store.values(_PREFIX + prefix)
            return {key.removeprefix(_PREFIX): value for key, value in kept.items()}

        return self._submit(run, is_urgent=True)

    def after(
        self, sequence: int, limit: int = 500, size: int = record.MAXIMUM_BATCH_BYTES // 2
    ) -> asyncio.Future[tuple[record.ShippedRecord, ...]]:
        """Return records behind `sequence`: at most `limit`, about `size` bytes, at least one."""
        return self._submit(lambda store: store.after(sequence, limit, size), is_urgent=True)

    def newest(self, limit: int) -> asyncio.Future[tuple[record.ShippedRecord, ...]]:
        """Return the newest records, oldest first: what a restart rebuilds its state from."""
        return self._submit(lambda store: store.newest(limit), is_urgent=True)

    def acknowledge(self, sequence: int) -> asyncio.Future[None]:
        """Note that the hub has committed everything up to `sequence`."""
        return self._submit(lambda store: store.acknowledge(sequence), is_urgent=True)

    async def close(self) -> None:
        """Write what is queued, and let go of the directory."""
        if not self._is_closed:
            self._is_closed = True
            self._hurry()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _submit(
        self,
        run: Callable[[Store], Any],
        *,
        entries: tuple[JournalEntry, ...] = (),
        is_urgent: bool = False,
        is_patient: bool = False,
    ) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = self._loop.create_future()
        if self._is_closed:
            done.set_exception(JournalFull("the journal is closed"))
        elif self.broken.done():
            done.set_exception(JournalFull("the journal is broken"))
        elif len(self._waiting) >= _BACKLOG and not is_urgent:
            self._refused.update((entry.verdict, reasons.DISK_SLOW) for entry in entries)
            done.set_exception(JournalFull(f"the disk is slow: {len(self._waiting)} writes wait"))
        else:
            self._waiting.add(done)
            operation = _Operation(run, done, entries, is_urgent)
            if is_patient:
                self._wait_with(operation)
            else:
                self._hurry()
                self._queue.put(operation)
            self._own_up()
        return done

    def _wait_with(self, operation: _Operation) -> None:
        if not self._patient:
            self._loop.call_later(_PATIENCE_SECONDS, self._hurry)
        self._patient.append(operation)

    def _hurry(self) -> None:
        """Queue what has been patient; the order of operations stays."""
        for operation in self._patient:
            self._queue.put(operation)
        self._patient.clear()

    def _own_up(self) -> None:
        """Have what was never tried named in a gap record."""
        if self._refused:
            refused, self._refused = self._refused, Counter()
            done: asyncio.Future[Any] = self._loop.create_future()
            self._waiting.add(done)
            self._queue.put(
                _Operation(lambda store: store.count_refused(refused), done, is_urgent=True)
            )

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
                self._tell(self._commit(batch))
            if not batch or rounds % _CHORE_ROUNDS == 0:
                self._keep_house()

    def _next(self) -> list[_Operation] | None:
        """Wait for operations; an empty list when there is time for chores, None at the end."""
        batch: list[_Operation] = []
        try:
            operation = self._queue.get(timeout=self._patience())
            while operation is not None:
                batch.append(operation)
                if len(batch) == _GROUP:
                    return batch
                operation = self._queue.get_nowait()
        except queue.Empty:
            return batch
        if batch:
            self._queue.put(None)  # the end comes after what was queued before it
        return batch or None

    def _patience(self) -> float | None:
        if self._store.is_failing:
            return _RETRY_SECONDS
        return 0.0 if self._store.has_chores else None

    def _commit(self, batch: list[_Operation]) -> list[_Answer]:
        try:
            return self._attempt(batch)
        except JournalFull as error:
            full = error
        except Exception as error:  # noqa: BLE001 - logged; whoever waits must not wait for ever
            _LOG.exception("the journal could not carry out what was asked")
            return [(operation, error) for operation in batch]
        refused = [(operation, full) for operation in batch if not operation.is_urgent]
        urgent = [operation for operation in batch if operation.is_urgent]
        try:
            return refused + self._attempt(urgent)
        except JournalFull as error:
            return refused + [(operation, error) for operation in urgent]

    def _attempt(self, batch: list[_Operation]) -> list[_Answer]:
        answers: list[_Answer] = []
        with self._store.transaction():
            for operation in batch:
                try:
                    answers.append((operation, operation.run(self._store)))
                except JournalFull as error:
                    answers.append((operation, error))
        return answers

    def _keep_house(self) -> None:
        try:
            if self._store.is_failing:
                self._store.recover()
            elif self._store.has_chores:
                self._store.chore()
        except JournalFull as error:
            _LOG.warning("the journal could not tidy up: %s", error)
        self._tell([])

    def _tell(self, answers: list[_Answer]) -> None:
        for operation, value in answers:
            if isinstance(value, JournalFull) and operation.entries:
                self._store.count_lost(operation.entries)
        standing = self._store.standing
        try:
            self._loop.call_soon_threadsafe(self._deliver, answers, standing)
        except RuntimeError:
            _LOG.warning("the journal's loop ended before %d answers", len(answers))
        self._store.checkpoint()

    def _deliver(self, answers: list[_Answer], standing: JournalStatus) -> None:
        before, self._standing = self._standing, standing
        for operation, value in answers:
            self._waiting.discard(operation.done)
            if operation.done.done():
                continue
            if isinstance(value, Exception):
                operation.done.set_exception(value)
            else:
                operation.done.set_result(value)
        if before.full != standing.full:
            for changed in self._watchers:
                changed(standing)

    def _break(self, error: Exception) -> None:
        """Nobody writes any more: fail whoever waits, be full, have the owner end the process."""
        self.broken.set_exception(error)
        self.broken.exception()  # it may be that nobody looks
        waiting, self._waiting = self._waiting, set()
        for done in waiting:
            if not done.done():
                done.set_exception(JournalFull("the journal is broken"))
        self._standing = replace(self._standing, full=True, reason=reasons.DISK_FAILING)
        for changed in self._watchers:
            changed(self._standing)
