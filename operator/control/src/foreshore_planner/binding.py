"""What belongs to what: sites, devices and policies with their references resolved.

And what keeps an object from being accepted.

Built once a pass and read by placement, authority and status, so that all three agree. Every list
is in order of (namespace, name).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from foreshore_api import conditions, meta, scalars, support, v1alpha1
from foreshore_api.wire import beat
from foreshore_decision import assignment, in_force, narrowing, remembered, selectors
from foreshore_decision import policy as deciding
from foreshore_decision.policy import acceptance
from foreshore_decision.policy.endpoints import CommandEndpoint, commanded
from foreshore_planner import named, precedence, snapshot

Key = named.Key
"""(namespace, name)."""

LAST_GOOD: Final = "the last good one, if there was one,"
"""What agents go on with; only they and the hub know what it is."""

COMPILING: Final = "its expressions are being compiled; what runs for it stays as it is until then"


@dataclass(frozen=True, slots=True)
class BindingProblem:
    """Why an object is not accepted; `is_final` until its own spec changes (Stalled).

    Else it waits for others.
    """

    reason: conditions.Reason
    message: str
    is_final: bool
    error: Exception | None = field(default=None, compare=False)
    """What was raised, where a defect of ours is the problem: the shell logs and counts it."""


@dataclass(frozen=True, slots=True)
class BoundDevice:
    """A Device with its profile, and the nodes whose agents may hold it."""

    key: Key
    device: v1alpha1.Device
    profile: v1alpha1.DeviceProfile | None
    reachable_from: tuple[str, ...]
    problem: BindingProblem | None
    endpoints: tuple[CommandEndpoint, ...] = ()
    """Where it claims to be commanded; nowhere unless it is sound by itself."""

    @property
    def narrowed(self) -> v1alpha1.DeviceProfileSpec | None:
        """The profile as it holds for this device, as the agents are given it."""
        if self.profile is None:
            return None
        return narrowing.narrowed(self.profile.spec, self.device.spec)

    @property
    def fence(self) -> v1alpha1.protection.Fence | None:
        """Who fences; None where nobody is named, or where no profile says so."""
        narrowed = self.narrowed
        return None if narrowed is None else narrowed.guards.fenced_by

    @property
    def lease_seconds(self) -> float:
        """The lease duration in force."""
        narrowed = self.narrowed
        authority = v1alpha1.protection.AuthoritySpec() if narrowed is None else narrowed.authority
        return scalars.seconds(authority.lease_duration)


@dataclass(frozen=True, slots=True)
class BoundPolicy:
    """A DecisionPolicy with its model version and the accepted devices it selects, by site."""

    key: Key
    policy: v1alpha1.DecisionPolicy
    version: v1alpha1.ModelVersion | None
    model: v1alpha1.Model | None
    sites: Mapping[str, tuple[Key, ...]]
    suspended: frozenset[str]
    """Sites where it selects only devices that are not accepted as they stand.

    A mistake in a Site, DeviceProfile or Device must not tear down what serves them.
    """
    problem: BindingProblem | None

    @property
    def is_placed(self) -> bool:
        """Whether it needs inference replicas at all."""
        return self.version is not None and self.policy.spec.mode is not v1alpha1.Mode.DISABLED

    @property
    def is_retained(self) -> bool:
        """Whether what it has stays because what it asks for now is not accepted.

        Agents go on with the last version that compiled, and that one needs its replicas.
        """
        return self.problem is not None and self.policy.spec.mode is not v1alpha1.Mode.DISABLED


@dataclass(frozen=True, slots=True)
class BoundSnapshot:
    """Everything resolved."""

    sites: Mapping[Key, BindingProblem | None]
    profiles: Mapping[Key, BindingProblem | None]
    devices: Mapping[Key, BoundDevice]
    models: Mapping[Key, BindingProblem | None]
    versions: Mapping[Key, BindingProblem | None]
    policies: Mapping[Key, BoundPolicy]
    commanders: Mapping[Key, tuple[Key, ...]] = field(default_factory=dict)
    """The policies bound to each device, in order of name."""

    def policies_of(self, device: Key) -> tuple[v1alpha1.DecisionPolicy, ...]:
        """Return the policies bound to a device."""
        own = self.commanders.get(device, ())
        return tuple(self.policies[policy].policy for policy in own if policy in self.policies)


def bind(seen: snapshot.Snapshot) -> BoundSnapshot:
    """Resolve every reference of the snapshot, kind by kind: each looks at those before it."""
    objects = seen.named
    sites = {at: site_problem(seen, site) for at, site in objects.sites.items()}
    profiles = {at: own_problem(profile) for at, profile in objects.profiles.items()}
    models = {at: own_problem(model) for at, model in objects.models.items()}
    versions = {at: version_problem(seen, version) for at, version in objects.versions.items()}
    devices = _devices(seen, sites)
    resolved = BoundSnapshot(sites, profiles, devices, models, versions, {})
    policies = {at: bound_policy(seen, resolved, policy) for at, policy in objects.policies.items()}
    commanders = named.grouped(
        policies.values(), lambda policy: (at for keys in policy.sites.values() for at in keys)
    )
    return replace(
        resolved,
        policies=policies,
        commanders={at: tuple(policy.key for policy in bound) for at, bound in commanders.items()},
    )


def key(resource: meta.Resource) -> Key:
    """Return the identity of an object."""
    return named.key(resource)


def internal(error: Exception, step: str) -> BindingProblem:
    """Return the problem of an object that a defect of ours keeps from being planned."""
    return BindingProblem(
        conditions.Reason.INTERNAL_ERROR,
        f"a defect of this release ({type(error).__name__}: {step}) keeps the operator from"
        " planning it, and what runs stays as it is; the operator's log has the details: please"
        " report them, and change what is unusual in this object",
        is_final=True,
        error=error,
    )


def own_problem(resource: meta.Resource) -> BindingProblem | None:
    """Return what an object's own spec asks that this release does not do."""
    try:
        return _own_problem(getattr(resource, "spec", resource), resource=resource)
    except Exception as error:  # noqa: BLE001 - the object's own problem, logged and counted
        return internal(error, "reading it")


