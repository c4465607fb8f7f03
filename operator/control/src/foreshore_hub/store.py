"""Everything the hub must not forget: records, assignments, who was renewed last.

SQLite in WAL mode with `synchronous=FULL`, one writer at a time; the SQL is portable, so that a
PostgreSQL URL works as well. Opening migrates. A method returns only after its commit, because
agents forget what the hub acknowledges.
"""

import asyncio
import contextlib
import datetime
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pydantic
import sqlalchemy as sa
from alembic import command, config
from sqlalchemy.ext import asyncio as sa_asyncio

from foreshore_api.wire import assignment, record
from foreshore_hub import ingest, packed, renewals, tables

log = logging.getLogger(__name__)

PAGE: Final = 500
ASSIGNMENTS: Final = 16
"""Assignments that are read at once."""
CHUNK: Final = 2000
"""Records that are forgotten in one transaction."""
OUTCOMES: Final = 8
"""Outcomes that are shown of one decision, the newest; an agent writes three or four."""
ROUTINE: Final = (
    record.Verdict.NOT_TRIGGERED.value,
    record.Verdict.NOT_APPLICABLE.value,
    record.Verdict.SUPPRESSED.value,
)
"""Verdicts of decisions in which nothing was to be done."""


_LAST: Final = "zzzz"
"""After every character of an identity, in every collation."""


class StoreUnavailableError(Exception):
    """The store cannot be written: full, failing, or away."""


