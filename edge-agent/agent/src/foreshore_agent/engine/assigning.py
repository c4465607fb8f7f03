"""A new desired state: devices, policies and grants come, change and go.

What is in force of each policy is for `versions` to choose; `state.problems` says what is held
back. What has not changed keeps everything it has learnt: windows, limits, decisions in flight.
Locks, devices and deletions never wait.
"""

import functools
from collections.abc import Mapping
from typing import Final

from foreshore_agent.engine import (
    authority,
    belief,
    deciding,
    due,
    durable,
    effects,
    presence,
    triggers,
    versions,
)
from foreshore_agent.engine.command import ledger, life
from foreshore_agent.engine.events import Assigned, Instant, Key
from foreshore_agent.engine.state import Binding, DeviceState, Remembered, State
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import agent, decision, telemetry
from foreshore_api.wire import assignment, report
from foreshore_decision import fencing, samples
from foreshore_decision.chain import facts
from foreshore_decision.policy import compiled as named

MAXIMUM_REMEMBERED: Final = 1000
"""Devices that are not assigned any more of which limits and holds are kept."""
MAXIMUM_DEPARTED: Final = 1000
"""Devices that are not assigned any more to which the right is kept: those of the highest epochs,
which were granted last."""


def assign(turn: Turn, state: State, event: Assigned) -> Change[State]:
    """Work by a new assignment from now on."""
    wanted = event.assignment
    site = wanted.site.name if wanted.site is not None else ""
    identity = state.identity
    source = f"/sites/{site}/nodes/{identity.node}/journals/{identity.journal}"
    state = state._replace(site=site, source=source)
    turn = turn._replace(site=site, source=source)
    assigned = {Key(device.namespace, device.name): device for device in wanted.devices}
    resolution = versions.resolve(state, wanted.policies, assigned, event.too_slow)
    absent = versions.absent(state, resolution)
    kept = _keep({**state.absent, **state.in_force}, {**absent, **resolution.in_force})
    remembered, left = _forget(turn, state, assigned)
    remembered, written = _write_down(turn, remembered, assigned)
    state = state._replace(authorities=_departed(state, assigned))
    devices: dict[Key, DeviceState] = {}
    done: list[effects.Effect] = []
    for key, device in assigned.items():
        entered, more = _enter(turn, state, device, resolution, event)
        devices[key] = entered
        done += more
        remembered.pop(key, None)
    readers = _readers(devices)
    done += _void_elsewhere(turn, state, devices, readers)
    done += versions.announce(turn, state, resolution)
    gone = _oldest(remembered)
    state = state._replace(
        readers=readers,
        in_force=resolution.in_force,
        absent=absent,
        problems=(*resolution.problems, *_doubts(state, event)),
        remembered={key: memory for key, memory in remembered.items() if key not in gone},
    )
    state = due.begin_anew(state, devices)
    forgotten = tuple(durable.device_gone(key) for key in gone)
    return Change(
        state, (*kept, *left, *written, *done, *forgotten, durable.authorities_value(state))
    )


def _enter(
    turn: Turn,
    state: State,
    assigned: assignment.AssignedDevice,
    resolution: versions.Resolution,
    event: Assigned,
) -> Change[DeviceState]:
    """Bring one device to the new assignment."""
    key = Key(assigned.namespace, assigned.name)
    compiled = resolution.compiled.get(key, {})
    device = state.devices.get(key)
    memory = state.remembered.get(key)
    if device is None:
        device = DeviceState(key, assigned, _authority(state, key, turn.at))
        if memory is not None:
            device = device._replace(
                actuators=memory.actuators, policy_logs=memory.policies, held=memory.held
            )
    change = Change(device)
    for name, binding in device.bindings.items():
        bound = compiled.get(name)
        if bound is None or bound.compiled is not binding.compiled:
            change = change.then(deciding.abandon, turn, name)
    device, done = change
    bindings = {
        name: _bind(device.bindings.get(name), version, turn.seconds)
        for name, version in compiled.items()
    }
    device, more = _heard_anew(turn, device._replace(bindings=bindings), assigned)
    done += more
    device = device._replace(authority=_granted(state, device, event))
    if memory is not None and not memory.is_known:
        device = ledger.spent_wholly(device, turn.seconds)
        done += (effects.Keep(*durable.device_value(turn, device)),)
    change = Change(device, done)
    if memory is not None:
        policy_of = functools.partial(versions.decided_by, state, device, resolution.others)
        change = change.then(life.recover, turn, memory.open, policy_of)
    return change.then(authority.follow, turn)