@remembered.while_alive
def _own_problem(_: object, *, resource: meta.Resource) -> BindingProblem | None:
    """Walk a spec once: observers keep it from pass to pass until somebody edits it."""
    refused = support.unsupported(resource)
    if not refused:
        return _unaccepted(_faults(resource))
    listed = ", ".join(f"{field.path}={field.value}" for field in refused[:4])
    return BindingProblem(
        conditions.Reason.NOT_SUPPORTED, f"this release does not act on {listed}", is_final=True
    )


def _faults(resource: meta.Resource) -> tuple[deciding.PolicyProblem, ...]:
    """Return what is wrong with an object by itself, of the kinds that can be wrong by themselves.

    A policy's own are found where it is compiled, for a device.
    """
    if isinstance(resource, v1alpha1.DeviceProfile):
        return acceptance.of_profile(resource)
    return acceptance.of_model(resource) if isinstance(resource, v1alpha1.Model) else ()


def _unaccepted(problems: tuple[deciding.PolicyProblem, ...]) -> BindingProblem | None:
    if not problems:
        return None
    message = in_force.staying(acceptance.message(problems), LAST_GOOD)
    return BindingProblem(problems[0].reason, message, is_final=True)


def _dangling(
    resource: meta.Resource, kind: str, name: str, kept: str = LAST_GOOD, how: str = ""
) -> BindingProblem:
    """Return the problem of an object that names what is not there."""
    namespace = resource.metadata.namespace or ""
    return _held_back(in_force.dangling(kind, name, namespace), kept, how)


def _held_back(obstacle: in_force.Obstacle, kept: str = LAST_GOOD, how: str = "") -> BindingProblem:
    """Return the problem of an object that waits for another; `kept` says what stays meanwhile."""
    reason = conditions.Reason(obstacle.reason)
    return BindingProblem(reason, in_force.message(obstacle, kept=kept, how=how), is_final=False)


