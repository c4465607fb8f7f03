"""What to do with a batch of records, decided without touching the store.

The store calls `examine` inside the transaction that commits the result. Nothing an agent sends can
block its journal: a body that nobody understands is kept as it is, a link that does not fit is kept
and flagged, because a record that is evidence of tampering must not be the one that is thrown away.
Only a fork is refused: the same sequence number with other bytes means that the agent's state was
copied or restored, and what it would overwrite was promised to be kept.

A body that is empty counts as intact only when a gap record of the same chain says that it gave
way; that record comes later, often in a later batch. Its agent wrote it in the transaction that
took the body, so once a batch reaches the newest number of its journal, it has come, and a body
that is still not stated is a flaw:

    empty, not stated ──► unstated ──gap record──► intact
                             └──the batch reaches `last`──► flaw

A hole between batches is never intact: either this store lacks what it once acknowledged, or the
journal was cut, which its own record says.
"""

import bisect
import contextlib
import datetime
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import pydantic

from foreshore_api.wire import record
from foreshore_decision import record as record_chain
from foreshore_hub import guard

GENESIS: Final = "sha256:" + "0" * 64
EMPTIED: Final = "Emptied"
"""Kind of hole, in a gap record, whose rows are there without bodies."""
UNREADABLE: Final = "unreadable"
"""Type of a record whose body is no event that this hub knows the shape of."""
MAXIMUM_NODE: Final = 253
MAXIMUM_DEPTH: Final = 32
"""Brackets within brackets: what nests deeper is shown to nobody, as it might not be written."""
RANGES: Final = record.MAXIMUM_BATCH_BYTES // 32
"""Stated ranges that count of one batch: more than an agent's half-full batch has room for."""
_NAME: Final = 63


class ForkedError(Exception):
    """The journal holds other bytes under a number that was acknowledged."""


@dataclass(frozen=True, slots=True)
class CommittedHead:
    """How far a journal is committed, and the hash its next record must follow."""

    acknowledged: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Described:
    """What people look for in a record; `time` is microseconds since 1970."""

    type: str = UNREADABLE
    time: int = 0
    namespace: str = ""
    decision: str | None = None
    device: str | None = None
    policy: str | None = None
    verdict: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class JournalWriter:
    """The node that ships a journal, and the namespaces it was ever given devices of."""

    node: str
    namespaces: frozenset[str]


@dataclass(frozen=True, slots=True)
class ExaminedRecord:
    """One record to be committed."""

    shipped: record.ShippedRecord
    described: Described
    is_intact: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """What a batch adds to a journal."""

    rows: tuple[ExaminedRecord, ...]
    head: CommittedHead
    flaws: int
    unstated: int = 0
    """Records of the batch whose body is gone and that no record of the batch states."""
    emptied: tuple[record.Range, ...] = ()
    """Numbers whose bodies gave way, as intact records of the batch say: in order, merged."""
    is_all: bool = False
    """Whether this was the journal's newest: what is not stated by now never will be."""


def examine(
    batch: record.Batch, head: CommittedHead, hashes: Mapping[int, str], writer: JournalWriter
) -> Examined:
    """Return what is new in a batch.

    A batch that starts behind the next expected number is taken: the agent only forgets what a hub
    has acknowledged, so a store that was restored from a copy is what lacks it. It counts as a
    flaw.

    Args:
        batch: records in sequence, without holes.
        head: how far the journal is committed.
        hashes: those of committed records by sequence, at least that of the newest in the batch.
        writer: whose journal it is. A record about another namespace, or in another node's name, is
            kept without namespace, so that nobody is shown it as a fact.

    Raises:
        ForkedError: a committed number comes with another hash.
        ValueError: the numbers have holes.
    """
    rows: list[ExaminedRecord] = []
    flaws = 0
    for position, shipped in enumerate(batch.records):
        if shipped.sequence != batch.records[0].sequence + position:
            raise ValueError(f"sequence {shipped.sequence} does not follow its predecessor")
        if shipped.sequence <= head.acknowledged:
            is_newest = shipped.sequence == head.acknowledged  # known even when it was forgotten
            committed = head.hash if is_newest else hashes.get(shipped.sequence, shipped.hash)
            if committed != shipped.hash:
                raise ForkedError(f"sequence {shipped.sequence} was committed with another hash")
            continue
        follows = shipped.sequence == head.acknowledged + 1 and shipped.previous == head.hash
        is_intact = follows and _is_whole(shipped)
        flaws += not is_intact
        rows.append(ExaminedRecord(shipped, _attributed(describe(shipped.body), writer), is_intact))
        head = CommittedHead(shipped.sequence, shipped.hash)
    emptied = _emptied(rows)
    believed = tuple(_believed(row, emptied) for row in rows)
    unstated = sum(row.is_intact for row in rows) - sum(row.is_intact for row in believed)
    is_all = 0 < batch.last <= head.acknowledged
    return Examined(believed, head, flaws, unstated, emptied, is_all)