def _readers(devices: Mapping[Key, DeviceState]) -> Mapping[Key, tuple[Key, ...]]:
    """Return by device the others whose policies read it, so that a sample finds them at once."""
    readers: dict[Key, dict[Key, None]] = {}
    for key, device in devices.items():
        for binding in device.bindings.values():
            for other in binding.compiled.others:
                readers.setdefault(Key(other.namespace, other.device), {})[key] = None
    return {key: tuple(read_by) for key, read_by in readers.items() if key in devices}


def _heard_anew(
    turn: Turn, device: DeviceState, assigned: assignment.AssignedDevice
) -> Change[DeviceState]:
    """Take a device as it is assigned now, and wait for the words that it says elsewhere now."""
    redeclared = presence.redeclared(device.assigned, assigned)
    if presence.availability(device.assigned) != presence.availability(assigned):
        device = device._replace(presence=None)
    kept = frozenset(presence.last_words(assigned))
    device = device._replace(assigned=assigned, kept=kept)
    return deciding.void(turn, device, redeclared, decision.CONNECTION_GAP)


def _void_elsewhere(
    turn: Turn,
    state: State,
    devices: dict[Key, DeviceState],
    readers: Mapping[Key, tuple[Key, ...]],
) -> tuple[effects.Effect, ...]:
    """Let nothing count in a reader either that another device says elsewhere now.

    `devices` are those of the new assignment; readers are replaced in it.
    """
    done: tuple[effects.Effect, ...] = ()
    for key, read_by in readers.items():
        before = state.devices.get(key)
        if before is None:
            continue
        names = presence.redeclared(before.assigned, devices[key].assigned)
        if not names:
            continue
        elsewhere = named.names_elsewhere(key.name, names)
        for reader in read_by:
            devices[reader], more = deciding.unground(turn, devices[reader], elsewhere)
            done += more
    return done


def _bind(
    before: Binding | None,
    version: versions.CompiledVersion,
    seconds: float,
) -> Binding:
    """Bind a policy to a device, with what an earlier version has learnt as far as it fits."""
    compiled, origin = version
    if before is None:
        return Binding(compiled, origin, seconds)
    if before.compiled is compiled:
        return before
    same = {
        feature.name
        for feature in compiled.features
        if any(feature.has_window_of(earlier) for earlier in before.compiled.features)
    }
    return before._replace(
        compiled=compiled,
        origin=origin,
        flight=None,
        pending=None,
        replaced=_replaced(before),
        too_slow=None,
        windows={name: window for name, window in before.windows.items() if name in same},
        grids=_grids_still(before, compiled),
        last_good=_good_still(before, compiled),
        last=None,
    )


def _grids_still(
    before: Binding, compiled: named.CompiledPolicy
) -> Mapping[str, samples.SampleGrid]:
    """Return the windows of samples of tensors that take the same samples as before."""
    kept = {
        tensor.name
        for tensor, _ in compiled.sampled
        if any(tensor.has_window_of(other) for other, _ in before.compiled.sampled)
    }
    return {name: grid for name, grid in before.grids.items() if name in kept}


def _good_still(before: Binding, compiled: named.CompiledPolicy) -> Mapping[str, facts.Good]:
    """Return the last good values of inputs that read what they read before, of the same type."""
    read = {source.identity() for source in before.compiled.inputs}
    kept = {source.name for source in compiled.inputs if source.identity() in read}
    return {name: value for name, value in before.last_good.items() if name in kept}


def _replaced(before: Binding) -> Mapping[str, int]:
    """Count what waited for the earlier version, and for which nobody decides any more."""
    if before.pending is None:
        return before.replaced
    return triggers.with_more(before.replaced, ((telemetry.POLICY_REPLACED, 1),))


def _authority(state: State, key: Key, at: Instant) -> fencing.AuthorityState:
    """Return what is known of the right to a device that was not assigned until now.

    As after a restart: while it was away it heard nothing of the broker, so it has to listen anew.
    """
    kept, identity = state.authorities.get(key), state.identity
    if kept is None:
        authority = fencing.start(identity.node, identity.boot_id, at.boot)
    else:
        authority = fencing.recall(kept, identity.boot_id, at.boot)
    return fencing.step(authority, _broker(state, at.boot))


def _broker(state: State, boot: float) -> fencing.ConnectionChanged:
    return fencing.ConnectionChanged(boot, state.broker_connected, state.broker_deaf)


