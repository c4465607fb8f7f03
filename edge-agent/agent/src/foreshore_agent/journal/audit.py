"""Whether a journal is whole: every link, every hole, the statement of the holes, the head.

Called by `verify` over all of a journal, and by the store when it opens one, over the head alone.

    rows in order ─take─► own hash, link to the record before, hole in between, body
    at the end ─finish─► newest statement against the hole table, rows against the head

What can be known of the place of a break:

- a body that was changed or emptied, and a record that is missing: exactly;
- a record that was changed and given a fitting hash: exactly, because the record behind it does not
  follow any more; where both neighbours of a link could be the wrong one, the one whose own
  successor does not follow it, else the earlier;
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
        self._suspects: tuple[int, int] | None = None
        """Two records whose link does not fit: the next link shows which of them is wrong."""
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
        self._check_body(row)
        self._join(row.previous, row.sequence, is_hole=False)
        self._hash, self._is_behind_row = row.hash, True
        self.count, self.last = self.count + 1, row.sequence
        if self._head and row.sequence in (self._head.sequence, self._head.acknowledged):
            self._hashes[row.sequence] = row.hash
        if record.GAP.encode() in row.body and (digest := _stated(row.body)):
            self._statement = row.sequence, digest

    def finish(self) -> ChainBreak | None:
        """Return the first break, or None where all is as it was written."""
        if self._suspects is not None:
            self._tell(self._suspects[self._differs_from_head(self.last)], reasons.LINK_MISMATCH)
        exact = [*self._noticed]
        if self._break is not None:
            exact.append(self._break)
        else:
            behind = self._check_tail() or self._check_head() or self._check_statement()
            exact += [] if behind is None else [behind]
        first = min(exact, key=lambda found: found.sequence, default=None)
        doubt = self._check_acknowledged()
        if doubt is not None and (first is None or first.sequence > doubt.sequence):
            return doubt
        return first

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
            self._join(hole.previous, hole.first, is_hole=True)
            expected, self._hash, self._is_behind_row = hole.last + 1, hole.hash, False
        return expected

    def _check_body(self, row: ChainRow) -> None:
        """Check what a row says of itself: by its body, or by the hole that took its body."""
        while self._emptied and self._emptied[0].last < row.sequence:
            self._emptied.popleft()
        if row.body:
            if chain.link(row.previous, row.body) != row.hash:
                self._tell(row.sequence, reasons.HASH_MISMATCH)
        elif not self._emptied or self._emptied[0].first > row.sequence:
            self._tell(row.sequence, reasons.BODY_MISSING)
        else:
            hole = self._emptied[0]
            is_first, is_last = row.sequence == hole.first, row.sequence == hole.last
            if (is_first and row.previous != hole.previous) or (is_last and row.hash != hole.hash):
                self._tell(row.sequence, reasons.LINK_MISMATCH)

    def _join(self, previous: str, number: int, *, is_hole: bool) -> None:
        """Compare the hash that was met last with the one that its successor names.

        A hole is believed, because a statement vouches for it. Of two records either can be wrong.
        """
        fits = previous == self._hash
        if self._suspects is not None:
            self._tell(self._suspects[not fits], reasons.LINK_MISMATCH)
        elif not fits and self._is_behind_row and not is_hole:
            self._suspects = (self.last, number) if self._break is None else None
        elif not fits:
            self._tell(self.last if self._is_behind_row else number, reasons.LINK_MISMATCH)

    def _tell(self, sequence: int, reason: Reason) -> None:
        """Keep the first break; suspects that are still open come before it."""
        suspects, self._suspects = self._suspects, None
        if self._break is None:
            is_open = suspects is not None and sequence not in suspects
            self._break = (
                ChainBreak(suspects[0], reasons.LINK_MISMATCH)
                if suspects is not None and is_open
                else ChainBreak(sequence, reason)
            )

    def _check_tail(self) -> ChainBreak | None:
        """Compare where the table ends with where the head says; ahead of it is normal."""
        head = self._head
        if head is None:
            return None
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
        found = self._hashes.get(head.acknowledged, head.acknowledged_hash)
        if found == head.acknowledged_hash:
            return None
        return ChainBreak(1, reasons.HEAD_MISMATCH, head.acknowledged)

    def _check_head(self) -> ChainBreak | None:
        head = self._head
        if head is None:
            missing = ChainBreak(1, reasons.HEAD_MISSING, max(self.last, 1))
            return missing if self._is_head_due else None
        if not self._differs_from_head(head.sequence):
            return None
        vouched = head.acknowledged if head.acknowledged_hash else 0
        return ChainBreak(min(vouched + 1, head.sequence), reasons.HEAD_MISMATCH, head.sequence)

    def _differs_from_head(self, sequence: int) -> bool:
        head = self._head
        if head is None or head.sequence != sequence or sequence not in self._hashes:
            return False
        return self._hashes[sequence] != head.hash


def _stated(body: bytes) -> str:
    """Return the digest of all holes that a record states, if it is a gap record that does."""
    try:
        event = orjson.loads(body)
        return str(event["data"].get("holes") or "") if event["type"] == record.GAP else ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ""
