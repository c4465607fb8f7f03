"""What follows at an instant from what is known: the standing, and when it may change by itself."""

from collections.abc import Callable
from typing import Final

from foreshore_decision.fencing.state import LISTEN_SECONDS, AuthorityState, Standing


def standing(state: AuthorityState, at: float) -> Standing:
    """Return the standing at an instant, maybe after the last event: the first rule decides."""
    then = passed(state, at)
    for rule, result in RULES:
        if rule(then):
            return result
    return Standing.LAPSED


def next_due(state: AuthorityState) -> float | None:
    """Return the next instant at which the standing may change by itself; None without a grant.

    While a grant is held it is never further away than a third of what counts as a pause: whoever
    ticks may come late by twice as much, and a longer step must mean one.
    """
    if not state.is_named:
        return None
    claimed = [] if state.outbid_at is None else [state.outbid_at + state.lease_seconds]
    if state.self_granted:
        return min((instant for instant in claimed if instant > state.seen_at), default=None)
    instants = [*claimed, state.seen_at + _longest_step(state) / 3]
    instants += [heard + LISTEN_SECONDS for _, heard in state.claims]
    if state.renewed_at is not None:
        instants += [
            state.renewed_at + state.lease_seconds,
            state.renewed_at + state.offline_seconds,
        ]
    wait = LISTEN_SECONDS if state.broker_connected else state.lease_seconds
    instants.append(state.broker_since + wait)
    return min(instant for instant in instants if instant > state.seen_at)


def passed(state: AuthorityState, at: float) -> AuthorityState:
    """Let time pass: notice a pause of our own, give back what the broker keeps us from using.

    What peers claim speaks for three beats only, and nobody heard them in a pause: whoever slept
    for longer than that has to listen anew, however much of the lease was left.
    """
    if at <= state.seen_at:
        return state
    paused = state.lease_seconds > 0 and at - state.seen_at > _longest_step(state)
    if paused and state.broker_connected:
        state = state._replace(broker_since=at)
    state = state._replace(seen_at=at)
    return state._replace(given_back=True) if _must_give_back(state) else state


def _longest_step(state: AuthorityState) -> float:
    """Return the seconds between two looks at the clock beyond which the machine has paused."""
    return min(state.lease_seconds, LISTEN_SECONDS)


def _must_give_back(state: AuthorityState) -> bool:
    return (
        state.is_named
        and not state.self_granted
        and not state.broker_connected
        and state.seen_at >= state.broker_since + state.lease_seconds
        and _is_renewed(state)
    )


def _is_refused(state: AuthorityState) -> bool:
    """Whether this agent has the hub itself, and the hub did not renew it."""
    return state.refused_at is not None and state.seen_at < state.refused_at + state.lease_seconds


def _is_without_grant(state: AuthorityState) -> bool:
    return not state.is_named


def _is_superseded(state: AuthorityState) -> bool:
    return state.is_superseded


def _is_outbid(state: AuthorityState) -> bool:
    """Whether a peer claimed a higher epoch within the lease, and the hub has not denied it."""
    return state.outbid_at is not None and state.seen_at < state.outbid_at + state.lease_seconds


def _is_given_back(state: AuthorityState) -> bool:
    return state.given_back


def _is_fenced(state: AuthorityState) -> bool:
    """Whether the device refuses us; who grants himself has nobody to renew him, and goes on."""
    return state.fenced_at is not None and not state.self_granted


def _is_self_granted(state: AuthorityState) -> bool:
    return state.self_granted


def _is_renewed(state: AuthorityState) -> bool:
    return state.renewed_at is not None and state.seen_at < state.renewed_at + state.lease_seconds


def _is_listening(state: AuthorityState) -> bool:
    """Whether a peer that claims the hub would have been heard by now."""
    return (
        state.broker_connected
        and not state.broker_deaf
        and state.seen_at >= state.broker_since + LISTEN_SECONDS
    )


def _is_offline(state: AuthorityState) -> bool:
    return (
        state.renewed_at is not None
        and state.seen_at < state.renewed_at + state.offline_seconds
        and _is_listening(state)
        and not _is_refused(state)
        and not any(state.seen_at < heard + LISTEN_SECONDS for _, heard in state.claims)
    )


RULES: Final[tuple[tuple[Callable[[AuthorityState], bool], Standing], ...]] = (
    (_is_without_grant, Standing.NONE),  # nobody named this agent
    (_is_superseded, Standing.SUPERSEDED),  # somebody else was named since
    (_is_outbid, Standing.SUPERSEDED),  # somebody says that he was
    (_is_given_back, Standing.LAPSED),  # it stood down by its own choice
    (_is_fenced, Standing.LAPSED),  # the device knows of somebody else
    (_is_self_granted, Standing.RENEWED),  # folder mode: there is nobody else
    (_is_renewed, Standing.RENEWED),  # the hub says so, and said so lately
    (_is_offline, Standing.OFFLINE),  # nobody within earshot could have been named instead
)
