"""`step(state, event) -> Change(state, effects)`: what each event does, as a table.

Called by the runtime only, one event at a time, in the order in which things happened.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Concatenate, Final, ParamSpec

from foreshore_agent.engine import (
    agenda,
    assigning,
    authority,
    belief,
    deciding,
    due,
    effects,
    events,
    presence,
    recording,
    sampling,
    triggers,
)
from foreshore_agent.engine import turn as turns
from foreshore_agent.engine.command import life
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import DeviceState, Intent, Recorder, State, command_id
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import agent, telemetry
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import metrics
from foreshore_decision import fencing
from foreshore_decision.policy import compiled

P = ParamSpec("P")

TICK_SECONDS: Final = agenda.SLOT_SECONDS
"""How often the runtime sends a `Tick`, in real seconds."""

_ACCEPTED: Final = effects.Count(metrics.TELEMETRY.name, (telemetry.ACCEPTED,))
PAUSE_SECONDS: Final = 5.0
"""Without a tick for so long, the agent was suspended, stopped or starved: windows have a gap."""


def step(
    state: State, event: events.Event, stopwatch: turns.Stopwatch = turns.UNMEASURED
) -> Change[State]:
    """Take one event in; return the next state and what is to be done."""
    return TABLE[type(event)](turns.begin(state, event, stopwatch), state, event)


def _sample(turn: Turn, state: State, event: events.Sample) -> Change[State]:
    state = _look_for_pause(turn, state)
    device = state.devices.get(event.device)
    if device is None:
        return Change(state, (effects.Count(metrics.TELEMETRY.name, (telemetry.UNASSIGNED,)),))
    device, properties, result = sampling.take(device, event, turn.seconds)
    if state.telemetry_lost is not None:  # it came before the connection went, and waited
        device = sampling.interrupted(device, state.telemetry_lost)
    if result == telemetry.ACCEPTED:
        change = Change(device, (_ACCEPTED,))
    else:
        change = Change(device, (effects.Count(metrics.TELEMETRY.name, (result,)),))
    if properties and device.open and not event.retained:  # what was kept proves no command
        change = change.then(life.measured, turn, properties)
    change = change.then(triggers.sampled, turn, properties, event)
    taken = _put(state, change)
    if event.device in state.readers:
        return taken.then(_read_elsewhere, turn, event, properties)
    return taken


def _read_elsewhere(
    turn: Turn, state: State, event: events.Sample, properties: frozenset[str]
) -> Change[State]:
    """Let the devices whose policies read the sample's device go on with it, in their order."""
    turn, source = turn._replace(devices=state.devices), state.devices[event.device]
    renamed, names = (
        sampling.elsewhere(event),
        compiled.names_elsewhere(source.key.name, properties),
    )
    change = Change(state)
    for key in state.readers[event.device]:
        reader = change.value.devices[key]
        reader = sampling.read_elsewhere(reader, source, event, properties, turn.seconds)
        if state.telemetry_lost is not None:
            reader = sampling.interrupted(reader, state.telemetry_lost)
        taken = triggers.sampled_elsewhere(turn, reader, names, renamed)
        state, done = _put(change.value, taken)
        change = Change(state, (*change.effects, *done))
    return change


def _void(
    turn: Turn, state: State, key: Key, names: frozenset[str], problem: reasons.GateReason
) -> Change[State]:
    """Make readings of a device void, for itself and for those whose policies read it."""
    change = _put(state, deciding.void(turn, state.devices[key], names, problem))
    if not names:
        return change
    elsewhere = compiled.names_elsewhere(key.name, names)
    for reader in state.readers.get(key, ()):
        state, done = change
        dropped = deciding.unground(turn, state.devices[reader], elsewhere)
        state, more = _put(state, dropped)
        change = Change(state, (*done, *more))
    return change


def _answered(
    turn: Turn,
    state: State,
    event: events.Inferred | events.InferenceLate | events.InferenceFailed,
) -> Change[State]:
    """Go on with the decision, then with what has waited for its end."""
    device = state.devices.get(event.device)
    binding = None if device is None else device.bindings.get(event.policy)
    flight = None if binding is None else binding.flight
    if device is None or flight is None or flight.before.given.decision_id != event.decision_id:
        return Change(state)
    change = deciding.resume(turn, device, event.policy, deciding.reply(event))
    return _put(state, change.then(triggers.pending, turn, event.policy))


