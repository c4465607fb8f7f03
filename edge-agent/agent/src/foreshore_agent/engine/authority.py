"""This agent's right to each device: feeds `fencing`, asks for renewal, says when it changes.

Whether a command may leave is asked of `fencing.standing` at the moment it matters (the Authority
gate, and again when the intent is durable); what is kept here is for reports, notices and for not
deciding at all where another agent does.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from foreshore_agent.engine import durable, effects, identifiers, recording
from foreshore_agent.engine.events import Instant, Key, Renewed
from foreshore_agent.engine.state import Device, State
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

Effects = tuple[effects.Effect, ...]


def sweep(state: State, at: Instant, fresh: str) -> tuple[State, Effects]:
    """Look at every authority once a second, and ask for renewal when that is due."""
    if at.boot - state.swept < SWEEP_SECONDS:
        return state, ()
    state = state._replace(swept=at.boot)

    def tell(device: Device) -> tuple[fencing.Event, ...]:
        if _is_held(device) and _cannot_record(state, device, at):
            return (fencing.Released(at.boot),)
        return (fencing.Ticked(at.boot),) if _is_due(device.authority, at) else ()

    state, done = broadcast(state, tell, at, fresh)
    state, asked = _request(state, at)
    return state, (*done, *asked)


def give_back(state: State, at: Instant, fresh: str) -> tuple[State, Effects]:
    """Give back every right that a peer could be granted; the others end with the process.

    Which peers reach a device with `reachableFrom` is not known here: maybe none does, and then a
    short stop would lose it until the hub grants it anew. Its right ends with the lease.
    """
    released = (fencing.Released(at.boot),)

    def tell(device: Device) -> tuple[fencing.Event, ...]:
        return released if device.assigned.spec.reachable_from is None else ()

    return broadcast(state, tell, at, fresh)


def claim(state: State, at: Instant) -> tuple[State, Effects]:
    """Ask at once for the renewal of what was just granted: until then nothing may be commanded."""
    is_new = any(
        _is_held(device) and device.authority.renewed_at is None and not device.authority.pending
        for device in state.devices.values()
    )
    return _request(state._replace(requested=-math.inf), at) if is_new else (state, ())


def broadcast(
    state: State,
    tell: Callable[[Device], tuple[fencing.Event, ...]],
    at: Instant,
    fresh: str,
) -> tuple[State, Effects]:
    """Step the authority of every device that this agent was ever named for."""
    changed: dict[Key, Device] = {}
    for key, device in state.devices.items():
        if device.authority.epoch is None and not device.authority.is_named:
            continue
        told = tell(device)
        if told:
            known = device.authority
            for event in told:
                known = fencing.step(known, event)
            changed[key] = device._replace(authority=known)
    done: list[effects.Effect] = []
    with state.devices.mutate() as mutation:
        for key, device in changed.items():
            identity = identifiers.nth(fresh, len(done))
            mutation[key], more = follow(state, device, at, identity)
            done += more
        devices = mutation.finish()
    state = state._replace(devices=devices)
    if done:  # what superseded us must hold over a crash too
        done.append(durable.authorities_value(state))
    return state, tuple(done)


def follow(state: State, device: Device, at: Instant, identity: str) -> tuple[Device, Effects]:
    """Notice a change of standing, and record it."""
    standing = fencing.standing(device.authority, at.boot)
    if standing is device.standing:
        return device, ()
    reason = rights.REASONS[standing]
    epoch = device.authority.epoch
    text = messages.standing(reason, epoch)
    said = recording.notice(state, at, identity, reason, text, device=device.key, epoch=epoch)
    return device._replace(standing=standing), said


def renewed(state: State, event: Renewed) -> tuple[State, Effects]:
    """Take the hub's answer to a request of ours in, for each device of the request."""
    renewal, at = event.renewal, event.at
    known = {Key(each.namespace, each.device): each for each in renewal.devices}

    def tell(device: Device) -> tuple[fencing.Event, ...]:
        answer = known.get(device.key)
        if answer is None:
            return ()
        answered = fencing.Answered(
            at.boot,
            renewal.boot_id,
            renewal.number,
            answer.epoch,
            answer.standing,
            relayed=event.relayed,
        )
        return (answered,)

    before = {key: _answered(state, key) for key in known}
    state, done = broadcast(state, tell, at, event.fresh)
    if any(_answered(state, key) != number for key, number in before.items()):
        done = (*done, durable.authorities_value(state))
    return state, done


