"""A new desired state: devices, policies and grants come, change and go.

A version of a policy that does not compile for a device, or whose model no replica serves yet,
leaves the newest that was in force there, as far as the new one lets it (`adopting`);
`state.problems` says so for as long. What has not changed keeps everything it has learnt: windows,
limits, decisions in flight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import immutables

from foreshore_agent.engine import (
    adopting,
    authority,
    belief,
    deciding,
    durable,
    effects,
)
from foreshore_agent.engine.command import ledger, life
from foreshore_agent.engine.events import Assigned, Instant, Key
from foreshore_agent.engine.state import Binding, Device, Remembered, State
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.conditions import Reason
from foreshore_api.wire import assignment, report
from foreshore_decision import fencing, policy
from foreshore_decision.policy.compiled import CompiledPolicy

MAXIMUM_MESSAGE: Final = 1024
MAXIMUM_REMEMBERED: Final = 1000
"""Devices that are not assigned any more of which limits and holds are kept."""
MAXIMUM_VERSIONS: Final = 8
"""Of one policy, beyond which none is kept for devices that nothing binds."""
MAXIMUM_DEPARTED: Final = 1000
"""Devices that are not assigned any more to which the right is kept: those of the highest epochs,
which were granted last."""
MAXIMUM_ABSENT: Final = 100
"""Policies that are not assigned any more of which the last good versions are kept."""
MAXIMUM_DEVICES: Final = 10_000
"""Of one version, as `wire.assignment` bounds them."""
Origin = tuple[str, str, assignment.AssignedModel | None]
_Found = tuple[CompiledPolicy, Origin]


@dataclass
class _Plan:
    """What an assignment comes to, while it is being read."""

    compiled: dict[Key, dict[Key, _Found]] = field(default_factory=dict)
    """By device and policy."""
    in_force: dict[Key, tuple[assignment.AssignedPolicy, ...]] = field(default_factory=dict)
    problems: list[report.Problem] = field(default_factory=list)


def assign(turn: Turn, state: State, event: Assigned) -> Change[State]:
    """Work by a new assignment from now on."""
    wanted = event.assignment
    site = wanted.site.name if wanted.site is not None else ""
    identity = state.identity
    source = f"/sites/{site}/nodes/{identity.node}/journals/{identity.journal}"
    state = state._replace(site=site, source=source)
    turn = turn._replace(site=site, source=source)
    assigned = {Key(each.namespace, each.name): each for each in wanted.devices}
    plan = _Plan()
    for each in wanted.policies:
        _resolve(state, each, assigned, site, plan)
    absent = _absent(state, plan)
    kept = _keep({**state.absent, **state.in_force}, {**absent, **plan.in_force})
    remembered, left = _forget(turn, state, assigned)
    state = state._replace(authorities=_departed(state, assigned))
    devices: dict[Key, Device] = {}
    done: list[effects.Effect] = []
    for key, device in assigned.items():
        entered, more = _enter(turn, state, device, plan.compiled.get(key, {}), event)
        devices[key] = entered
        done += more
        remembered.pop(key, None)
    done += adopting.announce(turn, state, plan.problems, plan.in_force)
    gone = _oldest(remembered)
    state = state._replace(
        devices=immutables.Map(devices),
        in_force=plan.in_force,
        absent=absent,
        problems=(*plan.problems, *_doubts(state, event)),
        remembered={key: each for key, each in remembered.items() if key not in gone},
    )
    forgotten = tuple(durable.device_gone(key) for key in gone)
    return Change(state, (*kept, *left, *done, *forgotten, durable.authorities_value(state)))


def _resolve(
    state: State,
    wanted: assignment.AssignedPolicy,
    assigned: Mapping[Key, assignment.AssignedDevice],
    site: str,
    plan: _Plan,
) -> None:
    """Find the version of a policy that is in force on each of its devices."""
    key = Key(wanted.namespace, wanted.name)
    known = state.in_force.get(key) or _returned(state, wanted)
    offers = adopting.offers(wanted, known)
    versions = (wanted, *(each.version for each in offers))
    names: dict[int, list[str]] = {}
    failed: policy.PolicyError | None = None
    waits: assignment.AssignedPolicy | None = None
    for name in wanted.devices:
        device = assigned.get(Key(wanted.namespace, name))
        if device is None:
            continue
        choice = _choose(state, wanted, known, offers, device, site)
        failed = failed or choice.error
        if choice.found is None:
            continue
        plan.compiled.setdefault(Key(*_key(device)), {})[key] = choice.found
        names.setdefault(choice.position, []).append(name)
        if choice.position and choice.error is None:
            waits = waits or versions[choice.position]
    if failed is not None:
        plan.problems.append(_problem(wanted, failed.reason.value, str(failed)))
    elif waits is not None:
        message = adopting.wait(wanted, waits)
        plan.problems.append(_problem(wanted, Reason.AWAITING_REPLICA.value, message))
    _carry(versions, known, names)
    plan.in_force[key] = tuple(
        versions[position].model_copy(
            update={
                "devices": tuple(sorted(bound)),
                "endpoints": adopting.endpoints(versions[position], wanted),
            }
        )
        for position, bound in sorted(names.items())
    )


class _Choice(NamedTuple):
    """The version that is in force on a device, by its position; the newest is at 0."""

    position: int
    found: _Found | None
    error: policy.PolicyError | None
    """Why the newest does not compile."""


def _choose(
    state: State,
    wanted: assignment.AssignedPolicy,
    known: tuple[assignment.AssignedPolicy, ...],
    offers: tuple[adopting.Offer, ...],
    device: assignment.AssignedDevice,
    site: str,
) -> _Choice:
    """Choose the newest version, or an older one that was in force while that cannot be."""
    newest, error = _first(state, (wanted,), device, site)
    is_right = newest is not None
    if is_right and not adopting.is_waiting(wanted, known, device.name):
        return _Choice(0, newest, None)
    for position, offer in enumerate(offers, start=1):
        if device.name in offer.version.devices:
            found, _ = _first(state, offer.forms(is_right=is_right), device, site)
            if found is not None:
                return _Choice(position, found, error)
    return _Choice(0, newest, error)


def _first(
    state: State,
    forms: tuple[assignment.AssignedPolicy, ...],
    device: assignment.AssignedDevice,
    site: str,
) -> tuple[_Found | None, policy.PolicyError | None]:
    """Return the first form of a version that compiles, or why the first does not."""
    failed: policy.PolicyError | None = None
    for each in forms:
        try:
            return _compiled(state, each, device, site), None
        except policy.PolicyError as error:
            failed = failed or error
        except Exception as error:  # noqa: BLE001 - one policy must not end the agent
            failed = failed or policy.PolicyError([policy.unexpected(error)])
    return None, failed


def _carry(
    versions: tuple[assignment.AssignedPolicy, ...],
    known: tuple[assignment.AssignedPolicy, ...],
    names: dict[int, list[str]],
) -> None:
    """Keep the last good version also for devices that nothing binds at present.

    A device may be absent from one assignment, or an edit of its profile may break every version:
    when it returns, or the profile is repaired, it works by what it worked by before.
    """
    placed = {name for bound in names.values() for name in bound}
    for each in known:
        position = next(at for at, one in enumerate(versions) if adopting.is_same(one, each))
        left = [name for name in each.devices if name not in placed]
        placed.update(left)
        room = MAXIMUM_DEVICES - len(names.get(position, ()))
        if left and room > 0 and position < MAXIMUM_VERSIONS:
            names.setdefault(position, []).extend(left[:room])


def _absent(state: State, plan: _Plan) -> dict[Key, tuple[assignment.AssignedPolicy, ...]]:
    """Keep the last good versions also of policies that nothing binds at present.

    A policy is not assigned at all while its only device is away, or without its profile. What was
    unassigned last is kept longest.
    """
    known = {**state.absent, **state.in_force}
    left = [key for key, versions in known.items() if versions and key not in plan.in_force]
    return {key: known[key] for key in left[-MAXIMUM_ABSENT:]}


def _returned(
    state: State, wanted: assignment.AssignedPolicy
) -> tuple[assignment.AssignedPolicy, ...]:
    """Return the versions of a policy that is assigned again, but for those of a namesake.

    A policy that was deleted must not decide in the place of another that has its name.
    """
    known = state.absent.get(Key(wanted.namespace, wanted.name), ())
    return tuple(each for each in known if each.uid == wanted.uid)


def _compiled(
    state: State,
    version: assignment.AssignedPolicy,
    device: assignment.AssignedDevice,
    site: str,
) -> _Found:
    """Compile, or take what is already there for the same policy, device and model."""
    origin = (f"{version.digest}/{version.generation}", device.digest, version.model)
    known = state.devices.get(Key(*_key(device)))
    bound = known.bindings.get(Key(version.namespace, version.name)) if known else None
    if bound is not None and bound.origin == origin:
        return bound.compiled, origin
    return policy.compile(version, device, site), origin


def _enter(
    turn: Turn,
    state: State,
    assigned: assignment.AssignedDevice,
    compiled: Mapping[Key, _Found],
    event: Assigned,
) -> Change[Device]:
    """Bring one device to the new assignment."""
    key = Key(*_key(assigned))
    device = state.devices.get(key)
    memory = state.remembered.get(key)
    if device is None:
        device = Device(assigned, _authority(state, key, turn.at))
        if memory is not None:
            device = device._replace(
                actuators=memory.actuators, policy_logs=memory.policies, held=memory.held
            )
    change = Change(device)
    for name, binding in device.bindings.items():
        if compiled.get(name, (None,))[0] is not binding.compiled:
            change = change.then(deciding.abandon, turn, name)
    device, done = change
    bindings = {
        name: _bind(device.bindings.get(name), found, turn.seconds)
        for name, found in compiled.items()
    }
    device = device._replace(assigned=assigned, bindings=bindings)
    device = device._replace(authority=_granted(state, device, event))
    if memory is not None and not memory.is_known:
        device = ledger.spent_wholly(device, turn.seconds)
        done += (effects.Keep(*durable.device_value(turn, device)),)
    change = Change(device, done)
    if memory is not None:
        change = change.then(life.recover, turn, memory.open)
    return change.then(authority.follow, turn)


def _bind(
    before: Binding | None,
    found: _Found,
    seconds: float,
) -> Binding:
    """Bind a policy to a device, with what an earlier version has learnt as far as it fits."""
    compiled, origin = found
    if before is None:
        return Binding(compiled, origin, seconds)
    if before.compiled is compiled:
        return before
    same = {each.name for each in compiled.features if each in before.compiled.features}
    return before._replace(
        compiled=compiled,
        origin=origin,
        flight=None,
        pending=None,
        windows={name: each for name, each in before.windows.items() if name in same},
        last=None,
    )


def _authority(state: State, key: Key, at: Instant) -> fencing.State:
    """Return what is known of the right to a device that was not assigned until now.

    As after a restart: while it was away nobody told it of the broker, so it has to listen anew.
    """
    kept, identity = state.authorities.get(key), state.identity
    if kept is None:
        known = fencing.start(identity.node, identity.boot_id, at.boot)
    else:
        known = fencing.recall(kept, identity.boot_id, at.boot)
    return fencing.step(known, _broker(state, at.boot))


def _broker(state: State, boot: float) -> fencing.BrokerChanged:
    return fencing.BrokerChanged(boot, state.broker_connected, state.broker_deaf)


def _granted(state: State, device: Device, event: Assigned) -> fencing.State:
    """Step a device's authority to its grant.

    The broker's state first: who held nothing was not told of its changes, and a successor that
    believed it gone would give back what it has just been granted.
    """
    grant, boot = device.assigned.grant, event.at.boot
    known = fencing.step(device.authority, _broker(state, boot))
    if grant is None:
        return fencing.step(known, fencing.Withdrawn(boot))
    if not _is_believed(state, event, grant):
        return known
    granted = fencing.Granted(
        at=boot,
        holder=grant.holder,
        epoch=grant.epoch,
        lease_seconds=grant.lease_seconds,
        offline_seconds=grant.offline_seconds,
        self_granted=event.is_self_granted,
    )
    return fencing.step(known, granted)


def _is_believed(state: State, event: Assigned, grant: assignment.Grant) -> bool:
    """Whether a grant is one to work by; nobody doubts what he gave himself."""
    return event.is_self_granted or belief.is_believable(state, grant.epoch, event.at)


def _doubts(state: State, event: Assigned) -> tuple[report.Problem, ...]:
    """Name the devices whose grant is not taken: they go on as if it had not come."""
    return tuple(
        report.Problem(
            kind="Device",
            namespace=each.namespace,
            name=each.name,
            reason=belief.BEYOND_BELIEF,
            message=f"epoch {each.grant.epoch} lies more than ten years ahead and is not taken up:"
            " look at the operator's clock and at status.authority of the Device",
        )
        for each in event.assignment.devices
        if each.grant is not None and not _is_believed(state, event, each.grant)
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


def _oldest(remembered: Mapping[Key, Remembered]) -> frozenset[Key]:
    """Return the devices that left so long ago that nothing of them is kept any more."""
    return frozenset(list(remembered)[: max(0, len(remembered) - MAXIMUM_REMEMBERED)])


def _departed(
    state: State, assigned: Mapping[Key, assignment.AssignedDevice]
) -> dict[Key, fencing.State]:
    """Remember the rights to devices that go: a device that returns must not revive an old one.

    What was remembered of a device that stays is outdated by what the device knows itself. All are
    written at each answer of the hub, so that of those that are away only the newest stay.
    """
    gone = {key: each.authority for key, each in state.devices.items() if key not in assigned}
    before = {key: each for key, each in state.authorities.items() if key not in state.devices}
    known = {**before, **gone}
    away = sorted((known[key].highest_seen, key) for key in known if key not in assigned)
    for _, key in away[: max(0, len(away) - MAXIMUM_DEPARTED)]:
        del known[key]
    return known


def _keep(
    before: Mapping[Key, tuple[assignment.AssignedPolicy, ...]],
    after: Mapping[Key, tuple[assignment.AssignedPolicy, ...]],
) -> tuple[effects.Effect, ...]:
    """Make the versions in force durable where they have changed."""
    changed = [key for key in after if after[key] != before.get(key)]
    gone = [key for key in before if key not in after]
    return tuple(durable.policy_value(key, after.get(key, ())) for key in (*changed, *gone))


def _problem(wanted: assignment.AssignedPolicy, reason: str, message: str) -> report.Problem:
    return report.Problem(
        kind="DecisionPolicy",
        namespace=wanted.namespace,
        name=wanted.name,
        generation=wanted.generation,
        reason=reason,
        message=message[:MAXIMUM_MESSAGE],
    )


def _key(device: assignment.AssignedDevice) -> tuple[str, str]:
    return device.namespace, device.name
