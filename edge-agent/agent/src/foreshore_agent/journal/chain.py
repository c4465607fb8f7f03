"""The hash chain over a journal's exact bytes; called by the store and by `verify`.

`hash = SHA-256(previous hash ‖ body)`, both in the text form `sha256:<hex>` that travels, encoded
as ASCII, so that a person can check one link with `printf '%s' "$previous$body" | sha256sum`. The
first record follows `GENESIS`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from foreshore_api.wire import record
from foreshore_decision.record import link

__all__ = ["GENESIS", "NUMBER_LENGTH", "Break", "check", "link", "stamp"]

GENESIS: Final = "sha256:" + "0" * 64
"""What the first record of a journal names as its predecessor."""

NUMBER_LENGTH: Final = 20
"""Digits of a sequence number in a body: text order is number order."""

_UNSTAMPED: Final = b'"sequence":""'


@dataclass(frozen=True, slots=True)
class Break:
    """The first record that does not fit, and how."""

    sequence: int
    reason: str
    """`HashMismatch`: the body was changed. `LinkMismatch`: the record does not follow its
    predecessor.
    """


def stamp(body: bytes, sequence: int) -> bytes:
    """Fill in the CloudEvents attribute `sequence` where the writer of the body left it empty.

    Only the journal knows the number, and only at the moment of writing. A string inside the body
    cannot match: JSON escapes its quotes.
    """
    return body.replace(_UNSTAMPED, b'"sequence":"%020d"' % sequence, 1)


def check(
    records: Iterable[record.ShippedRecord], before: record.ShippedRecord | None = None
) -> Break | None:
    """Find the first record that breaks the chain.

    `before` is the record in front of the first one, if it is still kept.
    Forgotten records leave holes: across a hole only the record's own hash is checked. A record
    whose body was dropped for want of room is empty and keeps its links.
    """
    for item in records:
        if item.body and link(item.previous, item.body.encode()) != item.hash:
            return Break(item.sequence, "HashMismatch")
        follows = before is not None and before.sequence + 1 == item.sequence
        if follows and before is not None and before.hash != item.previous:
            return Break(item.sequence, "LinkMismatch")
        if item.sequence == 1 and item.previous != GENESIS:
            return Break(item.sequence, "LinkMismatch")
        before = item
    return None