def site_problem(seen: snapshot.Snapshot, site: v1alpha1.Site) -> BindingProblem | None:
    """Return what is wrong with a Site; of several of one name only the oldest counts."""
    first = seen.named.sites_named[site.metadata.name][0]
    if first is site:
        return own_problem(site)
    return BindingProblem(
        conditions.Reason.SITE_CONFLICT,
        f"an older Site of this name is in namespace {first.metadata.namespace}",
        is_final=True,
    )


def version_problem(
    seen: snapshot.Snapshot, version: v1alpha1.ModelVersion
) -> BindingProblem | None:
    """Return what is wrong with a ModelVersion, or what it waits for."""
    own = own_problem(version)
    if own is not None or named.model_of(version) in seen.named.models:
        return own
    return _dangling(version, v1alpha1.Model.kind, version.spec.model_ref.name)


def _devices(
    seen: snapshot.Snapshot, sites: Mapping[Key, BindingProblem | None]
) -> dict[Key, BoundDevice]:
    """Bind every device; of several on one endpoint the oldest sound one has it."""
    alone = {at: bound_device(seen, sites, device) for at, device in seen.named.devices.items()}
    late = precedence.conflicts(
        precedence.Claim(bound.device, bound.endpoints) for bound in alone.values()
    )
    return {at: with_conflict(bound, late.get(at)) for at, bound in alone.items()}


def bound_device(
    seen: snapshot.Snapshot,
    sites: Mapping[Key, BindingProblem | None],
    device: v1alpha1.Device,
) -> BoundDevice:
    """Bind a device by itself: whether another is commanded where it is comes after that."""
    profile = seen.named.profiles.get(named.profile_of(device))
    try:
        problem = (
            own_problem(device)
            or _unbelievable(device, seen.now)
            or _device_references(device, profile, sites)
        )
        claimed: tuple[CommandEndpoint, ...] = ()
        if problem is None and profile is not None:
            broker = seen.named.sites[named.site_of(device)].spec.broker
            claimed = commanded(profile.spec, device, broker)
        reachable = _reachable(device, seen.index.nodes_of.get(device.spec.site, ()))
    except Exception as error:  # noqa: BLE001 - the device's own problem, logged and counted
        reachable, claimed, problem = (), (), internal(error, "binding it")
    return BoundDevice(key(device), device, profile, reachable, problem, claimed)


def with_conflict(bound: BoundDevice, conflict: precedence.Conflict | None) -> BoundDevice:
    """Return a device as it is bound among all; without a conflict as it is."""
    if conflict is None:
        return bound
    message = conflict.endpoint.conflict(conflict.first)
    problem = BindingProblem(conditions.Reason.ENDPOINT_CONFLICT, message, is_final=True)
    return replace(bound, problem=problem)


def _unbelievable(device: v1alpha1.Device, now: datetime) -> BindingProblem | None:
    """Return what is wrong with a right that nobody can have granted; the API lets none fall."""
    authority = device.status.authority
    if authority is None or beat.is_believable(authority.last_issued, now.timestamp()):
        return None
    return BindingProblem(
        conditions.Reason.INVALID,
        f"status.authority.lastIssued {authority.last_issued} lies more than ten years ahead of"
        " now: no agent is granted the device; delete the Device and create it again",
        is_final=True,
    )


def _device_references(
    device: v1alpha1.Device,
    profile: v1alpha1.DeviceProfile | None,
    sites: Mapping[Key, BindingProblem | None],
) -> BindingProblem | None:
    """Return what a device waits for: without its site it is in force nowhere."""
    namespace, site = device.metadata.namespace or "", device.spec.site
    if (namespace, site) not in sites:
        return _dangling(device, v1alpha1.Site.kind, site, kept="")
    if sites[(namespace, site)] is not None:
        return _held_back(in_force.unaccepted(v1alpha1.Site.kind, site))
    if profile is None:
        name = device.spec.profile_ref.name
        how = ", and the right to the device does not move"
        return _dangling(device, v1alpha1.DeviceProfile.kind, name, how=how)
    if own_problem(profile) is not None:
        name = profile.metadata.name
        return _held_back(in_force.unaccepted(v1alpha1.DeviceProfile.kind, name))
    return _unaccepted(acceptance.of_device(profile, device))