def _policy_too_slow(turn: Turn, state: State, event: events.PolicyTooSlow) -> Change[State]:
    device = state.devices.get(event.device)
    if device is None or event.policy not in device.bindings:
        return Change(state)
    return _put(state, deciding.disarm(turn, device, event.policy, event.seconds))


def _intent_durable(turn: Turn, state: State, event: events.IntentDurable) -> Change[State]:
    return _advance(turn, state, event.device, command_id(event.decision_id), life.intent_durable)


def _intent_failed(turn: Turn, state: State, event: events.IntentFailed) -> Change[State]:
    return _advance(
        turn, state, event.device, command_id(event.decision_id), life.intent_failed, event.reason
    )


def _command_sent(turn: Turn, state: State, event: events.CommandSent) -> Change[State]:
    return _advance(turn, state, event.device, event.command_id, life.sent)


def _command_not_sent(turn: Turn, state: State, event: events.CommandNotSent) -> Change[State]:
    return _advance(turn, state, event.device, event.command_id, life.not_sent, event.reason)


def _acknowledged(turn: Turn, state: State, event: events.Acknowledged) -> Change[State]:
    answer = event.acknowledgement
    device = state.devices.get(event.device)
    if device is None or answer.command_id not in device.open:
        return Change(state)
    change = _advance(turn, state, event.device, answer.command_id, life.answered, answer)
    return change.then(authority.refused, turn, event.device, answer)


def _replied(turn: Turn, state: State, event: events.Replied) -> Change[State]:
    device = state.devices.get(event.device)
    if device is None:
        return Change(state)
    change = life.replied(turn, device, event.action, event.value)
    return _put(state, change)


def _assigned(turn: Turn, state: State, event: events.Assigned) -> Change[State]:
    change = assigning.assign(turn, state, event)
    if change.value.is_stopping:
        change = change.then(authority.give_back, turn)
    return change.then(authority.claim, turn)


def _renewed(turn: Turn, state: State, event: events.Renewed) -> Change[State]:
    refusal = belief.refusal(state, event)
    if refusal is not None:
        return Change(state, (effects.Refuse("a renewal", refusal),))
    return authority.renewed(turn, state, event)


def _peer_beat(turn: Turn, state: State, event: events.PeerBeat) -> Change[State]:
    refusal = belief.refusal(state, event)
    if refusal is not None:
        return Change(state, (effects.Refuse(f"a beat of {event.beat.node}", refusal),))
    remembered = effects.RememberPeer(event.beat, turn.at.monotonic)
    return authority.heard(turn, state, event.beat).also(remembered)


def _broker_changed(turn: Turn, state: State, event: events.BrokerChanged) -> Change[State]:
    state = state._replace(broker_connected=event.connected, broker_deaf=event.is_deaf)
    changed = fencing.ConnectionChanged(turn.at.boot, event.connected, event.is_deaf)
    return authority.broadcast(turn, state, lambda _: (changed,))


def _telemetry_changed(turn: Turn, state: State, event: events.TelemetryChanged) -> Change[State]:
    """Begin or end a gap; whether devices are there is unknown until it is said again.

    A connection that goes before it was up has brought words of devices too.
    """
    if event.connected:
        return Change(state._replace(telemetry_lost=None))
    if state.telemetry_lost is None:
        state = _interrupted(state._replace(telemetry_lost=turn.seconds), turn.seconds)
    done: tuple[effects.Effect, ...] = ()
    for key, device in state.devices.items():
        if not device.kept and device.presence is None:
            continue
        state, more = _void(turn, state, key, device.kept, reasons.CONNECTION_GAP)
        device = state.devices[key]._replace(presence=None)
        state, _ = _put(state, Change(device))
        done += more
    return Change(state, done)


def _availability(turn: Turn, state: State, event: events.Availability) -> Change[State]:
    """Take in whether a device is there; of one that went nothing counts that it said before.

    That it is there again makes nothing good: it may have changed unheard. Nothing is triggered.
    """
    device, lost = state.devices.get(event.device), state.telemetry_lost
    if device is None:
        return Change(state, (effects.Count(metrics.TELEMETRY.name, (telemetry.UNASSIGNED,)),))
    if device.assigned.profile.mqtt.availability is None:
        return Change(state)
    if lost is not None and turn.seconds <= lost:  # it came before the connection went
        return Change(state, (effects.Count(metrics.TELEMETRY.name, (telemetry.LATE,)),))
    change = Change(state, (_ACCEPTED,))
    if presence.is_leaving(device, event):
        everything = presence.everything(device)
        change = change.then(_void, turn, event.device, everything, reasons.DEVICE_OFFLINE)
    noted = presence.noted(change.value.devices[event.device], event, turn.seconds)
    return change.then(_keep, turn, noted)


