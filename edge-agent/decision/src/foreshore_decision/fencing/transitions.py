"""What each event changes in what an agent knows of its right."""

from typing import assert_never

from foreshore_api.wire import beat
from foreshore_decision.fencing.events import (
    Answered,
    ConnectionChanged,
    EpochSeen,
    Event,
    Fenced,
    Granted,
    PeerHeard,
    Released,
    Requested,
    Ticked,
    Withdrawn,
)
from foreshore_decision.fencing.rules import passed
from foreshore_decision.fencing.state import (
    LISTEN_SECONDS,
    MAXIMUM_PEERS,
    MAXIMUM_PENDING,
    AuthorityState,
)


def step(state: AuthorityState, event: Event) -> AuthorityState:  # noqa: C901 - one line an event, exhaustive
    """Take one event into account."""
    state = passed(state, event.at)
    match event:
        case Granted():
            return _granted(state, event)
        case Withdrawn():
            return state._replace(is_named=False)
        case Requested():
            pending = (*state.pending, (event.number, event.at))[-MAXIMUM_PENDING:]
            return state._replace(pending=pending)
        case Answered():
            return _answered(state, event)
        case EpochSeen():
            return _outbid(state, event.at) if _is_above(state, event.epoch) else state
        case Fenced():
            return state._replace(fenced_at=event.at)
        case PeerHeard():
            return _heard(state, event)
        case ConnectionChanged():
            return _broker(state, event)
        case Released():
            return _released(state)
        case Ticked():
            return state
        case _:
            assert_never(event)


def _granted(state: AuthorityState, event: Granted) -> AuthorityState:
    if event.holder != state.node:
        return _named_another(state, event.epoch)
    if event.epoch < max(state.highest_seen, state.epoch or 0):
        return state
    if event.epoch == state.epoch:
        return state._replace(
            is_named=True,
            lease_seconds=event.lease_seconds,
            offline_seconds=event.offline_seconds,
        )
    return state._replace(
        is_named=True,
        epoch=event.epoch,
        lease_seconds=event.lease_seconds,
        offline_seconds=event.offline_seconds,
        self_granted=event.self_granted,
        given_back=False,
        highest_seen=event.epoch,
        is_superseded=False,
        outbid_at=None,
        pending=(),
        answered=-1,
        renewed_at=None,
        refused_at=None,
        fenced_at=None,
    )


def _named_another(state: AuthorityState, epoch: int) -> AuthorityState:
    superseded = state.epoch is not None and epoch >= state.epoch
    return state._replace(
        highest_seen=max(state.highest_seen, epoch),
        is_superseded=state.is_superseded or superseded,
    )


def _is_above(state: AuthorityState, epoch: int) -> bool:
    return state.epoch is not None and epoch > state.epoch


def _outbid(state: AuthorityState, at: float) -> AuthorityState:
    """Stand down for a lease: what is said on the broker is no more than a hint."""
    return state._replace(outbid_at=at)


def _answered(state: AuthorityState, event: Answered) -> AuthorityState:
    """Count an answer to our own question from when it was asked; any other is not looked at."""
    sent = dict(state.pending).get(event.number)
    if event.boot_id != state.boot_id or sent is None or event.number <= state.answered:
        return state
    state = state._replace(
        answered=event.number,
        pending=tuple(entry for entry in state.pending if entry[0] > event.number),
    )
    if event.standing is beat.RenewalStanding.SUPERSEDED or _is_above(state, event.epoch):
        return _outbid(state, event.at) if event.relayed else _superseded(state, event.epoch)
    if event.standing is beat.RenewalStanding.RENEWED and event.epoch == state.epoch:
        return state._replace(
            renewed_at=sent,
            refused_at=None,
            fenced_at=_unless_older(state.fenced_at, sent),
            outbid_at=_unless_older(state.outbid_at, sent),
        )
    return state._replace(refused_at=sent)


def _superseded(state: AuthorityState, epoch: int) -> AuthorityState:
    return state._replace(highest_seen=max(state.highest_seen, epoch), is_superseded=True)


def _unless_older(objected: float | None, sent: float) -> float | None:
    """Return an objection, unless the hub was asked after it was made."""
    return objected if objected is not None and sent <= objected else None


def _heard(state: AuthorityState, event: PeerHeard) -> AuthorityState:
    others = tuple(
        (node, heard)
        for node, heard in state.claims
        if node != event.node and event.at < heard + LISTEN_SECONDS
    )
    claims = (*others, (event.node, event.at)) if event.has_hub else others
    return state._replace(claims=claims[-MAXIMUM_PEERS:])


def _released(state: AuthorityState) -> AuthorityState:
    """Give back what is held, if a peer could be granted it."""
    has_peer = any(state.seen_at < heard + LISTEN_SECONDS for _, heard in state.claims)
    if not state.is_named or state.self_granted or not has_peer:
        return state
    return state._replace(given_back=True)


def _broker(state: AuthorityState, event: ConnectionChanged) -> AuthorityState:
    if (event.connected, event.is_deaf) == (state.broker_connected, state.broker_deaf):
        return state
    return state._replace(
        broker_connected=event.connected,
        broker_deaf=event.is_deaf,
        broker_since=event.at,
        claims=(),
    )
