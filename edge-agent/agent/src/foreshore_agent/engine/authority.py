"""This agent's right to each device: feeds `fencing`, asks for renewal, says when it changes.

Whether a command may leave is asked of `fencing.standing` at the moment it matters (the Authority
gate, and again when the intent is durable); what is kept here is for reports, notices and for not
deciding at all where another agent does.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from foreshore_agent.engine import due, durable, effects, recording
from foreshore_agent.engine.events import Instant, Key, Renewed
from foreshore_agent.engine.state import DeviceState, State
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import command as outcomes
from foreshore_api.wire import beat, command
from foreshore_decision import fencing
from foreshore_decision.chain import messages
from foreshore_decision.gates import rights

SWEEP_SECONDS: Final = 1.0
"""How often every authority is looked at; a pause is noticed only by a step that comes late, so
that this has to stay well below `fencing.LISTEN_SECONDS`."""
MAXIMUM_HELD: Final = 1000
"""Devices of one renewal request."""
MAXIMUM_ASKED: Final = 64
"""Renewal requests whose answers are still taken: several turns of ten thousand devices."""

RightsOf = Callable[[DeviceState], tuple[fencing.Event, ...]]
"""What happens to the right to one device."""


def sweep(turn: Turn, state: State) -> Change[State]:
    """Look at every authority once a second, and ask for renewal when that is due."""
    at = turn.at
    if at.boot - state.swept < SWEEP_SECONDS:
        return Change(state)

    def events_of(device: DeviceState) -> tuple[fencing.Event, ...]:
        if _is_held(device) and _cannot_record(turn, device):
            return (fencing.Released(at.boot),)
        return (fencing.Ticked(at.boot),) if _is_due(device.authority, at) else ()

    return broadcast(turn, state._replace(swept=at.boot), events_of).then(_request, turn)


def give_back(turn: Turn, state: State) -> Change[State]:
    """Give back every right that a peer could be granted; the others end with the process.

    Which peers reach a device with `reachableFrom` is not known here: maybe none does, and then a
    short stop would lose it until the hub grants it anew. Its right ends with the lease.
    """
    released = (fencing.Released(turn.at.boot),)

    def events_of(device: DeviceState) -> tuple[fencing.Event, ...]:
        return released if device.assigned.spec.reachable_from is None else ()

    return broadcast(turn, state, events_of)


def claim(turn: Turn, state: State) -> Change[State]:
    """Ask at once for the renewal of what was just granted: until then nothing may be commanded."""
    is_new = any(
        _is_held(device) and device.authority.renewed_at is None and not device.authority.pending
        for device in state.devices.values()
    )
    return _request(turn, state._replace(requested=-math.inf)) if is_new else Change(state)


def broadcast(turn: Turn, state: State, events_of: RightsOf) -> Change[State]:
    """Step the authority of every device that this agent was ever named for."""
    changed: dict[Key, DeviceState] = {}
    for key, device in state.devices.items():
        right = device.authority
        if right.epoch is None and not right.is_named:
            continue
        happened = events_of(device)
        for event in happened:
            right = fencing.step(right, event)
        if happened:
            changed[key] = device._replace(authority=right)
    done: list[effects.Effect] = []
    for key, device in changed.items():
        changed[key], more = follow(turn, device)
        done += more
    state = due.put_all(state, changed)
    if done:  # what superseded us must hold over a crash too
        done.append(durable.authorities_value(state))
    return Change(state, tuple(done))


def follow(turn: Turn, device: DeviceState) -> Change[DeviceState]:
    """Notice a change of standing, and record it."""
    standing = fencing.standing(device.authority, turn.at.boot)
    if standing is device.standing:
        return Change(device)
    reason, epoch = rights.REASONS[standing], device.authority.epoch
    text = messages.standing(reason, epoch)
    notice = recording.notice(turn, reason, text, device=device.key, epoch=epoch)
    return Change(device._replace(standing=standing), notice)


def renewed(turn: Turn, state: State, event: Renewed) -> Change[State]:
    """Take the hub's answer to a request of ours in, for each device of the request."""
    renewal = event.renewal
    answers = {Key(answer.namespace, answer.device): answer for answer in renewal.devices}

    def events_of(device: DeviceState) -> tuple[fencing.Event, ...]:
        answer = answers.get(device.key)
        if answer is None:
            return ()
        answered = fencing.Answered(
            turn.at.boot,
            renewal.boot_id,
            renewal.number,
            answer.epoch,
            answer.standing,
            relayed=event.relayed,
        )
        return (answered,)

    before = {key: _answered(state, key) for key in answers}
    change = broadcast(turn, state, events_of)
    if any(_answered(change.value, key) != number for key, number in before.items()):
        change = change.also(durable.authorities_value(change.value))
    return change