def _hub_changed(turn: Turn, state: State, event: events.HubChanged) -> Change[State]:
    if event.unix is not None:
        state = state._replace(hub_ahead=max(state.hub_ahead, event.unix - turn.at.boot))
    return Change(state._replace(hub_connected=event.connected))


def _recorder_changed(turn: Turn, state: State, event: events.RecorderChanged) -> Change[State]:
    if event.full == state.recorder.full:
        since = state.recorder.since
        return Change(state._replace(recorder=Recorder(event.full, event.reason, since)))
    state = state._replace(recorder=Recorder(event.full, event.reason, turn.at.boot))
    reason = agent.RECORDER_FULL if event.full else agent.RECORDER_WORKS
    text = reason.message.format(detail=event.reason)
    return Change(state, recording.notice(turn, reason, text))


def _stopping(turn: Turn, state: State, _event: events.Stopping) -> Change[State]:
    return authority.give_back(turn, state._replace(is_stopping=True))


def _tick(turn: Turn, state: State, _event: events.Tick) -> Change[State]:
    state = _look_for_pause(turn, state)._replace(ticked=turn.at.boot)
    state, keys = due.take(turn, state)
    done: list[effects.Effect] = []
    for key in keys:
        state, more = _put(state, _looked_at(turn, state.devices[key]))
        done += more
    return Change(state, tuple(done)).then(authority.sweep, turn)


def _looked_at(turn: Turn, device: DeviceState) -> Change[DeviceState]:
    """Do what has become due of one device; nothing where it is not due yet."""
    if not device.open:
        return triggers.ticked(turn, device)
    return life.expire(turn, device).then(triggers.ticked, turn)


def _look_for_pause(turn: Turn, state: State) -> State:
    """Begin a gap of every window where this agent itself stood still: it has missed ticks.

    The boot clock counts suspended time too. In a rehearsal time leaps from row to row.
    """
    boot = turn.at.boot
    if state.ticked is None or turn.identity.virtual or boot - state.ticked < PAUSE_SECONDS:
        return state
    return _interrupted(state._replace(ticked=boot), state.ticked)


def _interrupted(state: State, seconds: float) -> State:
    """Begin a gap of every window."""
    devices = state.devices.mutate()
    for key, device in state.devices.items():
        interrupted = sampling.interrupted(device, seconds)
        if interrupted is not device:
            devices[key] = interrupted
    return state._replace(devices=devices.finish())


def _keep(_turn: Turn, state: State, device: DeviceState) -> Change[State]:
    return _put(state, Change(device))


def _put(state: State, change: Change[DeviceState]) -> Change[State]:
    """Store a device."""
    return Change(due.put(state, change.value), change.effects)


def _advance(
    turn: Turn,
    state: State,
    key: Key,
    command_id: str,
    take: Callable[Concatenate[Turn, DeviceState, Intent, P], Change[DeviceState]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Change[State]:
    """Let something happen to a command, if it is open."""
    device = state.devices.get(key)
    intent = None if device is None else device.open.get(command_id)
    if device is None or intent is None:
        return Change(state)
    return _put(state, take(turn, device, intent, *args, **kwargs))


TABLE: Final[Mapping[type, Callable[[Turn, State, Any], Change[State]]]] = MappingProxyType(
    {
        events.Sample: _sample,
        events.Inferred: _answered,
        events.InferenceLate: _answered,
        events.InferenceFailed: _answered,
        events.PolicyTooSlow: _policy_too_slow,
        events.IntentDurable: _intent_durable,
        events.IntentFailed: _intent_failed,
        events.CommandSent: _command_sent,
        events.CommandNotSent: _command_not_sent,
        events.Acknowledged: _acknowledged,
        events.Replied: _replied,
        events.Assigned: _assigned,
        events.Renewed: _renewed,
        events.PeerBeat: _peer_beat,
        events.BrokerChanged: _broker_changed,
        events.TelemetryChanged: _telemetry_changed,
        events.Availability: _availability,
        events.HubChanged: _hub_changed,
        events.RecorderChanged: _recorder_changed,
        events.Stopping: _stopping,
        events.Tick: _tick,
    }
)
"""What each event does; a test holds it to `events.Event`."""
