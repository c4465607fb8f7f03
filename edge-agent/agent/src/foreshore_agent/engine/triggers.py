"""When a policy is evaluated: on samples, at its interval, after silence. One decision at a time.

sample ──► ready ──► begin             a flight, or the interval, not over: pending (the newest)
       └─► a newer one in the same turn: pending, until that one is taken
tick   ──► pending and ready, silence over ──► begin;  a question nobody answered ──► late
answer ──► conclude, then what is pending

A trigger that a newer one replaces is counted by reason in its binding, until the next record tells
of it: nothing that came is lost without a word.
"""

from collections.abc import Iterable, Mapping

from foreshore_agent.engine import agenda, deciding, events, sampling
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Binding, DeviceState, Flight
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons import inference, telemetry
from foreshore_decision.chain import facts
from foreshore_decision.instant import has_passed

PROPERTY = "Property"
SILENCE = "Silence"


def sampled(
    turn: Turn, device: DeviceState, properties: frozenset[str], event: events.Sample
) -> Change[DeviceState]:
    """Evaluate every policy that these properties trigger, or let it wait.

    The last sample of a turn also ends the wait of those that waited for it in vain, because it has
    nothing of theirs.
    """
    return _sampled(turn, device, device.bindings, properties, event)


def sampled_elsewhere(
    turn: Turn, reader: DeviceState, names: frozenset[str], event: events.Sample
) -> Change[DeviceState]:
    """Evaluate the policies of a device that read the sample's device, another one.

    `names` are the new properties, as the event's are, by the names that they have there.
    """
    bindings = {
        policy: binding
        for policy, binding in reader.bindings.items()
        if any(other.device == event.device.name for other in binding.compiled.others)
    }
    return _sampled(turn, reader, bindings, names, event)


def _sampled(
    turn: Turn,
    device: DeviceState,
    bindings: Mapping[Key, Binding],
    properties: frozenset[str],
    event: events.Sample,
) -> Change[DeviceState]:
    change = Change(device)
    if not deciding.is_evaluating(device.standing):
        return change
    for policy, binding in bindings.items():
        hit = properties & binding.compiled.trigger.properties
        if hit:
            stamp = sampling.newest_stamp(event, hit)
            trigger = facts.Trigger(PROPERTY, min(hit), turn.at.now, stamp)
            change = change.then(_triggered, turn, policy, trigger, event)
        elif event.is_last or event.replaced:
            change = change.then(_not_triggered, turn, policy, event)
    return change


def _not_triggered(
    turn: Turn, device: DeviceState, policy: Key, event: events.Sample
) -> Change[DeviceState]:
    """Go on after a sample that has nothing new for a policy: those before it may have had.

    A message that came twice must neither hold a decision up until the next tick, nor take with it
    the number of those that were not read because of it.
    """
    binding = device.bindings[policy]
    heard = binding.compiled.trigger.properties
    if event.replaced and not heard.isdisjoint((*event.values, *event.refused)):
        binding = binding._replace(replaced=with_more(binding.replaced, event.replaced))
        device = deciding.bound(device, policy, binding)
    return pending(turn, device, policy) if event.is_last else Change(device)


def _triggered(
    turn: Turn, device: DeviceState, policy: Key, trigger: facts.Trigger, event: events.Sample
) -> Change[DeviceState]:
    binding = _counted(device.bindings[policy], event, turn.seconds)
    is_ready = _is_ready(binding, turn.seconds) and not event.is_followed
    if not is_ready:
        binding = binding._replace(pending=(trigger, turn.at.monotonic))
    if binding is not device.bindings[policy]:
        device = deciding.bound(device, policy, binding)
    if not is_ready:
        return Change(device)
    return deciding.begin(turn, device, policy, trigger, turn.at.monotonic)


def _counted(binding: Binding, event: events.Sample, seconds: float) -> Binding:
    """Count what a trigger replaces: the one that waits, and messages that were never read."""
    if binding.pending is None and not event.replaced:
        return binding
    replaced = event.replaced
    if binding.pending is not None:
        replaced = (*replaced, (_waits_for(binding, seconds), 1))
    return binding._replace(replaced=with_more(binding.replaced, replaced))