def _reachable(device: v1alpha1.Device, nodes: Iterable[snapshot.Node]) -> tuple[str, ...]:
    return tuple(
        sorted(node.name for node in nodes if assignment.is_reachable(device, node.labels))
    )


def bound_policy(
    seen: snapshot.Snapshot, bound: BoundSnapshot, policy: v1alpha1.DecisionPolicy
) -> BoundPolicy:
    """Bind a policy to what it names and to the devices that it selects."""
    try:
        return _bound_policy(seen, bound, policy)
    except Exception as error:  # noqa: BLE001 - the policy's own problem, logged and counted
        problem = internal(error, "binding it")
        nothing: dict[str, tuple[Key, ...]] = {}
        return BoundPolicy(key(policy), policy, None, None, nothing, frozenset(), problem)


def _bound_policy(
    seen: snapshot.Snapshot, bound: BoundSnapshot, policy: v1alpha1.DecisionPolicy
) -> BoundPolicy:
    namespace = policy.metadata.namespace or ""
    wanted = version_of(policy)
    version = seen.named.versions.get((namespace, wanted)) if wanted is not None else None
    sites: dict[str, list[Key]] = {}
    broken: set[str] = set()
    for device in selected(seen, bound, policy):
        if device.problem is None:
            sites.setdefault(device.device.spec.site, []).append(device.key)
        else:
            broken.add(device.device.spec.site)
    return BoundPolicy(
        key=key(policy),
        policy=policy,
        version=version,
        model=seen.named.models.get(named.model_of(version)) if version else None,
        sites={site: tuple(keys) for site, keys in sorted(sites.items())},
        suspended=frozenset(broken - sites.keys()),
        problem=_policy_problem(seen, policy, wanted, bound.versions),
    )


def version_of(policy: v1alpha1.DecisionPolicy) -> str | None:
    """Return the name of the ModelVersion that a policy wants, if any."""
    reference = policy.spec.model_ref
    return reference.version if reference is not None else None


def selected(
    seen: snapshot.Snapshot, bound: BoundSnapshot, policy: v1alpha1.DecisionPolicy
) -> Iterator[BoundDevice]:
    """Yield the devices that a policy selects, in order of name, accepted or not."""
    selector = policy.spec.device_selector
    for device in _candidates(seen, policy):
        if selectors.selects(selector, device.metadata.labels or {}):
            yield bound.devices[key(device)]


def _candidates(
    seen: snapshot.Snapshot, policy: v1alpha1.DecisionPolicy
) -> tuple[v1alpha1.Device, ...]:
    """Return what a policy can select at most: those with its rarest label, else its namespace."""
    namespace = policy.metadata.namespace or ""
    exact = policy.spec.device_selector.match_labels.items()
    groups = [seen.named.labelled.get((namespace, *pair), ()) for pair in exact]
    return min(groups, key=len, default=seen.named.devices_in.get(namespace, ()))


def _policy_problem(
    seen: snapshot.Snapshot,
    policy: v1alpha1.DecisionPolicy,
    version: str | None,
    versions: Mapping[Key, BindingProblem | None],
) -> BindingProblem | None:
    problem = own_problem(policy)
    if problem is None and version is not None:
        at = (policy.metadata.namespace or "", version)
        if at not in versions:
            problem = _dangling(policy, v1alpha1.ModelVersion.kind, version)
        elif versions[at] is not None:
            problem = _held_back(in_force.unaccepted(v1alpha1.ModelVersion.kind, version))
    compiled = seen.compiled.get(key(policy))
    if problem is None and compiled is not None and compiled.is_pending:
        return BindingProblem(conditions.Reason.COMPILING, COMPILING, is_final=False)
    if problem is not None or compiled is None or compiled.problem is None:
        return problem
    if compiled.generation != policy.metadata.generation:
        return None
    reason, message = compiled.problem
    message = in_force.staying(message, LAST_GOOD)
    return BindingProblem(conditions.Reason(reason), message, is_final=True)
