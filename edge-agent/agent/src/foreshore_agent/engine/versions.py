"""Which version of each policy is in force on each device, and why none newer is.

    a newer generation ──of the same model──────────► in force at once
                       ──of another one─────────────► waits: the one before stays in force
                            └── a replica of it serves at the site ──► in force, whole
                       ──that does not compile──────► the one before stays in force

The rule is `foreshore_decision.in_force`. A generation that is not in force yet holds where it is
narrower: its mode, its limits and its rate limit bind the one that stays. Called by `assigning`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from foreshore_agent.engine import effects, recording, replicas
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import DeviceState, Intent, State
from foreshore_agent.engine.turn import Turn
from foreshore_api.conditions import Reason
from foreshore_api.reasons import agent as reasons
from foreshore_api.v1alpha1 import DecisionPolicySpec, Mode
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling
from foreshore_decision import in_force, narrowing, policy
from foreshore_decision.chain import modes
from foreshore_decision.policy.compiled import CompiledPolicy

Policy = assignment.AssignedPolicy
Devices = Mapping[Key, assignment.AssignedDevice]
Others = Mapping[str, assignment.AssignedDevice]
"""The devices of the site by name: policies may read others than their own."""
Origin = tuple[str, str, assignment.AssignedModel | None, tuple[tuple[str, ...], ...]]
"""Identity, generation and digest of the version, identity and digest of the device, the model,
and what is read of other devices."""

MAXIMUM_VERSIONS: Final = 8
"""Of one policy, beyond which none is kept for devices that nothing binds."""
MAXIMUM_ABSENT: Final = 100
"""Policies that are not assigned any more of which the last good versions are kept."""
MAXIMUM_DEVICES: Final = 10_000
"""Of one version, as `wire.assignment` bounds them."""
WITHIN: Final = "within what the newer one narrows (mode, limits, rate limit)"
SHOWN: Final = 3
"""Devices that a message names."""


class CompiledVersion(NamedTuple):
    """A version of a policy, compiled for a device, and what it was compiled from."""

    compiled: CompiledPolicy
    origin: Origin


@dataclass
class Resolution:
    """What is in force by an assignment."""

    compiled: dict[Key, dict[Key, CompiledVersion]] = field(default_factory=dict)
    """By device and policy."""
    in_force: dict[Key, tuple[Policy, ...]] = field(default_factory=dict)
    """By policy: its versions, newest first, each with the devices that it is in force on."""
    problems: list[report.Problem] = field(default_factory=list)
    """What is held back, by policy."""
    others: Others = field(default_factory=dict)
    """The devices of the site, which policies were compiled to read."""


def resolve(
    state: State,
    policies: Iterable[Policy],
    devices: Devices,
    too_slow: Mapping[Key, str] = MappingProxyType({}),
) -> Resolution:
    """Choose what is in force of every policy on each of its devices, and compile it.

    `too_slow` says of policies what of them takes too long here.
    """
    resolution = Resolution(others={key.name: device for key, device in devices.items()})
    for wanted in policies:
        why = too_slow.get(Key(wanted.namespace, wanted.name))
        _resolve(state, wanted, devices, resolution, why)
    return resolution


def _resolve(
    state: State,
    wanted: Policy,
    devices: Devices,
    resolution: Resolution,
    slow: str | None,
) -> None:
    key = Key(wanted.namespace, wanted.name)
    last_good = _known(state, wanted)
    older = tuple(version for version in last_good if not is_same(version, wanted))
    versions = (wanted, *older)
    bound: dict[int, list[str]] = {}
    held = _HeldBack(wanted)
    for name in wanted.devices:
        device = devices.get(Key(wanted.namespace, name))
        if device is None:
            continue
        options = _options(state, wanted, last_good, older, device, slow, resolution.others)
        chosen = in_force.choose(options)
        held.note(name, chosen, versions)
        if chosen.value is not None:
            of_device = resolution.compiled.setdefault(Key(device.namespace, device.name), {})
            of_device[key] = chosen.value.version
            bound.setdefault(chosen.value.position, []).append(name)
    resolution.problems += held.problems()
    _carry(versions, last_good, bound)
    resolution.in_force[key] = tuple(
        versions[position].model_copy(
            update={
                "devices": tuple(sorted(names)),
                "endpoints": replicas.endpoints(versions[position], wanted),
            }
        )
        for position, names in sorted(bound.items())
    )


class _Choice(NamedTuple):
    """A version that can be in force on a device; the newest is at position 0."""

    position: int
    version: CompiledVersion


def _options(
    state: State,
    wanted: Policy,
    last_good: tuple[Policy, ...],
    older: tuple[Policy, ...],
    device: assignment.AssignedDevice,
    slow: str | None,
    others: Others,
) -> Iterator[in_force.Option[_Choice]]:
    """Yield the newest version for a device, then those that are in force there, narrowed by it."""
    newest, obstacle = _compiled(state, wanted, device, others)
    if newest is not None and slow is not None:
        newest, obstacle = None, in_force.Obstacle(Reason.EXPRESSION_TOO_SLOW.value, slow)
    is_right = newest is not None
    if is_right and replicas.is_awaited(wanted, last_good, device.name):
        obstacle = replicas.awaited(wanted)
    yield in_force.Option(newest and _Choice(0, newest), obstacle)
    for position, version in enumerate(older, start=1):
        if device.name not in version.devices:
            continue
        for form in forms(version, wanted, is_right=is_right):
            compiled, wrong = _compiled(state, form, device, others)
            yield in_force.Option(compiled and _Choice(position, compiled), wrong)


def forms(version: Policy, wanted: Policy, *, is_right: bool) -> tuple[Policy, Policy]:
    """Return what the newest version leaves of an older one, in order of preference.

    First in no higher mode and within its limits. Where that does not compile and the newest does
    (`is_right`), its limits leave the older one nothing to do: recorded only. Where the newest does
    not compile either, its limits may be what is wrong with it: in no higher mode only.
    """
    lowered = narrowing.lower(version.spec, wanted.spec)
    shadow = min(lowered.mode, Mode.SHADOW, key=modes.RANK.__getitem__)
    otherwise = lowered.model_copy(update={"mode": shadow}) if is_right else lowered
    limited = narrowing.limit(lowered, wanted.spec)
    return _formed(version, limited), _formed(version, otherwise)


def _formed(version: Policy, spec: DecisionPolicySpec) -> Policy:
    """Return a version that says something else, under a digest of its own."""
    if spec == version.spec:
        return version
    return version.model_copy(update={"spec": spec, "digest": compiling.spec_digest(spec)})


def is_same(version: Policy, other: Policy) -> bool:
    """Whether two versions decide the same; devices and endpoints may differ."""
    return version.digest == other.digest and version.model == other.model


def _compiled(
    state: State, version: Policy, device: assignment.AssignedDevice, others: Others
) -> tuple[CompiledVersion | None, in_force.Obstacle | None]:
    """Compile, or take what is already there for the same policy, device and model."""
    origin = (
        f"{version.uid}/{version.generation}/{version.digest}",
        f"{device.uid}/{device.digest}",
        version.model,
        policy.read_elsewhere(version.spec, device.spec, device.name, others),
    )
    device_state = state.devices.get(Key(device.namespace, device.name))
    bound = (
        device_state.bindings.get(Key(version.namespace, version.name)) if device_state else None
    )
    if bound is not None and bound.origin == origin:
        return CompiledVersion(bound.compiled, origin), None
    try:
        return CompiledVersion(policy.compile(version, device, others), origin), None
    except policy.PolicyError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - one policy must not end the agent
        failure = policy.PolicyError([policy.unexpected(error)])
    return None, in_force.Obstacle(failure.reason.value, str(failure), "mend what it names")


class _HeldBack:
    """What a policy's newest version is held back by: a mistake is said before a wait."""

    def __init__(self, wanted: Policy) -> None:
        self._wanted: Final = wanted
        self._obstacle: in_force.Obstacle | None = None
        self._kept: Policy | None = None
        self._bare: list[str] = []

    def note(
        self, device: str, chosen: in_force.InForce[_Choice], versions: tuple[Policy, ...]
    ) -> None:
        """Take in what was chosen for a device."""
        if chosen.held_back is None:
            return
        before = self._obstacle
        if before is None or (before.is_waiting and not chosen.held_back.is_waiting):
            self._obstacle = chosen.held_back
        if chosen.value is None:
            self._bare.append(device)
        else:
            self._kept = self._kept or versions[chosen.value.position]

    def problems(self) -> tuple[report.Problem, ...]:
        """Return the problem to report, if anything is held back."""
        if self._obstacle is None:
            return ()
        kept, wanted = self._kept, self._wanted
        problem = report.Problem(
            kind="DecisionPolicy",
            namespace=wanted.namespace,
            name=wanted.name,
            generation=wanted.generation,
            reason=self._obstacle.reason,
            message=in_force.message(
                self._obstacle,
                _generation(wanted, "the newest generation"),
                _generation(kept, "the one before") if kept is not None else "",
                self._how(kept),
            ),
        )
        return (problem,)

    def _how(self, kept: Policy | None) -> str:
        if kept is None:
            return ""
        stays = " with rules alone" if kept.model is None else f" with {kept.model.version}"
        bare = ", ".join(self._bare[:SHOWN]) + f" and {len(self._bare) - SHOWN} more" * (
            len(self._bare) > SHOWN
        )
        return f"{stays}, {WITHIN}" + (f"; nothing is in force on {bare}" if bare else "")


