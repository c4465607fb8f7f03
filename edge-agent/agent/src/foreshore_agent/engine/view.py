"""What others may know of the engine: for reports, beats, metrics and the health check."""

from collections.abc import Iterator
from typing import Final

from foreshore_agent.engine import authority, triggers
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Binding, DeviceState, State
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import assignment, beat, document, report
from foreshore_decision import fencing
from foreshore_decision.policy import CompiledPolicy

PERIODS: Final = 3.0
"""A device that was not heard for so many of its usual periods is not connected."""
SHORTEST_SILENCE: Final = 5.0
"""Seconds of silence that say nothing, however fast a device usually speaks."""


def problems(state: State) -> tuple[report.Problem, ...]:
    """Return what could not be done as asked, and by which policies nothing is decided."""
    return (*state.problems, *_disarmed(state))


def _disarmed(state: State) -> Iterator[report.Problem]:
    """Yield each policy that was too slow, once, with the first device that it is disarmed on."""
    disarmed: dict[Key, Binding] = {}
    for device in state.devices.values():
        for policy, binding in device.bindings.items():
            if binding.too_slow is not None:
                disarmed.setdefault(policy, binding)
    for policy, binding in disarmed.items():
        yield report.Problem(
            kind="DecisionPolicy",
            namespace=policy.namespace,
            name=policy.name,
            generation=binding.compiled.generation,
            reason=reasons.EXPRESSION_TOO_SLOW,
            message=f"{binding.too_slow}; {reasons.EXPRESSION_TOO_SLOW.remedy}",
        )


def capped_by(state: State) -> tuple[str, ...]:
    """Return why modes are lowered on this node."""
    return (reasons.RECORDER_FULL,) if state.recorder.full else ()


def in_force(state: State) -> tuple[assignment.AssignedPolicy, ...]:
    """Return every version of every policy that devices work by, newest first within a policy.

    Replicas are asked by these, not by the assignment: a last good version keeps its own model and
    the endpoints that serve it.
    """
    return tuple(version for versions in state.in_force.values() for version in versions)


def last_in_force(state: State) -> tuple[assignment.AssignedPolicy, ...]:
    """Return the same and what was in force of policies that are not assigned, or not yet."""
    policies = {**state.absent, **state.in_force}
    return tuple(version for versions in policies.values() for version in versions)


def held(state: State) -> tuple[beat.Held, ...]:
    """Return the devices that this agent says it holds, for its beats."""
    return authority.held(state)


def held_count(state: State, at: Instant) -> int:
    """Return how many devices this agent may command now."""
    return sum(
        fencing.standing(device.authority, at.boot).is_permitting
        for device in state.devices.values()
    )


def devices(state: State, at: Instant) -> tuple[report.HeldDevice, ...]:
    """Return each device as this agent sees it."""
    seconds = state.identity.seconds(at)
    return tuple(
        report.HeldDevice(
            namespace=key.namespace,
            device=key.name,
            connected=_is_connected(device, seconds),
            offline=None if device.presence is None else not device.presence.is_online,
            epoch=device.authority.epoch,
            standing=fencing.standing(device.authority, at.boot).value,
            gave_back=device.authority.given_back,
            highest_epoch_seen=min(device.authority.highest_seen, document.LARGEST),
        )
        for key, device in sorted(state.devices.items())
    )


def is_awaiting_successor(state: State) -> bool:
    """Whether a right that was given back has not been granted to another agent yet."""
    node = state.identity.node
    return any(
        device.authority.given_back
        and device.assigned.grant is not None
        and device.assigned.grant.holder == node
        for device in state.devices.values()
    )


def due(state: State) -> float | None:
    """Return the engine seconds at which the first trigger that waits for its interval is due."""
    waiting = (triggers.due(state.devices[key]) for key in state.timers.booked)
    return min((moment for moment in waiting if moment is not None), default=None)


def next_due(state: State) -> float | None:
    """Return the moment at which the next tick has something to do; see `triggers.next_due`."""
    keys = (*state.timers.booked, *state.timeouts.booked)
    moments = (triggers.next_due(state.devices[key]) for key in keys)
    return min((moment for moment in moments if moment is not None), default=None)


def policies(state: State) -> Iterator[tuple[Key, Key, CompiledPolicy]]:
    """Yield device, policy and the compiled policy in force."""
    for key, device in state.devices.items():
        for name, binding in device.bindings.items():
            yield key, name, binding.compiled


def _is_connected(device: DeviceState, seconds: float) -> bool:
    """Whether it was said to be there; where nobody says it, whether telemetry came lately.

    That is within three usual periods, or the longest maximumAge.
    """
    if device.presence is not None:
        return device.presence.is_online
    if device.heard is None:
        return False
    ages = [
        source.maximum_age
        for binding in device.bindings.values()
        for source in binding.compiled.inputs
        if source.other is None
    ]
    patience = max([PERIODS * (device.period or 0.0), SHORTEST_SILENCE, *ages])
    return seconds - device.heard <= patience


def silent(state: State) -> tuple[Key, ...]:
    """Return the devices of which nothing was ever read: no value, no word of whether it is there.

    Without its word nobody decides anything about it, and no record would say so.
    """
    return tuple(
        sorted(
            key
            for key, device in state.devices.items()
            if device.heard is None and device.presence is None and not device.readings
        )
    )


def windowed(state: State) -> frozenset[Key]:
    """Return the devices of which a policy looks at more than the newest values."""
    return frozenset(
        key if source.other is None else Key(source.other.namespace, source.other.device)
        for key, device in state.devices.items()
        for binding in device.bindings.values()
        for _, source in binding.compiled.windowed
    )