class ForeignJournalError(Exception):
    """The journal belongs to another node."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which decisions are asked for; None leaves a field open. Times: microseconds since 1970."""

    namespace: str | None = None
    decision: str | None = None
    beginning: str | None = None
    """Of the decision's identity."""
    device: str | None = None
    policy: str | None = None
    verdict: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One stored decision with the last `OUTCOMES` of what was learnt later, oldest first."""

    id: int
    time: int
    namespace: str
    decision: str
    journal: str
    sequence: int
    hash: str
    is_intact: bool
    body: str
    outcomes: tuple[str, ...]


DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


def _wall_clock() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class RecordStore:
    """The record store. Use `open` and `close`, or the class as an async context manager."""

    def __init__(self, url: str, now: Callable[[], datetime.datetime] = _wall_clock) -> None:
        self._now: Final = now
        self._engine: Final = sa_asyncio.create_async_engine(_asynchronous(url))
        self._writing: Final = asyncio.Lock()
        self.lineage = ""
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine.sync_engine, "connect", _prepare)

    @property
    def driver(self) -> str:
        """The database driver in use."""
        return self._engine.dialect.driver

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Bring the tables to this release's shape and read who this store is."""
        async with self._engine.begin() as connection:
            await connection.run_sync(migrate)
            lineage = await connection.scalar(sa.select(tables.identity.c.lineage))
            if lineage is None:
                lineage = str(uuid.uuid4())
                await connection.execute(tables.identity.insert().values(id=1, lineage=lineage))
        self.lineage = lineage

    async def close(self) -> None:
        """Drop the connections."""
        await self._engine.dispose()

    async def is_ready(self) -> bool:
        """Whether the store answers."""
        try:
            async with self._engine.connect() as connection:
                return await connection.scalar(sa.select(1)) == 1
        except (sa.exc.SQLAlchemyError, OSError):
            return False

    async def append(self, node: str, batch: record.Batch) -> tuple[int, int, int]:
        """Commit a batch; returns what is acknowledged now, how many records are new, and flaws.

        Raises:
            ForeignJournalError: another node came first with this journal.
            ingest.ForkedError, ValueError: see `ingest.examine`.
            UnavailableError: nothing was committed.
        """
        async with self._write() as connection:
            head = await _head(connection, node, batch.journal)
            hashes = await _known(connection, batch)
            namespaces = await connection.scalars(
                sa.select(tables.reaches.c.namespace).where(tables.reaches.c.node == node)
            )
            writer = ingest.JournalWriter(node, frozenset(namespaces))
            examined = ingest.examine(batch, head, hashes, writer)
            flaws = examined.flaws
            if examined.rows:
                arrived = ingest.micros(self._now())
                await connection.execute(
                    tables.records.insert(),
                    [_row(batch.journal, row, arrived) for row in examined.rows],
                )
                unstated = await _believe(connection, batch.journal, examined)
                if examined.is_all:
                    flaws, unstated = flaws + unstated, 0
                await connection.execute(
                    tables.journals.update()
                    .where(tables.journals.c.journal == batch.journal)
                    .values(
                        acknowledged=examined.head.acknowledged,
                        head=examined.head.hash,
                        flaws=tables.journals.c.flaws + flaws,
                        unstated=unstated,
                    )
                )
        return examined.head.acknowledged, len(examined.rows), flaws

    async def find(
        self, selection: Selection, *, limit: int = PAGE, before: tuple[int, int] | None = None
    ) -> tuple[StoredDecision, ...]:
        """Return decisions with outcomes, newest first; `before` is (time, id) of the last seen."""
        columns = tables.records.c
        query = (
            sa.select(tables.records)
            .where(*_conditions(selection))
            .order_by(columns.time.desc(), columns.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(sa.tuple_(columns.time, columns.id) < sa.tuple_(*before))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
            outcomes = await _outcomes(connection, rows)
        return tuple(_found(row, outcomes) for row in rows)

    async def prune(self, *, before: int, most: int) -> int:
        """Forget records from before a time (microseconds), and the oldest beyond `most`.

        Routine decisions go first, so that what was commanded stays longest. What was acknowledged
        stays acknowledged. At most `CHUNK` go in one transaction; returns how many went.
        """
        columns = tables.records.c
        async with self._write() as connection:
            count = await connection.scalar(sa.select(sa.func.count()).select_from(tables.records))
            surplus = min(CHUNK, max(0, (count or 0) - most))
            old = sa.select(columns.id).where(columns.time < before).order_by(columns.id)
            gone = list(await connection.scalars(old.limit(CHUNK)))
            for routine in (True, False):
                room = surplus - len(gone)
                if room > 0:
                    oldest = sa.select(columns.id).where(columns.id.not_in(gone))
                    if routine:
                        oldest = oldest.where(columns.verdict.in_(ROUTINE))
                    gone += await connection.scalars(oldest.order_by(columns.id).limit(room))
            if gone:
                await connection.execute(tables.records.delete().where(columns.id.in_(gone)))
        return len(gone)

    async def assignments(self) -> Mapping[str, packed.PackedAssignment]:
        """Return the newest assignment of every node, but for what is not understood any more.

        A few are decoded at a time: all of a large fleet at once are 1 GB.
        """
        newest: dict[str, packed.PackedAssignment] = {}
        query = sa.select(tables.assignments).execution_options(yield_per=ASSIGNMENTS)
        async with self._engine.connect() as connection:
            async for row in (await connection.stream(query)).mappings():
                try:
                    document = assignment.Assignment.decode(row["body"])
                except pydantic.ValidationError as error:
                    why = error.errors(include_input=False)[0]["msg"]
                    log.warning("the assignment kept for %s is compiled anew before it is served:"
                                " %s", row["node"], why)  # fmt: skip
                else:
                    newest[row["node"]] = packed.PackedAssignment.of(document)
        return newest

    async def generation(self, node: str) -> int:
        """Return the newest generation ever counted for a node; 0 for none."""
        columns = tables.assignments.c
        async with self._engine.connect() as connection:
            generation = await connection.scalar(
                sa.select(columns.generation).where(columns.node == node)
            )
        return int(generation or 0)

    async def assign(self, kept: packed.PackedAssignment) -> None:
        """Keep a counted assignment as its node's newest, and where its records may belong."""
        table = tables.assignments
        values = {
            "generation": kept.generation,
            "digest": kept.digest,
            "body": kept.json().decode(),
        }
        async with self._write() as connection:
            done = await connection.execute(
                table.update().where(table.c.node == kept.node).values(values)
            )
            if done.rowcount == 0:
                await connection.execute(table.insert().values(node=kept.node, **values))
            if kept.site is not None:
                await _reach(connection, kept.node, kept.site.namespace)

    async def last_renewals(self) -> Mapping[renewals.Device, renewals.RenewedHolder]:
        """Return whom a hub on this store renewed last; when is not known, which counts as now."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(sa.select(tables.renewals))).mappings().all()
        return {
            (row["namespace"], row["device"]): renewals.RenewedHolder(
                epoch=row["epoch"], holder=row["holder"], lease_seconds=row["lease_seconds"]
            )
            for row in rows
        }

    async def renew(self, changed: Mapping[renewals.Device, renewals.RenewedHolder]) -> None:
        """Keep whom the hub is about to renew."""
        if not changed:
            return
        table = tables.renewals
        async with self._write() as connection:
            for (namespace, device), renewed in sorted(changed.items()):
                await connection.execute(
                    table.delete().where(table.c.namespace == namespace, table.c.device == device)
                )
                await connection.execute(
                    table.insert().values(
                        namespace=namespace,
                        device=device,
                        epoch=renewed.epoch,
                        holder=renewed.holder,
                        lease_seconds=renewed.lease_seconds,
                    )
                )

    async def forget_renewals(self, devices: Collection[renewals.Device]) -> None:
        """Drop whom the hub renewed last for devices that are gone."""
        if not devices:
            return
        columns = tables.renewals.c
        async with self._write() as connection:
            for namespace, device in sorted(devices):
                await connection.execute(
                    tables.renewals.delete().where(
                        columns.namespace == namespace, columns.device == device
                    )
                )

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[sa_asyncio.AsyncConnection]:
        """One transaction, one at a time; committed at the end or not at all."""
        try:
            async with self._writing, self._engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise StoreUnavailableError(type(error).__name__) from error


def _asynchronous(url: str) -> sa.URL:
    """Take the URL that people write (`sqlite:////path`) to the driver that does not block."""
    made = sa.make_url(url)
    driver = DRIVERS.get(made.drivername)
    return made if driver is None else made.set(drivername=driver)


def _prepare(connection: Any, _: Any) -> None:
    """Make SQLite keep what it acknowledged, also when the power goes."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def migrate(connection: sa.Connection) -> None:
    """Bring the tables to this release's shape; the caller ends the transaction."""
    settings = config.Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


async def _head(
    connection: sa_asyncio.AsyncConnection, node: str, journal: str
) -> ingest.CommittedHead:
    """Return how far a journal is, bound to this node from its first use on."""
    table = tables.journals
    row = (
        (await connection.execute(sa.select(table).where(table.c.journal == journal)))
        .mappings()
        .one_or_none()
    )
    if row is None:
        head = ingest.CommittedHead()
        await connection.execute(
            table.insert().values(
                journal=journal, node=node, acknowledged=0, head=head.hash, flaws=0
            )
        )
        return head
    if row["node"] != node:
        raise ForeignJournalError(f"journal {journal} belongs to another node")
    return ingest.CommittedHead(row["acknowledged"], row["head"])


async def _known(connection: sa_asyncio.AsyncConnection, batch: record.Batch) -> Mapping[int, str]:
    columns = tables.records.c
    numbers = [shipped.sequence for shipped in batch.records]
    rows = await connection.execute(
        sa.select(columns.sequence, columns.hash).where(
            columns.journal == batch.journal, columns.sequence.in_(numbers)
        )
    )
    return {row.sequence: row.hash for row in rows}


async def _believe(
    connection: sa_asyncio.AsyncConnection, journal: str, examined: ingest.Examined
) -> int:
    """Take earlier records for intact whose bodies gave way, as their journal has now said.

    Only where the link fits as well: no statement mends a chain. Returns how many bodies are gone
    and not stated yet, those of this batch included.
    """
    columns = tables.journals.c
    unstated = sa.select(columns.unstated).where(columns.journal == journal)
    earlier = int(await connection.scalar(unstated) or 0)
    row, before = tables.records, tables.records.alias("before")
    follows = (
        sa.select(before.c.id)
        .where(
            before.c.journal == row.c.journal,
            before.c.sequence == row.c.sequence - 1,
            before.c.hash == row.c.previous,
        )
        .exists()
    )
    is_first = sa.and_(row.c.sequence == 1, row.c.previous == ingest.GENESIS)
    for first, last in examined.emptied:
        if not earlier:
            break
        done = await connection.execute(
            row.update()
            .where(
                row.c.journal == journal,
                row.c.sequence.between(first, last),
                row.c.body == "",
                row.c.is_intact.is_(False),
                sa.or_(is_first, follows),
            )
            .values(is_intact=True)
        )
        earlier = max(0, earlier - done.rowcount)
    return earlier + examined.unstated


async def _reach(connection: sa_asyncio.AsyncConnection, node: str, namespace: str) -> None:
    table = tables.reaches
    same = (table.c.node == node, table.c.namespace == namespace)
    if await connection.scalar(sa.select(sa.func.count()).select_from(table).where(*same)) == 0:
        await connection.execute(table.insert().values(node=node, namespace=namespace))


Named = tuple[str, str, str]
"""(journal, namespace, decision): whoever decided says what became of it, and nobody else."""


async def _outcomes(
    connection: sa_asyncio.AsyncConnection, rows: Sequence[Mapping[Any, Any]]
) -> Mapping[Named, tuple[str, ...]]:
    """Return the bodies of the newest outcomes of these decisions, oldest first."""
    wanted = sorted({_named(row) for row in rows})
    if not wanted:
        return {}
    columns = tables.records.c
    named = (columns.journal, columns.namespace, columns.decision)
    place = sa.func.row_number().over(partition_by=named, order_by=columns.id.desc())
    ranked = (
        sa.select(columns.id, place.label("place"))
        .where(
            columns.decision.in_([decision for _, _, decision in wanted]),  # has an index
            sa.tuple_(*named).in_(wanted),
            columns.type == record.OUTCOME,
        )
        .subquery()
    )
    query = (
        sa.select(*named, columns.body)
        .join(ranked, ranked.c.id == columns.id)
        .where(ranked.c.place <= OUTCOMES)
        .order_by(columns.id)
    )
    outcomes: dict[Named, tuple[str, ...]] = {}
    for row in (await connection.execute(query)).mappings():
        outcomes[_named(row)] = (*outcomes.get(_named(row), ()), row["body"])
    return outcomes


def _named(row: Mapping[Any, Any]) -> Named:
    return row["journal"], row["namespace"], row["decision"]


def _row(journal: str, row: ingest.ExaminedRecord, arrived: int) -> dict[str, Any]:
    """Return the row of a record; one that tells no time is as old as it is here.

    Else what is evidence, because nobody can read it, would be the first to be pruned.
    """
    shipped, described = row.shipped, row.described
    return {
        "journal": journal,
        "sequence": shipped.sequence,
        "previous": shipped.previous,
        "hash": shipped.hash,
        "is_intact": row.is_intact,
        "body": shipped.body,
        "type": described.type,
        "time": described.time or arrived,
        "namespace": described.namespace,
        "decision": described.decision,
        "device": described.device,
        "policy": described.policy,
        "verdict": described.verdict,
    }


def _conditions(selection: Selection) -> list[sa.ColumnElement[bool]]:
    columns = tables.records.c
    equal = {
        columns.namespace: selection.namespace,
        columns.decision: selection.decision,
        columns.device: selection.device,
        columns.policy: selection.policy,
        columns.verdict: selection.verdict,
    }
    asked = [
        columns.type == record.DECISION,
        columns.decision.is_not(None),
        columns.namespace != "",
    ]
    asked += [column == value for column, value in equal.items() if value is not None]
    if selection.beginning is not None:
        asked += [
            columns.decision.between(selection.beginning, selection.beginning + _LAST),  # the index
            columns.decision.startswith(selection.beginning, autoescape=True),
        ]
    if selection.since is not None:
        asked.append(columns.time >= selection.since)
    if selection.until is not None:
        asked.append(columns.time <= selection.until)
    return asked


def _found(row: Mapping[Any, Any], outcomes: Mapping[Named, tuple[str, ...]]) -> StoredDecision:
    return StoredDecision(
        id=row["id"],
        time=row["time"],
        namespace=row["namespace"],
        decision=row["decision"],
        journal=row["journal"],
        sequence=row["sequence"],
        hash=row["hash"],
        is_intact=row["is_intact"],
        body=row["body"],
        outcomes=outcomes.get(_named(row), ()),
    )
