"""What is missing in a journal on purpose, exactly, and one digest over all of it.

A record is removed when the hub has it or when a ring is full, and loses its body when it gives way
before the hub has it. Each such place is a row of the table `hole`: a range of numbers, the hash in
front of it and the hash at its end, so that the chain goes on across it. Ranges that touch are
merged, so there are never more of them than records that stayed.

    rows go ──► runs ──punch──► hole table ──Total──► digest in a chained record (`wire.record.Gap`)

Each change of the table writes one chained record with the ranges that this change added and the
digest of the **whole** table after it, in the same transaction. So the newest such record vouches
for every hole, and older ones may be forgotten like any other record. Rejected: statements that
must all be kept, merged and written again, because retention leaves thousands of scattered
survivors and a record holds 64 KiB; and a hash over the sorted table, because each slice of
house-keeping would read all of it.

The digest is an additive multiset hash: the sum of one 2048-bit number a hole, modulo 2^2048
(AdHash; Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997). A hole is added
or taken away in constant time and in any order. The width answers Wagner's generalised birthday
attack (2002), which makes shorter sums unsafe. Everything here is pure.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Self

from foreshore_agent.journal import chain

_BYTES: Final = 256
_MODULUS: Final = 1 << (8 * _BYTES)


class HoleKind(StrEnum):
    """Why a place in the chain is not whole."""

    REMOVED = "Removed"
    """The record is gone, on purpose."""
    EMPTIED = "Emptied"
    """The record's body gave way before the hub had it; its number and links are there."""
    CUT = "Cut"
    """The record was lost or taken away behind the journal's back: noticed when it was opened."""
    DOUBTED = "Doubted"
    """The record is there, and was not what the head said when the journal was opened."""


MISSING: Final = (HoleKind.REMOVED, HoleKind.CUT)
"""Kinds of holes without rows. The others lie over rows."""


class Hole(NamedTuple):
    """A range of numbers of one kind; `previous` is the hash in front of it, `hash` its last."""

    first: int
    last: int
    previous: str
    hash: str
    kind: str


class Place(NamedTuple):
    """Where a record stands in the chain."""

    sequence: int
    previous: str
    hash: str


def runs(places: Iterable[Place], kind: HoleKind) -> Iterator[Hole]:
    """Merge consecutive places into ranges; they come in the order of their numbers."""
    run: Hole | None = None
    for sequence, previous, digest in places:
        if run is not None and run.last + 1 == sequence:
            run = run._replace(last=sequence, hash=digest)
            continue
        if run is not None:
            yield run
        run = Hole(sequence, sequence, previous, digest, kind)
    if run is not None:
        yield run


def punch(fresh: Hole, near: Iterable[Hole]) -> tuple[tuple[Hole, ...], tuple[Hole, ...]]:
    """Return which holes go and which come, so that `fresh` is in the table.

    `near` are holes that touch or overlap it, and no others. Neighbours of its kind become one with
    it; of another kind, what it covers ends there: records that were emptied are removed later.
    """
    gone: list[Hole] = []
    rest: list[Hole] = []
    for hole in near:
        if hole.kind != fresh.kind:
            if hole.last < fresh.first or fresh.last < hole.first:
                continue
            if hole.first < fresh.first:
                rest.append(hole._replace(last=fresh.first - 1, hash=fresh.previous))
            if hole.last > fresh.last:
                rest.append(hole._replace(first=fresh.last + 1, previous=fresh.hash))
        else:
            start, end = min(hole, fresh), max(hole, fresh, key=lambda either: either.last)
            fresh = start._replace(last=end.last, hash=end.hash)
        gone.append(hole)
    return tuple(gone), (*rest, fresh)


@dataclass(frozen=True, slots=True)
class Total:
    """The multiset hash over a table of holes, and how many they are."""

    count: int = 0
    value: int = 0

    @classmethod
    def of(cls, table: Iterable[Hole]) -> Self:
        """Add all holes of a table up."""
        total = cls()
        for hole in table:
            total = total.plus(hole)
        return total

    def plus(self, hole: Hole) -> Self:
        """Add a hole."""
        return type(self)(self.count + 1, (self.value + _lift(hole)) % _MODULUS)

    def minus(self, hole: Hole) -> Self:
        """Take a hole away."""
        return type(self)(self.count - 1, (self.value - _lift(hole)) % _MODULUS)

    @property
    def digest(self) -> str:
        """What a chained record says of the table."""
        text = b"%d:" % self.count + self.value.to_bytes(_BYTES)
        return "sha256:" + hashlib.sha256(text).hexdigest()

    def encode(self) -> bytes:
        """Return the total as it is kept beside the table."""
        return b"%d:%x" % (self.count, self.value)

    @classmethod
    def decode(cls, kept: bytes) -> Self:
        """Read what `encode` wrote."""
        count, _, value = kept.partition(b":")
        return cls(int(count), int(value, 16))


def _lift(hole: Hole) -> int:
    text = "\n".join(map(str, hole)).encode()
    return int.from_bytes(hashlib.shake_256(text).digest(_BYTES))


class Skeleton(NamedTuple):
    """A record as the search for unstated holes sees it."""

    sequence: int
    previous: str
    hash: str
    is_empty: bool


def unstated(rows: Iterable[Skeleton]) -> Iterator[Hole]:
    """Find the holes of a journal whose release stated none; rows come in order."""
    before, digest = 0, chain.GENESIS
    emptied: Hole | None = None
    for row in rows:
        if emptied is not None and not (row.is_empty and row.sequence == emptied.last + 1):
            yield emptied
            emptied = None
        if row.sequence > before + 1:
            yield Hole(before + 1, row.sequence - 1, digest, row.previous, HoleKind.REMOVED)
        if row.is_empty:
            start = emptied or Hole(row.sequence, 0, row.previous, "", HoleKind.EMPTIED)
            emptied = start._replace(last=row.sequence, hash=row.hash)
        before, digest = row.sequence, row.hash
    if emptied is not None:
        yield emptied


def ranges(holes: Sequence[Hole], most: int) -> Iterator[dict[str, tuple[tuple[int, int], ...]]]:
    """Yield the ranges of holes by kind, at most `most` of them at a time, as records name them."""
    for start in range(0, max(len(holes), 1), most):
        stated: dict[str, tuple[tuple[int, int], ...]] = {}
        for hole in holes[start : start + most]:
            stated[hole.kind] = (*stated.get(hole.kind, ()), (hole.first, hole.last))
        yield stated