def _generation(version: Policy, unnumbered: str) -> str:
    """Name a generation; a folder counts none."""
    return f"generation {version.generation}" if version.generation else unnumbered


def _carry(
    versions: tuple[Policy, ...], last_good: tuple[Policy, ...], bound: dict[int, list[str]]
) -> None:
    """Keep the last good version also for devices that nothing binds at present.

    A device may be absent from one assignment, or an edit of its profile may break every version:
    when it returns, or the profile is repaired, it works by what it worked by before.
    """
    placed = {name for names in bound.values() for name in names}
    for version in last_good:
        position = next(at for at, other in enumerate(versions) if is_same(other, version))
        left = [name for name in version.devices if name not in placed]
        placed.update(left)
        room = MAXIMUM_DEVICES - len(bound.get(position, ()))
        if left and room > 0 and position < MAXIMUM_VERSIONS:
            bound.setdefault(position, []).extend(left[:room])


def absent(state: State, resolution: Resolution) -> dict[Key, tuple[Policy, ...]]:
    """Keep the last good versions also of policies that nothing binds at present.

    A policy is not assigned at all while its only device is away. What was unassigned last is kept
    longest.
    """
    last_good = {**state.absent, **state.in_force}
    left = [
        key for key, versions in last_good.items() if versions and key not in resolution.in_force
    ]
    return {key: last_good[key] for key in left[-MAXIMUM_ABSENT:]}


