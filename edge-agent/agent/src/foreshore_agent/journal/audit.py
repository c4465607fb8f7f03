"""Whether a journal is whole: every link, every hole, the statement of the holes, the head.

Called by `verify` over all of a journal, and by the store when it opens one, over the head alone.

    rows in order ─take─► own hash, link to the record before, hole in between, body
    at the end ─finish─► newest statement against the hole table, rows against the head

What can be known of the place of a break:

- a body that was changed or emptied, and a record that is missing: exactly;
- a record that was changed and given a fitting hash: exactly, because the record behind it does not
  follow any more. Of the two records at a link that does not fit the earlier is named: the later
  may be the wrong one, and the first that cannot be believed is never behind what is named. Where
  the record behind is gone too, nothing vouches for it, and what is gone is named;
- all hashes computed anew up to the newest: the head kept outside is another; it can be anywhere
  behind what the last hash that still fits vouches for, so the first and last number are named.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from foreshore_agent.journal import chain, holes
from foreshore_agent.journal.head import Head
from foreshore_agent.journal.holes import Hole, HoleKind
from foreshore_api.reasons import Reason
from foreshore_api.reasons import journal as reasons
from foreshore_api.wire import record


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first place that is not as it was written."""

    sequence: int
    reason: Reason
    until: int | None = None
    """The last number that it may be, where the place is not known exactly."""


class ChainRow(NamedTuple):
    """One row of the table, as it was found: nothing in it is believed."""

    sequence: int
    previous: str
    hash: str
    body: bytes


def of_hole(hole: Hole) -> ChainBreak | None:
    """Return the break that was noticed when the journal was opened, if a hole is one."""
    if hole.kind == HoleKind.CUT:
        return ChainBreak(hole.first, reasons.TRUNCATED, hole.last)
    if hole.kind == HoleKind.DOUBTED:
        return ChainBreak(hole.first, reasons.HEAD_MISMATCH, hole.last)
    return None