def _emptied(rows: Sequence[ExaminedRecord]) -> tuple[record.Range, ...]:
    """Return the ranges that the batch's gap records name as emptied, a bounded number."""
    ranges: list[record.Range] = []
    for row in rows:
        if row.is_intact and row.described.type == record.GAP:
            with contextlib.suppress(pydantic.ValidationError):
                gap = record.Event.decode(row.shipped.body).data
                ranges += gap.ranges.get(EMPTIED, ()) if isinstance(gap, record.Gap) else ()
    merged: list[record.Range] = []
    for first, last in sorted(ranges)[:RANGES]:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _believed(row: ExaminedRecord, emptied: Sequence[record.Range]) -> ExaminedRecord:
    """Take an empty body for intact only where it is stated."""
    if row.shipped.body or not row.is_intact:
        return row
    number = row.shipped.sequence
    position = bisect.bisect_right(emptied, number, key=operator.itemgetter(0)) - 1
    return replace(row, is_intact=position >= 0 and number <= emptied[position][1])


def describe(body: str) -> Described:
    """Return what is searched for; anything that is not as expected stays empty."""
    try:
        if guard.depth(body.encode()) > MAXIMUM_DEPTH:
            return Described()
        event = orjson.loads(body)
        data = event["data"]
        moment = _aware(datetime.datetime.fromisoformat(event["time"]))
        verdict = data.get("verdict") if isinstance(data.get("verdict"), dict) else {}
        device, policy = data.get("device"), data.get("policy")
        return Described(
            type=_text(event["type"], 64) or UNREADABLE,
            time=micros(moment.astimezone(datetime.UTC)),  # OverflowError: no year that is shown
            namespace=_text(_field(device, "namespace")) or "",
            decision=_text(data.get("decisionId")),
            device=_text(_field(device, "name")),
            policy=_text(_field(policy, "name")),
            verdict=_text(verdict.get("result")),
            node=_text(data.get("node"), MAXIMUM_NODE),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return Described()


def micros(moment: datetime.datetime) -> int:
    """Return microseconds since 1970 of an aware datetime; one without a zone counts as UTC."""
    return round(_aware(moment).timestamp() * 1_000_000)


def _aware(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)


def _is_whole(shipped: record.ShippedRecord) -> bool:
    """Whether the bytes give the hash; a body that the agent dropped for want of room is empty."""
    return (
        not shipped.body
        or record_chain.link(shipped.previous, shipped.body.encode()) == shipped.hash
    )


def _attributed(described: Described, writer: JournalWriter) -> Described:
    """Believe a record about what its writer may write about, in its own name.

    One that names no device belongs to no namespace, and so to no decision either.
    """
    if described.node in (None, writer.node) and described.namespace in writer.namespaces:
        return described
    return Described(type=described.type, time=described.time)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: Any, most: int = _NAME) -> str | None:
    """Return a text that can be searched for: not every store keeps what cannot be printed."""
    is_short = isinstance(value, str) and 0 < len(value) <= most
    return value if is_short and value.isprintable() else None