def _known(state: State, wanted: Policy) -> tuple[Policy, ...]:
    """Return the versions of a policy that are in force, or were last; none of a namesake.

    A policy that was deleted must not decide in the place of another that has its name, also where
    no assignment without it came in between.
    """
    key = Key(wanted.namespace, wanted.name)
    last_good = state.in_force.get(key) or state.absent.get(key, ())
    return tuple(version for version in last_good if version.uid == wanted.uid)


def decided_by(
    state: State, device: DeviceState, others: Others, intent: Intent
) -> CompiledPolicy | None:
    """Return the policy that an intent was decided by: as it is bound, or was in force last."""
    bound = device.bindings.get(intent.policy)
    if bound is not None and _is_of(bound.compiled, intent):
        return bound.compiled
    last_good = state.in_force.get(intent.policy) or state.absent.get(intent.policy, ())
    options = (_compiled(state, version, device.assigned, others)[0] for version in last_good)
    compiled = (option.compiled for option in options if option is not None)
    return next((policy for policy in compiled if _is_of(policy, intent)), None)


def _is_of(compiled: CompiledPolicy, intent: Intent) -> bool:
    """Whether a policy, for its device, is named as the one that an intent was decided by."""
    names = ((compiled.identity[kind], intent.identity[kind]) for kind in ("policy", "device"))
    return all({**named, **own} == named for own, named in names)


def announce(turn: Turn, state: State, resolution: Resolution) -> tuple[effects.Effect, ...]:
    """Record that a generation begins to wait for a replica, and that a wait is over."""
    before, after = _waits(state.problems), _waits(resolution.problems)
    news = [
        (key, Reason.AWAITING_REPLICA.value, message)
        for key, message in after.items()
        if before.get(key) != message
    ]
    for key in before.keys() - after.keys():
        versions = resolution.in_force.get(key)
        if versions:
            newest = _generation(versions[0], "the newest generation")
            row = reasons.GENERATION_IN_FORCE
            news.append((key, row, row.message.format(generation=newest)))
    done: list[effects.Effect] = []
    for key, reason, message in sorted(news):
        done += recording.notice(turn, reason, message, policy=key)
    return tuple(done)


def _waits(problems: Iterable[report.Problem]) -> dict[Key, str]:
    return {
        Key(problem.namespace, problem.name): problem.message
        for problem in problems
        if problem.reason == Reason.AWAITING_REPLICA
    }