def _granted(state: State, device: DeviceState, event: Assigned) -> fencing.AuthorityState:
    """Step a device's authority to its grant.

    The broker's state first: who held nothing heard of none of its changes, and a successor that
    believed it gone would give back what it has just been granted.
    """
    grant, boot = device.assigned.grant, event.at.boot
    authority = fencing.step(device.authority, _broker(state, boot))
    if grant is None:
        return fencing.step(authority, fencing.Withdrawn(boot))
    if not _is_believed(state, event, grant):
        return authority
    granted = fencing.Granted(
        at=boot,
        holder=grant.holder,
        epoch=grant.epoch,
        lease_seconds=grant.lease_seconds,
        offline_seconds=grant.offline_seconds,
        self_granted=event.is_self_granted,
    )
    return fencing.step(authority, granted)


def _is_believed(state: State, event: Assigned, grant: assignment.Grant) -> bool:
    """Whether a grant is one to work by; nobody doubts what he gave himself."""
    return event.is_self_granted or belief.is_believable(state, grant.epoch, event.at)


def _doubts(state: State, event: Assigned) -> tuple[report.Problem, ...]:
    """Name the devices whose grant is not taken: they go on as if it had not come."""
    return tuple(
        report.Problem(
            kind="Device",
            namespace=device.namespace,
            name=device.name,
            reason=agent.EPOCH_BEYOND_BELIEF,
            message=f"epoch {device.grant.epoch} lies more than ten years ahead and is not taken"
            " up: look at the operator's clock and at status.authority of the Device",
        )
        for device in event.assignment.devices
        if device.grant is not None and not _is_believed(state, event, device.grant)
    )


def _forget(
    turn: Turn, state: State, assigned: Mapping[Key, assignment.AssignedDevice]
) -> tuple[dict[Key, Remembered], tuple[effects.Effect, ...]]:
    """Remember the limits and holds of devices that go, in case they come back.

    A decision that waits for its model ends first: nobody would ask for its answer any more.
    """
    remembered = dict(state.remembered)
    done: tuple[effects.Effect, ...] = ()
    for key, device in state.devices.items():
        if key not in assigned:
            change = Change(device)
            for name in device.bindings:
                change = change.then(deciding.abandon, turn, name)
            device, more = change.then(life.leave, turn)
            done += more
            remembered[key] = Remembered(
                actuators=device.actuators,
                policies=device.policy_logs,
                held=device.held,
                open=tuple(device.open.values()),
            )
    return remembered, done


def _write_down(
    turn: Turn,
    remembered: Mapping[Key, Remembered],
    assigned: Mapping[Key, assignment.AssignedDevice],
) -> tuple[dict[Key, Remembered], tuple[effects.Effect, ...]]:
    """Record what was decided of devices before a restart that are not assigned after it."""
    kept: dict[Key, Remembered] = {}
    done: tuple[effects.Effect, ...] = ()
    for key, memory in remembered.items():
        kept[key] = memory
        if key not in assigned and any(intent.unrecorded for intent in memory.open):
            kept[key], more = life.write_down(turn, key, memory)
            done += more
    return kept, done


def _oldest(remembered: Mapping[Key, Remembered]) -> frozenset[Key]:
    """Return the devices that left so long ago that nothing of them is kept any more."""
    return frozenset(list(remembered)[: max(0, len(remembered) - MAXIMUM_REMEMBERED)])


def _departed(
    state: State, assigned: Mapping[Key, assignment.AssignedDevice]
) -> dict[Key, fencing.AuthorityState]:
    """Remember the rights to devices that go: a device that returns must not revive an old one.

    What was remembered of a device that stays is outdated by what the device knows itself. All are
    written at each answer of the hub, so that of those that are away only the newest stay.
    """
    gone = {key: device.authority for key, device in state.devices.items() if key not in assigned}
    before = {key: right for key, right in state.authorities.items() if key not in state.devices}
    rights = {**before, **gone}
    away = sorted((rights[key].highest_seen, key) for key in rights if key not in assigned)
    for _, key in away[: max(0, len(away) - MAXIMUM_DEPARTED)]:
        del rights[key]
    return rights


def _keep(
    before: Mapping[Key, tuple[assignment.AssignedPolicy, ...]],
    after: Mapping[Key, tuple[assignment.AssignedPolicy, ...]],
) -> tuple[effects.Effect, ...]:
    """Make the versions in force durable where they have changed."""
    changed = [key for key in after if after[key] != before.get(key)]
    gone = [key for key in before if key not in after]
    return tuple(durable.policy_value(key, after.get(key, ())) for key in (*changed, *gone))
