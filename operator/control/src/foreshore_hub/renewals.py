"""Whether a holder may go on: the hub's half of authority, as a pure function of what it knows.

The door asks `answer` for each device of a renewal request and commits `Answer.changed` before it
replies. The rule makes one hub's history coherent whatever its view of the API server is worth:

    Of one device, no two holders are ever renewed within a lease of each other.

1. A renewal counts at the holder from when its request was *sent*, so it ends at the latest one
lease after the
   hub answered it.
2. The hub renews another holder only when a lease (and a margin for clocks that run unequally) has
   passed since its last answer to the one before, unless that one gave its right back. After a
   restart, or with a store that knows nothing, its own start counts as that last answer.
3. It never renews an epoch below one that it renewed: that is kept in the store, so an API server
   restored from a copy, or a hub that reads a stale view, revives nobody.

So the operator needs no knowledge of the hub's view when it writes a new epoch. If the hub still
renews the old holder for a moment, because the write has not reached it yet, the new holder is not
renewed until the old one's lease has run out. The operator's own waiting (last renewal sent, by the
hub's evidence, plus lease and margins) keeps that from costing time in the common case. An absent
API server stops nobody: the hub goes on with what it saw last, or renewed last.
"""

from dataclasses import dataclass
from typing import Final

from foreshore_api.wire import beat

Device = tuple[str, str]
"""Namespace and name."""

MARGIN_SECONDS: Final = 1.0
"""Covers unequal rates of two monotonic clocks over the longest lease (10 min at 1,000 ppm)."""


@dataclass(frozen=True, slots=True)
class NamedHolder:
    """Whom the API server names, as observed; `holder` is None when the right was given back."""

    holder: str | None
    epoch: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class RenewedHolder:
    """Whom the hub renewed last; `at` is monotonic, None before this process did it itself."""

    epoch: int
    holder: str
    lease_seconds: float
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the hub knows of one device when it is asked."""

    named: NamedHolder | None
    """None: no such device, nobody named, or the API server was never seen."""
    is_synced: bool
    """Whether the API server was seen at all in this process."""
    last: RenewedHolder | None
    started_at: float
    given_back: frozenset[tuple[str, int]] = frozenset()
    """Holders and epochs that agents reported to have given back."""


@dataclass(frozen=True, slots=True)
class RenewalAnswer:
    """What the holder is told, and what has to be kept before it is."""

    standing: beat.RenewalStanding
    epoch: int
    changed: RenewedHolder | None = None
    """The ledger's new entry, with its time."""
    must_keep: bool = False
    """Whether the new entry has to be durable before the answer leaves."""


def answer(holder: str, epoch: int, knowledge: Knowledge, now: float) -> RenewalAnswer:
    """Return the answer to `holder`, which says that it holds `epoch`."""
    named = _believed(knowledge)
    newest = max(named.epoch if named else 0, knowledge.last.epoch if knowledge.last else 0)
    if named is None or epoch > newest:
        return RenewalAnswer(beat.RenewalStanding.UNKNOWN, newest)
    if (named.holder, named.epoch) != (holder, epoch):
        return RenewalAnswer(beat.RenewalStanding.SUPERSEDED, newest)
    if (holder, epoch) in knowledge.given_back or not _is_free(holder, knowledge, now):
        return RenewalAnswer(beat.RenewalStanding.UNKNOWN, newest)
    entry = RenewedHolder(epoch, holder, named.lease_seconds, at=now)
    last = knowledge.last
    return RenewalAnswer(
        beat.RenewalStanding.RENEWED,
        epoch,
        changed=entry,
        must_keep=last is None or _is_other(last, entry),
    )


def _is_other(last: RenewedHolder, entry: RenewedHolder) -> bool:
    """Whether more of a renewal is new than its time."""
    return (last.epoch, last.holder, last.lease_seconds) != (
        entry.epoch,
        entry.holder,
        entry.lease_seconds,
    )


def age(last: RenewedHolder, started_at: float, now: float) -> float:
    """Return the seconds since a renewal was sent; a restarted hub counts from its start."""
    return max(0.0, now - (started_at if last.at is None else last.at))


def _believed(knowledge: Knowledge) -> NamedHolder | None:
    """Return whom to believe: the API server, unless the hub went further or saw nothing yet."""
    last, named = knowledge.last, knowledge.named
    if last is None:
        return named
    if named is None:
        return (
            None
            if knowledge.is_synced
            else NamedHolder(last.holder, last.epoch, last.lease_seconds)
        )
    if named.epoch < last.epoch:
        return NamedHolder(last.holder, last.epoch, last.lease_seconds)
    return named


def _is_free(holder: str, knowledge: Knowledge, now: float) -> bool:
    """Whether nobody else can still be acting on a renewal of ours."""
    last = knowledge.last
    if last is None:
        lease = knowledge.named.lease_seconds if knowledge.named else 0.0
        return now >= knowledge.started_at + lease + MARGIN_SECONDS
    if last.holder == holder or (last.holder, last.epoch) in knowledge.given_back:
        return True
    return age(last, knowledge.started_at, now) >= last.lease_seconds + MARGIN_SECONDS
