"""`step(state, event) -> (state, effects)`: what each event does, as a table.

Called by the runtime only, one event at a time, in the order in which things happened.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import immutables

from foreshore_agent.engine import (
    assigning,
    authority,
    belief,
    commanding,
    deciding,
    effects,
    events,
    identifiers,
    recording,
    samples,
    triggers,
)
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Device, Recorder, State
from foreshore_api.wire import metrics
from foreshore_decision import fencing, record
from foreshore_decision.chain import facts, reasons

TICK_SECONDS: Final = 0.05
"""How often the runtime sends a `Tick`, in real seconds."""

UNASSIGNED: Final = "Unassigned"
RECORDER_WORKS: Final = "RecorderWorks"

Stepped = tuple[State, tuple[effects.Effect, ...]]


def step(state: State, event: events.Event) -> Stepped:
    """Take one event in; return the next state and what is to be done."""
    return TABLE[type(event)](state, event)


def _sample(state: State, event: events.Sample) -> Stepped:
    device = state.devices.get(event.device)
    if device is None:
        return state, (effects.Count(metrics.TELEMETRY.name, (UNASSIGNED,)),)
    device, properties, result = samples.take(device, event, state.identity.seconds(event.at))
    if not properties:
        return state, (effects.Count(metrics.TELEMETRY.name, (result,)),)
    done: tuple[effects.Effect, ...] = ()
    if device.open:
        device, done = commanding.read_back(state, device, properties, event.at)
    device, decided = triggers.sampled(state, device, properties, event)
    return _put(state, event.device, device, (*done, *decided))


def _inferred(state: State, event: events.Inferred) -> Stepped:
    answer, latency = deciding.answered(event)
    return _resume(state, event, answer, latency, event.node)


def _inference_late(state: State, event: events.InferenceLate) -> Stepped:
    answer = facts.Answer({}, event.attempts, reasons.INFERENCE_LATE, event.reason)
    return _resume(state, event, answer, {}, "")


def _inference_failed(state: State, event: events.InferenceFailed) -> Stepped:
    is_other = event.reason == reasons.OTHER_VERSION
    problem = reasons.OTHER_VERSION if is_other else reasons.INFERENCE_FAILED
    answer = facts.Answer({}, event.attempts, problem, event.reason)
    return _resume(state, event, answer, {}, "")


def _resume(
    state: State,
    event: events.Inferred | events.InferenceLate | events.InferenceFailed,
    answer: facts.Answer,
    latency: dict[str, float],
    node: str,
) -> Stepped:
    """Go on with the decision, then with what has waited for its end."""
    device = state.devices.get(event.device)
    binding = None if device is None else device.bindings.get(event.policy)
    flight = None if binding is None else binding.flight
    if device is None or flight is None or flight.found.given.decision_id != event.decision_id:
        return state, ()
    device, done = deciding.resume(state, device, event.policy, answer, event.at, latency, node)
    device, more = triggers.pending(state, device, event.policy, event.at, event.fresh)
    return _put(state, event.device, device, (*done, *more))


def _intent_durable(state: State, event: events.IntentDurable) -> Stepped:
    return _act(state, event.device, _command(event.decision_id), commanding.send, event)


def _intent_failed(state: State, event: events.IntentFailed) -> Stepped:
    return _act(state, event.device, _command(event.decision_id), commanding.not_recorded, event)


def _command_sent(state: State, event: events.CommandSent) -> Stepped:
    return _act(state, event.device, event.command_id, commanding.sent, event)


def _command_not_sent(state: State, event: events.CommandNotSent) -> Stepped:
    return _act(state, event.device, event.command_id, commanding.not_sent(event.reason), event)


def _acknowledged(state: State, event: events.Acknowledged) -> Stepped:
    device = state.devices.get(event.device)
    intent = None if device is None else device.open.get(event.acknowledgement.command_id)
    if device is None or intent is None:
        return state, ()
    device, done = commanding.answered(state, device, intent, event.acknowledgement, event.at)
    state, done = _put(state, event.device, device, done)
    state, fenced = authority.refused(
        state, device.key, event.acknowledgement, event.at, event.fresh
    )
    return state, (*done, *fenced)


def _assigned(state: State, event: events.Assigned) -> Stepped:
    state, done = assigning.assign(state, event)
    if state.is_stopping:
        fresh = identifiers.nth(event.fresh, len(done))
        state, returned = authority.give_back(state, event.at, fresh)
        done = (*done, *returned)
    state, claimed = authority.claim(state, event.at)
    awake = {key: None for key, device in state.devices.items() if triggers.is_timed(device)}
    state = state._replace(awake=immutables.Map(awake))
    return state, (*done, *claimed)


def _renewed(state: State, event: events.Renewed) -> Stepped:
    refused = belief.refusal(state, event)
    if refused is not None:
        return state, (effects.Refuse("a renewal", refused),)
    return authority.renewed(state, event)


def _peer_beat(state: State, event: events.PeerBeat) -> Stepped:
    refused = belief.refusal(state, event)
    if refused is not None:
        return state, (effects.Refuse(f"a beat of {event.beat.node}", refused),)
    return authority.heard(state, event.beat, event.at, event.fresh)


def _broker_changed(state: State, event: events.BrokerChanged) -> Stepped:
    state = state._replace(broker_connected=event.connected, broker_deaf=event.is_deaf)
    told = fencing.BrokerChanged(event.at.boot, event.connected, event.is_deaf)
    return authority.broadcast(state, lambda _: (told,), event.at, event.fresh)


def _hub_changed(state: State, event: events.HubChanged) -> Stepped:
    if event.unix is not None:
        state = state._replace(hub_ahead=max(state.hub_ahead, event.unix - event.at.boot))
    return state._replace(hub_connected=event.connected), ()


def _recorder_changed(state: State, event: events.RecorderChanged) -> Stepped:
    if event.full == state.recorder.full:
        since = state.recorder.since
        return state._replace(recorder=Recorder(event.full, event.reason, since)), ()
    state = state._replace(recorder=Recorder(event.full, event.reason, event.at.boot))
    reason = reasons.RECORDER_FULL if event.full else RECORDER_WORKS
    text = "modes are capped until records can be written" if event.full else "records are written"
    said = recording.notice(state, event.at, event.fresh, reason, f"{text} ({event.reason})")
    return state, said


def _stopping(state: State, event: events.Stopping) -> Stepped:
    return authority.give_back(state._replace(is_stopping=True), event.at, event.fresh)


def _tick(state: State, event: events.Tick) -> Stepped:
    done: tuple[effects.Effect, ...] = ()
    for key in state.awake:
        device = state.devices.get(key)
        if device is None:
            continue
        before = device
        if device.open:
            device, done_ = commanding.expire(state, device, event.at)
            done += done_
        fresh = identifiers.nth(event.fresh, len(done))
        device, decided = triggers.ticked(state, device, event.at, fresh)
        if device is not before:
            state, _ = _put(state, key, device, decided)
        done += decided
    fresh = identifiers.nth(event.fresh, len(done))
    state, swept = authority.sweep(state, event.at, fresh)
    return state, (*done, *swept)


def _put(state: State, key: Key, device: Device, done: tuple[effects.Effect, ...]) -> Stepped:
    """Store a device, and whether ticks have to look at it."""
    awake = state.awake
    if triggers.is_timed(device):
        awake = awake if key in awake else awake.set(key, None)
    elif key in awake:
        awake = awake.delete(key)
    return state._replace(devices=state.devices.set(key, device), awake=awake), done


def _act(
    state: State, key: Key, command_id: str, act: commanding.Act, event: events.Event
) -> Stepped:
    """Take the next step of a command's life."""
    device = state.devices.get(key)
    intent = None if device is None else device.open.get(command_id)
    if device is None or intent is None:
        return state, ()
    device, done = act(state, device, intent, event.at)
    return _put(state, key, device, done)


def _command(decision_id: str) -> str:
    return f"{decision_id}/{record.PASS_NUMBER}"


TABLE: Final[Mapping[type, Callable[[State, Any], Stepped]]] = MappingProxyType(
    {
        events.Sample: _sample,
        events.Inferred: _inferred,
        events.InferenceLate: _inference_late,
        events.InferenceFailed: _inference_failed,
        events.IntentDurable: _intent_durable,
        events.IntentFailed: _intent_failed,
        events.CommandSent: _command_sent,
        events.CommandNotSent: _command_not_sent,
        events.Acknowledged: _acknowledged,
        events.Assigned: _assigned,
        events.Renewed: _renewed,
        events.PeerBeat: _peer_beat,
        events.BrokerChanged: _broker_changed,
        events.HubChanged: _hub_changed,
        events.RecorderChanged: _recorder_changed,
        events.Stopping: _stopping,
        events.Tick: _tick,
    }
)
"""What each event does; a test holds it to `events.Event`."""
