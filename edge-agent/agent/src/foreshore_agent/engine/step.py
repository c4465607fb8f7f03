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
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import metrics
from foreshore_decision import fencing, record
from foreshore_decision.chain import facts

TICK_SECONDS: Final = 0.05
"""How often the runtime sends a `Tick`, in real seconds."""

PAUSE_SECONDS: Final = 5.0
"""Without a tick for so long, the agent was suspended, stopped or starved: windows have a gap."""

UNASSIGNED: Final = "Unassigned"
RECORDER_WORKS: Final = "RecorderWorks"

Stepped = tuple[State, tuple[effects.Effect, ...]]


def step(state: State, event: events.Event) -> Stepped:
    """Take one event in; return the next state and what is to be done."""
    return TABLE[type(event)](state, event)


def _sample(state: State, event: events.Sample) -> Stepped:
    state = _look_for_pause(state, event.at)
    device = state.devices.get(event.device)
    if device is None:
        return state, (effects.Count(metrics.TELEMETRY.name, (UNASSIGNED,)),)
    device, properties, result = samples.take(device, event, state.identity.seconds(event.at))
    if state.telemetry_lost is not None:  # it came before the connection went, and waited
        device = samples.interrupted(device, state.telemetry_lost)
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
    state, key = _landed(state, event.decision_id)
    device = None if key is None else state.devices.get(key)
    if key is None or device is None:
        return state, ()
    for policy, binding in device.bindings.items():
        flight = binding.flight
        if flight is not None and flight.found.given.decision_id == event.decision_id:
            device, done = deciding.resume(state, device, policy, answer, event.at, latency, node)
            device, more = triggers.pending(state, device, policy, event.at, event.fresh)
            return _put(state, key, device, (*done, *more))
    return state, ()


def _intent_durable(state: State, event: events.IntentDurable) -> Stepped:
    return _act(state, event.token, commanding.send, event)


def _intent_failed(state: State, event: events.IntentFailed) -> Stepped:
    return _act(state, event.token, commanding.not_recorded, event)


def _published(state: State, event: events.Published) -> Stepped:
    return _act(state, _decision(event.command_id), commanding.sent, event)


def _publish_failed(state: State, event: events.PublishFailed) -> Stepped:
    return _act(state, _decision(event.command_id), commanding.not_sent(event.reason), event)


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
    flights = {
        binding.flight.found.given.decision_id: key
        for key, device in state.devices.items()
        for binding in device.bindings.values()
        if binding.flight is not None
    }
    flights |= {
        intent.decision_id: key
        for key, device in state.devices.items()
        for intent in device.open.values()
    }
    state = state._replace(awake=immutables.Map(awake), flights=immutables.Map(flights))
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


def _telemetry_changed(state: State, event: events.TelemetryChanged) -> Stepped:
    if event.connected:
        return state._replace(telemetry_lost=None), ()
    if state.telemetry_lost is not None:
        return state, ()
    lost = state.identity.seconds(event.at)
    return _interrupted(state._replace(telemetry_lost=lost), lost), ()


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
    state = _look_for_pause(state, event.at)._replace(ticked=event.at.boot)
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


def _look_for_pause(state: State, at: events.Instant) -> State:
    """Begin a gap of every window where this agent itself stood still: it has missed ticks.

    The boot clock counts suspended time too. In a rehearsal time leaps from row to row.
    """
    if state.ticked is None or state.identity.virtual or at.boot - state.ticked < PAUSE_SECONDS:
        return state
    return _interrupted(state._replace(ticked=at.boot), state.ticked)


def _interrupted(state: State, seconds: float) -> State:
    """Begin a gap of every window."""
    devices = state.devices.mutate()
    for key, device in state.devices.items():
        interrupted = samples.interrupted(device, seconds)
        if interrupted is not device:
            devices[key] = interrupted
    return state._replace(devices=devices.finish())


def _put(state: State, key: Key, device: Device, done: tuple[effects.Effect, ...]) -> Stepped:
    """Store a device, where its decisions are found, and whether ticks have to look at it."""
    flights, awake = state.flights, state.awake
    for effect in done:
        if isinstance(effect, effects.Infer):
            flights = flights.set(effect.decision_id, key)
        elif isinstance(effect, effects.Journal) and effect.token is not None:
            flights = flights.set(effect.token, key)
        elif isinstance(effect, effects.Publish):
            flights = flights.set(_decision(effect.command_id), key)
    if triggers.is_timed(device):
        awake = awake if key in awake else awake.set(key, None)
    elif key in awake:
        awake = awake.delete(key)
    devices = state.devices.set(key, device)
    return state._replace(devices=devices, flights=flights, awake=awake), done


def _landed(state: State, decision_id: str) -> tuple[State, Key | None]:
    """Forget where a decision is found: what it waited for has come."""
    key = state.flights.get(decision_id)
    if key is None:
        return state, None
    return state._replace(flights=state.flights.delete(decision_id)), key


def _act(state: State, decision_id: str, act: commanding.Act, event: events.Event) -> Stepped:
    """Take the next step of a command's life."""
    state, key = _landed(state, decision_id)
    device = None if key is None else state.devices.get(key)
    intent = None if device is None else device.open.get(f"{decision_id}/{record.PASS_NUMBER}")
    if key is None or device is None or intent is None:
        return state, ()
    device, done = act(state, device, intent, event.at)
    return _put(state, key, device, done)


def _decision(command_id: str) -> str:
    return command_id.partition("/")[0]


TABLE: Final[Mapping[type, Callable[[State, Any], Stepped]]] = MappingProxyType(
    {
        events.Sample: _sample,
        events.Inferred: _inferred,
        events.InferenceLate: _inference_late,
        events.InferenceFailed: _inference_failed,
        events.IntentDurable: _intent_durable,
        events.IntentFailed: _intent_failed,
        events.Published: _published,
        events.PublishFailed: _publish_failed,
        events.Acknowledged: _acknowledged,
        events.Assigned: _assigned,
        events.Renewed: _renewed,
        events.PeerBeat: _peer_beat,
        events.BrokerChanged: _broker_changed,
        events.TelemetryChanged: _telemetry_changed,
        events.HubChanged: _hub_changed,
        events.RecorderChanged: _recorder_changed,
        events.Stopping: _stopping,
        events.Tick: _tick,
    }
)
"""What each event does; a test holds it to `events.Event`."""