class Audit:
    """One walk over all rows of a journal, in the order of their numbers."""

    def __init__(self, table: Iterable[Hole], head: Head | None, *, is_head_due: bool) -> None:
        stated = sorted(table)
        self._head: Final = head
        self._is_head_due: Final = is_head_due
        self._total: Final = holes.Total.of(stated)
        self._missing: Final = deque(hole for hole in stated if hole.kind in holes.MISSING)
        self._emptied: Final = deque(hole for hole in stated if hole.kind == HoleKind.EMPTIED)
        self._noticed: Final = tuple(filter(None, map(of_hole, stated)))
        self._break: ChainBreak | None = None
        self._is_behind_row = False
        self._hash = chain.GENESIS
        self._hashes: dict[int, str] = {}
        """Hashes at the numbers that the head names."""
        self._statement: tuple[int, str] | None = None
        """Number of the newest record that vouches for the holes, and its digest."""
        self.count = 0
        self.last = 0

    def take(self, row: ChainRow) -> None:
        """Check the next row."""
        expected = self._cross_holes(row.sequence)
        if expected < row.sequence:
            self._tell(expected, reasons.RECORD_MISSING)
        fault = self._fault(row)
        is_link_alone = fault is not None and chain.link(self._hash, row.body) == row.hash
        if not is_link_alone:  # else the record before it is as it was
            self._join(self._vouched(row), row.sequence)
        if fault is not None:
            self._tell(row.sequence, fault)
        self._hash, self._is_behind_row = row.hash, True
        self.count, self.last = self.count + 1, row.sequence
        if self._head and row.sequence in (self._head.sequence, self._head.acknowledged):
            self._hashes[row.sequence] = row.hash
        if record.GAP.encode() in row.body and (digest := _stated(row.body)):
            self._statement = row.sequence, digest

    def finish(self) -> ChainBreak | None:
        """Return the first break, or None where all is as it was written."""
        doubt = self._check_head()
        exact = self._break or self._check_end() or doubt or self._check_statement()
        every = (*self._noticed, exact, doubt, self._check_acknowledged())
        return min(filter(None, every), key=lambda broken: broken.sequence, default=None)

    def _cross_holes(self, until: int) -> int:
        """Go over stated holes that begin before `until`; return the number expected behind."""
        expected = self.last + 1
        while self._missing and self._missing[0].first <= until:
            hole = self._missing[0]
            if hole.first > expected:
                break
            self._missing.popleft()
            if hole.first < expected or hole.last >= until:
                self._tell(max(hole.first, self.last, 1), reasons.HOLE_REFUTED)
                break
            self._join(hole.previous, hole.first)
            expected, self._hash, self._is_behind_row = hole.last + 1, hole.hash, False
        return expected

    def _fault(self, row: ChainRow) -> Reason | None:
        """Check what a row says of itself: by its body, or by the hole that took its body."""
        while self._emptied and self._emptied[0].last < row.sequence:
            self._emptied.popleft()
        if row.body:
            is_whole = chain.link(row.previous, row.body) == row.hash
            return None if is_whole else reasons.HASH_MISMATCH
        if not self._emptied or self._emptied[0].first > row.sequence:
            return reasons.BODY_MISSING
        hole = self._emptied[0]
        is_first, is_last = row.sequence == hole.first, row.sequence == hole.last
        if (is_first and row.previous != hole.previous) or (is_last and row.hash != hole.hash):
            return reasons.LINK_MISMATCH
        return None

    def _vouched(self, row: ChainRow) -> str:
        """Return the hash in front of a row: a statement knows it better than an empty row."""
        is_stated = bool(self._emptied) and self._emptied[0].first == row.sequence and not row.body
        return self._emptied[0].previous if is_stated else row.previous

    def _join(self, previous: str, number: int) -> None:
        """Compare the hash that was met last with the one that its successor names.

        A hole is believed, because a statement vouches for it; of two records, the later.
        """
        if previous != self._hash:
            self._tell(self.last if self._is_behind_row else number, reasons.LINK_MISMATCH)

    def _tell(self, sequence: int, reason: Reason) -> None:
        """Keep the first break."""
        if self._break is None:
            self._break = ChainBreak(sequence, reason)

    def _check_end(self) -> ChainBreak | None:
        """Compare where the table ends with where the head says; ahead of it is normal."""
        head = self._head
        if head is None:
            missing = ChainBreak(1, reasons.HEAD_MISSING, max(self.last, 1))
            return missing if self._is_head_due else None
        if self.last < head.sequence:
            end = self._cross_holes(head.sequence)
            return self._break or ChainBreak(end, reasons.TRUNCATED, head.sequence)
        if head.is_final and self.last > head.sequence:
            return ChainBreak(head.sequence + 1, reasons.BEYOND_HEAD, self.last)
        return None

    def _check_statement(self) -> ChainBreak | None:
        """Compare the holes with what the newest statement vouches for."""
        if self._statement is None:
            if self._total.count and self._is_head_due:
                return ChainBreak(max(self.last, 1), reasons.STATEMENT_MISMATCH)
            return None
        number, digest = self._statement
        is_same = digest == self._total.digest
        return None if is_same else ChainBreak(number, reasons.STATEMENT_MISMATCH)

    def _check_acknowledged(self) -> ChainBreak | None:
        head = self._head
        if head is None or not head.acknowledged_hash:
            return None
        digest = self._hashes.get(head.acknowledged, head.acknowledged_hash)
        if digest == head.acknowledged_hash:
            return None
        return ChainBreak(1, reasons.HEAD_MISMATCH, head.acknowledged)

    def _check_head(self) -> ChainBreak | None:
        """Compare the hash at the head's number, where the record there has no fault of its own."""
        head = self._head
        if head is None or self._hashes.get(head.sequence, head.hash) == head.hash:
            return None
        if self._break is not None and self._break.sequence == head.sequence:
            return None
        vouched = head.acknowledged if head.acknowledged_hash else 0
        return ChainBreak(min(vouched + 1, head.sequence), reasons.HEAD_MISMATCH, head.sequence)


def _stated(body: bytes) -> str:
    """Return the digest of all holes that a record states, if it is a gap record that does."""
    try:
        event = orjson.loads(body)
        return str(event["data"].get("holes") or "") if event["type"] == record.GAP else ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ""
