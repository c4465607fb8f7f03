"""When a policy is evaluated: on samples, at its interval, after silence. One decision at a time.

sample ──► ready ──► begin             a flight, or the interval, not over: pending (the newest)
tick   ──► pending and ready, silence over ──► begin;  a question nobody answered ──► late
answer ──► conclude, then what is pending
"""

import math

from foreshore_agent.engine import deciding, effects, events, identifiers, samples
from foreshore_agent.engine.deciding import Outcome
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Binding, Device, State
from foreshore_decision.chain import facts, reasons

PROPERTY = "Property"
SILENCE = "Silence"


def sampled(
    state: State, device: Device, properties: frozenset[str], event: events.Sample
) -> Outcome:
    """Evaluate every policy that these properties trigger, or let it wait."""
    if not deciding.is_evaluating(device.standing):
        return Outcome(device)
    done: tuple[effects.Effect, ...] = ()
    for policy, binding in tuple(device.bindings.items()):
        hit = properties & binding.compiled.trigger.properties
        if not hit:
            continue
        stamp = samples.newest_stamp(event, hit)
        trigger = facts.Trigger(PROPERTY, min(hit), event.at.now, stamp)
        identity = identifiers.nth(event.fresh, len(done))
        seconds = state.identity.seconds(event.at)
        if _is_ready(binding, seconds):
            device, more = deciding.begin(
                state, device, policy, trigger, event.at.monotonic, event.at, identity
            )
            done += more
        else:
            binding = binding._replace(pending=(trigger, event.at.monotonic))
            device = device._replace(bindings={**device.bindings, policy: binding})
    return Outcome(device, done)


def ticked(state: State, device: Device, at: Instant, fresh: str) -> Outcome:
    """Evaluate what has become due."""
    done: tuple[effects.Effect, ...] = ()
    seconds = state.identity.seconds(at)
    for policy, binding in tuple(device.bindings.items()):
        if _is_forgotten(binding, at):
            answer = facts.Answer({}, problem=reasons.INFERENCE_LATE, detail="Unanswered")
            device, more = deciding.resume(state, device, policy, answer, at, {}, "")
            done += more
            binding = device.bindings[policy]
        if not deciding.is_evaluating(device.standing):
            continue
        identity = identifiers.nth(fresh, len(done))
        if binding.pending is not None:
            device, more = pending(state, device, policy, at, identity)
            done += more
        elif _is_silent(device, binding, seconds):
            trigger = facts.Trigger(SILENCE, None, None)
            device, more = deciding.begin(
                state, device, policy, trigger, at.monotonic, at, identity
            )
            done += more
    return Outcome(device, done)


def pending(state: State, device: Device, policy: Key, at: Instant, identity: str) -> Outcome:
    """Evaluate on the newest trigger that had to wait, if it need not wait any more."""
    binding = device.bindings[policy]
    waiting, seconds = binding.pending, state.identity.seconds(at)
    is_ready = _is_ready(binding, seconds)
    if waiting is None or not is_ready or not deciding.is_evaluating(device.standing):
        return Outcome(device)
    trigger, received = waiting
    received = max(received, at.monotonic - _overdue(binding, seconds))
    return deciding.begin(state, device, policy, trigger, received, at, identity)


def due(device: Device) -> float | None:
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


def next_due(device: Device) -> float | None:
    """Return the moment at which the next tick has something to do for the device.

    For a clock on which engine and monotonic seconds are one number, as in a rehearsal.
    """
    moments = [intent.due for intent in device.open.values() if intent.due < math.inf]
    if deciding.is_evaluating(device.standing):
        for binding in device.bindings.values():
            if binding.flight is not None:
                continue
            ready = -math.inf
            if binding.evaluated is not None:
                ready = binding.evaluated + binding.compiled.trigger.minimum_interval
            if binding.pending is not None:
                moments.append(ready)
            if wait := binding.compiled.trigger.after_silence:
                moments.append(max(ready, _quiet_since(device, binding) + wait))
    return min(moments, default=None)


def is_timed(device: Device) -> bool:
    """Whether anything of the device may become due by itself."""
    return bool(device.open) or any(
        binding.pending is not None
        or binding.flight is not None
        or binding.compiled.trigger.after_silence > 0
        for binding in device.bindings.values()
    )


def _is_ready(binding: Binding, seconds: float) -> bool:
    if binding.flight is not None:
        return False
    if binding.evaluated is None:
        return True
    return seconds - binding.evaluated >= binding.compiled.trigger.minimum_interval


def _overdue(binding: Binding, seconds: float) -> float:
    """Return the seconds since the interval was over: what it waited before is no latency."""
    if binding.evaluated is None:
        return 0.0
    return seconds - binding.evaluated - binding.compiled.trigger.minimum_interval


def _is_silent(device: Device, binding: Binding, seconds: float) -> bool:
    """Whether no sample came for afterSilence, and none was missed for as long since we looked."""
    wait = binding.compiled.trigger.after_silence
    if not wait or not _is_ready(binding, seconds):
        return False
    return seconds - _quiet_since(device, binding) >= wait


def _quiet_since(device: Device, binding: Binding) -> float:
    """Return the engine seconds from which a silence counts."""
    return max(binding.since, device.heard or binding.since, binding.evaluated or binding.since)


def _is_forgotten(binding: Binding, at: Instant) -> bool:
    """Whether the shell owes an answer that will not come: it must not stop a policy."""
    asked = binding.compiled.inference
    if binding.flight is None or asked is None:
        return False
    return at.monotonic > binding.flight.asked + asked.timeout + deciding.FLIGHT_GRACE