def _answered(state: State, key: Key) -> int | None:
    """Return the newest request for a device that was answered."""
    device = state.devices.get(key)
    return None if device is None else device.authority.answered


def heard(state: State, said: beat.Beat, at: Instant, fresh: str) -> tuple[State, Effects]:
    """Take a peer's beat in: whether it claims the hub, and the epochs it says that it holds.

    It stands us down at once where its epoch is higher, and lets us ask the hub at the next sweep
    whether that is so: what a peer says is no more than a hint, and nothing of it is durable.
    """
    if said.node == state.identity.node:
        return state, ()
    epochs = {Key(each.namespace, each.device): each.epoch for each in said.held}

    def tell(device: Device) -> tuple[fencing.Event, ...]:
        peer = fencing.PeerHeard(at.boot, said.node, said.has_hub)
        epoch = epochs.get(device.key)
        return (peer,) if epoch is None else (peer, fencing.EpochSeen(at.boot, epoch))

    state, done = broadcast(_overtaken(state, epochs, at), tell, at, fresh)
    return (state._replace(requested=0.0) if done else state), done


def refused(
    state: State, key: Key, answer: command.Acknowledgement, at: Instant, fresh: str
) -> tuple[State, Effects]:
    """Stand down where the device itself says that somebody else commands it."""
    device = state.devices[key]
    if answer.result is not command.Result.REJECTED or answer.reason not in outcomes.OUTRANKED:
        return state, ()
    known = fencing.step(device.authority, fencing.Fenced(at.boot))
    device, said = follow(state, device._replace(authority=known), at, fresh)
    state = state._replace(devices=state.devices.set(key, device))
    return state, (*said, durable.authorities_value(state))


def _overtaken(state: State, epochs: Mapping[Key, int], at: Instant) -> State:
    """Take higher epochs in also of devices that are not assigned now: they may be at once."""
    news = {
        key: fencing.step(known, fencing.EpochSeen(at.boot, epochs[key]))
        for key, known in state.authorities.items()
        if key in epochs and key not in state.devices and epochs[key] > known.highest_seen
    }
    return state._replace(authorities={**state.authorities, **news}) if news else state


def held(state: State) -> tuple[beat.Held, ...]:
    """Return the devices that this agent holds by what it knows: for beats and requests."""
    return tuple(
        beat.Held(namespace=key.namespace, device=key.name, epoch=device.authority.epoch)
        for key, device in state.devices.items()
        if _is_held(device) and device.authority.epoch is not None
    )


def _is_due(known: fencing.State, at: Instant) -> bool:
    """Whether time alone may have changed the standing."""
    due = fencing.next_due(known)
    return due is not None and at.boot >= due


def _is_held(device: Device) -> bool:
    known = device.authority
    return known.is_named and not known.is_superseded and not known.given_back


def _cannot_record(state: State, device: Device, at: Instant) -> bool:
    """Whether no intent could be written for a whole lease: a peer may be able to."""
    recorder = state.recorder
    return recorder.full and at.boot - recorder.since >= device.authority.lease_seconds


def _request(state: State, at: Instant) -> tuple[State, Effects]:
    """Ask for the renewal of everything held, five times in the shortest lease."""
    ours = {
        key: device
        for key, device in state.devices.items()
        if _is_held(device) and not device.authority.self_granted
    }
    if not ours:
        return state, ()
    lease = min(device.authority.lease_seconds for device in ours.values())
    if at.boot - state.requested < lease / fencing.RENEWALS_PER_LEASE - SWEEP_SECONDS / 2:
        return state, ()
    devices, asked = state.devices, []
    keys = sorted(ours)
    for position, start in enumerate(range(0, len(keys), MAXIMUM_HELD)):
        number = int(at.boot * 1000) + position
        batch = keys[start : start + MAXIMUM_HELD]
        for key in batch:
            event = fencing.Requested(at.boot, number)
            device = ours[key]._replace(authority=fencing.step(ours[key].authority, event))
            devices = devices.set(key, device)
        asked.append(effects.RequestRenewal(number, _named(ours, batch)))
    numbers = (*state.asked, *(each.number for each in asked))[-MAXIMUM_ASKED:]
    return state._replace(devices=devices, requested=at.boot, asked=numbers), tuple(asked)


def _named(devices: dict[Key, Device], keys: list[Key]) -> tuple[beat.Held, ...]:
    return tuple(
        beat.Held(namespace=key.namespace, device=key.name, epoch=devices[key].authority.epoch or 0)
        for key in keys
    )