def with_more(counts: Mapping[str, int], more: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    """Add numbers of samples to those by reason; the keys are plain text, as a record has them."""
    added = dict(counts)
    for reason, count in more:
        key = str(reason)
        added[key] = added.get(key, 0) + count
    return added


def _waits_for(binding: Binding, seconds: float) -> str:
    """Return why a trigger has been replaced before its turn came."""
    if binding.flight is not None:
        return telemetry.NEWER_WHILE_DECIDING
    is_ready = _is_ready(binding, seconds)
    return telemetry.NEWER_IN_TURN if is_ready else telemetry.NEWER_WITHIN_INTERVAL


def ticked(turn: Turn, device: DeviceState) -> Change[DeviceState]:
    """Evaluate what has become due."""
    change = Change(device)
    for policy in device.bindings:
        change = change.then(_forgotten, turn, policy)
        if deciding.is_evaluating(device.standing):
            change = change.then(_timed, turn, policy)
    return change


def _forgotten(turn: Turn, device: DeviceState, policy: Key) -> Change[DeviceState]:
    """End a decision whose question nobody has answered."""
    if not _is_forgotten(turn, device.bindings[policy]):
        return Change(device)
    answer = facts.Answer({}, problem=reasons.INFERENCE_LATE, detail=inference.UNANSWERED)
    return deciding.resume(turn, device, policy, deciding.Reply(answer))


def _timed(turn: Turn, device: DeviceState, policy: Key) -> Change[DeviceState]:
    binding = device.bindings[policy]
    if binding.pending is not None:
        return pending(turn, device, policy)
    if _is_silent(device, binding, turn.seconds):
        trigger = facts.Trigger(SILENCE, None, None)
        return deciding.begin(turn, device, policy, trigger, turn.at.monotonic)
    return Change(device)


def pending(turn: Turn, device: DeviceState, policy: Key) -> Change[DeviceState]:
    """Evaluate on the newest trigger that had to wait, if it need not wait any more."""
    binding = device.bindings[policy]
    waiting, is_ready = binding.pending, _is_ready(binding, turn.seconds)
    if waiting is None or not is_ready or not deciding.is_evaluating(device.standing):
        return Change(device)
    trigger, received = waiting
    received = max(received, turn.at.monotonic - _overdue(binding, turn.seconds))
    return deciding.begin(turn, device, policy, trigger, received)


def due(device: DeviceState) -> float | None:
    """Return the engine seconds at which the first trigger that waits for its interval is due."""
    if not deciding.is_evaluating(device.standing):
        return None
    return min(
        (
            (binding.evaluated or 0.0) + binding.compiled.trigger.minimum_interval
            for binding in device.bindings.values()
            if binding.pending is not None and binding.flight is None
        ),
        default=None,
    )


def next_due(device: DeviceState) -> float | None:
    """Return the moment at which the next tick has something to do for the device.

    For a clock on which engine and monotonic seconds are one number, as in a rehearsal, and where
    no question waits for its answer.
    """
    moment = min(timer_due(device), _command_due(device))
    return None if moment == agenda.NEVER else moment


def timer_due(device: DeviceState) -> float:
    """Return the engine seconds at which an interval or a silence of the device is over.

    `NEVER` where there is none; of a policy that asks a model, none until it has answered.
    """
    moment = agenda.NEVER
    if not deciding.is_evaluating(device.standing):
        return moment
    for binding in device.bindings.values():
        wait = binding.compiled.trigger.after_silence
        if binding.flight is not None or not (binding.pending or wait):
            continue
        ready = agenda.AT_ONCE
        if binding.evaluated is not None:
            ready = binding.evaluated + binding.compiled.trigger.minimum_interval
        if binding.pending is not None:
            moment = min(moment, ready)
        if wait:
            moment = min(moment, max(ready, _quiet_since(device, binding) + wait))
    return moment


def timeout_due(device: DeviceState) -> float:
    """Return the monotonic seconds at which a command or a question has waited long enough.

    `NEVER` where nothing waits.
    """
    moment = _command_due(device) if device.open else agenda.NEVER
    for binding in device.bindings.values():
        flight = binding.flight
        if flight is not None:
            moment = min(moment, _forgotten_at(binding, flight))
    return moment


def _command_due(device: DeviceState) -> float:
    return min((intent.due for intent in device.open.values()), default=agenda.NEVER)


def _is_ready(binding: Binding, seconds: float) -> bool:
    if binding.flight is not None:
        return False
    if binding.evaluated is None:
        return True
    return has_passed(binding.evaluated, binding.compiled.trigger.minimum_interval, seconds)


def _overdue(binding: Binding, seconds: float) -> float:
    """Return the seconds since the interval was over: what it waited before is no latency."""
    if binding.evaluated is None:
        return 0.0
    over = seconds - binding.evaluated - binding.compiled.trigger.minimum_interval
    return max(0.0, over)  # it is over a rounding error before that


def _is_silent(device: DeviceState, binding: Binding, seconds: float) -> bool:
    """Whether no sample came for afterSilence, and none was missed for as long since we looked."""
    wait = binding.compiled.trigger.after_silence
    if not wait or not has_passed(_quiet_since(device, binding), wait, seconds):
        return False
    return _is_ready(binding, seconds)


def _quiet_since(device: DeviceState, binding: Binding) -> float:
    """Return the engine seconds from which a silence counts."""
    return max(binding.since, device.heard or binding.since, binding.evaluated or binding.since)


def _is_forgotten(turn: Turn, binding: Binding) -> bool:
    """Whether the shell owes an answer that will not come: it must not stop a policy."""
    flight = binding.flight
    return flight is not None and turn.at.monotonic > _forgotten_at(binding, flight)


def _forgotten_at(binding: Binding, flight: Flight) -> float:
    """Return the monotonic seconds after which nobody waits for an answer any more."""
    inference = binding.compiled.inference
    return (
        agenda.NEVER
        if inference is None
        else flight.asked + inference.timeout + deciding.FLIGHT_GRACE
    )