def _answered(state: State, key: Key) -> int | None:
    device = state.devices.get(key)
    return None if device is None else device.authority.answered


def heard(turn: Turn, state: State, peer: beat.Beat) -> Change[State]:
    """Take a peer's beat in: whether it claims the hub, and the epochs it says that it holds.

    It stands us down at once where its epoch is higher, and lets us ask the hub at the next sweep
    whether that is so: what a peer says is no more than a hint, and nothing of it is durable.
    """
    if peer.node == turn.identity.node:
        return Change(state)
    boot = turn.at.boot
    epochs = {Key(holding.namespace, holding.device): holding.epoch for holding in peer.held}

    def events_of(device: DeviceState) -> tuple[fencing.Event, ...]:
        alive = fencing.PeerHeard(boot, peer.node, peer.has_hub)
        epoch = epochs.get(device.key)
        return (alive,) if epoch is None else (alive, fencing.EpochSeen(boot, epoch))

    state, done = broadcast(turn, _overtaken(turn, state, epochs), events_of)
    return Change(state._replace(requested=0.0) if done else state, done)


def refused(turn: Turn, state: State, key: Key, answer: command.Acknowledgement) -> Change[State]:
    """Stand down where the device itself says that somebody else commands it."""
    if answer.result is not command.Result.REJECTED or answer.reason not in outcomes.OUTRANKED:
        return Change(state)
    device = state.devices[key]
    right = fencing.step(device.authority, fencing.Fenced(turn.at.boot))
    device, notice = follow(turn, device._replace(authority=right))
    state = due.put(state, device)
    return Change(state, (*notice, durable.authorities_value(state)))


def _overtaken(turn: Turn, state: State, epochs: Mapping[Key, int]) -> State:
    """Take higher epochs in also of devices that are not assigned now: they may be at once."""
    news = {
        key: fencing.step(right, fencing.EpochSeen(turn.at.boot, epochs[key]))
        for key, right in state.authorities.items()
        if key in epochs and key not in state.devices and epochs[key] > right.highest_seen
    }
    return state._replace(authorities={**state.authorities, **news}) if news else state


def held(state: State) -> tuple[beat.Held, ...]:
    """Return the devices that this agent holds by what it knows: for beats and requests."""
    return tuple(
        beat.Held(namespace=key.namespace, device=key.name, epoch=device.authority.epoch)
        for key, device in state.devices.items()
        if _is_held(device) and device.authority.epoch is not None
    )


def _is_due(right: fencing.AuthorityState, at: Instant) -> bool:
    """Whether time alone may have changed the standing."""
    due = fencing.next_due(right)
    return due is not None and at.boot >= due


def _is_held(device: DeviceState) -> bool:
    right = device.authority
    return right.is_named and not right.is_superseded and not right.given_back


def _cannot_record(turn: Turn, device: DeviceState) -> bool:
    """Whether no intent could be written for a whole lease: a peer may be able to."""
    recorder = turn.recorder
    return recorder.full and turn.at.boot - recorder.since >= device.authority.lease_seconds


def _request(turn: Turn, state: State) -> Change[State]:
    """Ask for the renewal of everything held, five times in the shortest lease."""
    boot = turn.at.boot
    ours = {
        key: device
        for key, device in state.devices.items()
        if _is_held(device) and not device.authority.self_granted
    }
    if not ours:
        return Change(state)
    lease = min(device.authority.lease_seconds for device in ours.values())
    if boot - state.requested < lease / fencing.RENEWALS_PER_LEASE - SWEEP_SECONDS / 2:
        return Change(state)
    devices, requests = state.devices, []
    keys = sorted(ours)
    for position, start in enumerate(range(0, len(keys), MAXIMUM_HELD)):
        number = int(boot * 1000) + position
        batch = keys[start : start + MAXIMUM_HELD]
        for key in batch:
            requested = fencing.Requested(boot, number)
            device = ours[key]._replace(authority=fencing.step(ours[key].authority, requested))
            devices = devices.set(key, device)
        requests.append(effects.RequestRenewal(number, _named(ours, batch)))
    numbers = (*state.asked, *(request.number for request in requests))[-MAXIMUM_ASKED:]
    return Change(state._replace(devices=devices, requested=boot, asked=numbers), tuple(requests))


def _named(devices: dict[Key, DeviceState], keys: list[Key]) -> tuple[beat.Held, ...]:
    return tuple(
        beat.Held(namespace=key.namespace, device=key.name, epoch=devices[key].authority.epoch or 0)
        for key in keys
    )
