"""What a journal's head and its table say of each other when the journal is opened. Pure.

    nothing of this release ── an older one wrote it ─► the holes that are there are stated once
    no head, but that ── the head was taken away ─────► every record is doubted
    table behind head  ── a cut ──────────────────────► numbers go on behind the head
    same number, other hash; ahead of a final head ───► those records are doubted
    table at the head or ahead of it ── as it should be

What is noticed becomes a hole in the list and a record in the chain, and stays: `verify` says it
from then on, whatever else is written.
"""

from dataclasses import dataclass
from typing import Final

from foreshore_agent.journal import chain
from foreshore_agent.journal.head import Head
from foreshore_agent.journal.holes import Hole, HoleKind
from foreshore_api.reasons import Reason
from foreshore_api.reasons import journal as reasons

FORMAT_KEY: Final = "journal/format"
FORMAT: Final = b"2"
"""Of a journal whose holes are stated and whose head is kept outside; before, nothing was noted."""


@dataclass(frozen=True, slots=True)
class Found:
    """A state directory as it was found."""

    journal: str
    """The table's UUID; empty where it has none yet."""
    last: int
    hash: str
    has_format: bool
    """Whether the table says this release's format."""
    has_holes: bool
    """Whether there is a table of holes."""
    head: Head | None
    hash_at_head: str | None = None
    """The table's hash at the head's number; None where that record was forgotten."""
    hash_at_acknowledged: str | None = None


def is_stated(*, has_format: bool, has_holes: bool, head: Head | None, last: int) -> bool:
    """Whether this release wrote a journal, so that its holes are stated and its head is due.

    Any trace tells it, not the format alone: whoever takes that away would make every deletion an
    older release's. A journal without records may be one that was about to be made.
    """
    if has_format or (head is not None and head.sequence > 0):
        return True
    return last > 0 and (has_holes or head is not None)


Noticed = tuple[Reason, Hole | None]
"""Why a record is due, and the hole that it is about; none where all holes are to be stated."""


def notice(opened: Found) -> Noticed | None:
    """Return why a record is due and the hole it is about, or None where all fits."""
    head = opened.head
    if not is_stated(
        has_format=opened.has_format, has_holes=opened.has_holes, head=head, last=opened.last
    ):
        return (reasons.FORMAT_UPGRADED, None) if opened.last else None
    if head is None:
        return reasons.HEAD_MISSING, _doubted(1, opened.last)
    if opened.journal not in ("", head.journal):
        return reasons.HEAD_MISMATCH, _doubted(1, opened.last)
    if head.sequence > opened.last:
        first = opened.last + 1
        cut = Hole(first, head.sequence, opened.hash, head.hash, HoleKind.CUT)
        return reasons.JOURNAL_CUT, cut
    if head.acknowledged_hash not in ("", opened.hash_at_acknowledged or head.acknowledged_hash):
        return reasons.HEAD_MISMATCH, _doubted(1, head.acknowledged)
    if head.sequence and opened.hash_at_head not in (None, head.hash):
        vouched = head.acknowledged if head.acknowledged < head.sequence else 0
        return reasons.HEAD_MISMATCH, _doubted(vouched + 1, head.sequence)
    if head.is_final and opened.last > head.sequence:
        return reasons.BEYOND_HEAD, _doubted(head.sequence + 1, opened.last)
    return None


def _doubted(first: int, last: int) -> Hole:
    return Hole(first, max(first, last), chain.GENESIS, chain.GENESIS, HoleKind.DOUBTED)
