"""What belongs to what: sites, devices and policies with their references resolved.

And what keeps an object from being accepted.

Built once a pass and read by placement, authority and status, so that all three agree. Every list
is in order of (namespace, name).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from foreshore_api import conditions, meta, scalars, support, v1alpha1
from foreshore_api.wire import beat
from foreshore_decision import assignment, in_force, narrowing, selectors
from foreshore_decision import policy as deciding
from foreshore_decision.policy import acceptance
from foreshore_decision.policy.endpoints import CommandEndpoint, commanded
from foreshore_planner import snapshot

T = TypeVar("T", bound=meta.Resource)

Key = tuple[str, str]
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

    @property
    def narrowed(self) -> v1alpha1.DeviceProfileSpec | None:
        """The profile as it holds for this device, as the agents are given it."""
        if self.profile is None:
            return None
        return narrowing.narrow(self.profile.spec, self.device.spec)

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

    def policies_of(self, device: Key) -> tuple[v1alpha1.DecisionPolicy, ...]:
        """Return the policies bound to a device."""
        return tuple(
            bound.policy
            for bound in self.policies.values()
            if any(device in devices for devices in bound.sites.values())
        )


def bind(seen: snapshot.Snapshot) -> BoundSnapshot:
    """Resolve every reference of the snapshot."""
    sites = _sites(seen.sites)
    profiles = {key(profile): own_problem(profile) for profile in _ordered(seen.profiles)}
    models = {key(model): own_problem(model) for model in _ordered(seen.models)}
    devices = _devices(seen, sites)
    versions = {
        key(version): own_problem(version)
        or _missing(version, "Model", version.spec.model_ref.name, models)
        for version in _ordered(seen.versions)
    }
    return BoundSnapshot(
        sites=sites,
        profiles=profiles,
        devices=devices,
        models=models,
        versions=versions,
        policies=_policies(seen, devices, versions),
    )


def key(resource: meta.Resource) -> Key:
    """Return the identity of an object."""
    return (resource.metadata.namespace or "", resource.metadata.name)


def _ordered(objects: Iterable[T]) -> list[T]:
    return sorted(objects, key=key)


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
        return _own_problem(acceptance.ResourceKey(resource))
    except Exception as error:  # noqa: BLE001 - the object's own problem, logged and counted
        return internal(error, "reading it")


@lru_cache(maxsize=1 << 15)
def _own_problem(key: acceptance.ResourceKey[meta.Resource]) -> BindingProblem | None:
    """Walk an object once: observers keep objects from pass to pass until they change."""
    resource = key.resource
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


def _missing(
    resource: meta.Resource,
    kind: str,
    name: str,
    existing: Mapping[Key, object],
    kept: str = LAST_GOOD,
    how: str = "",
) -> BindingProblem | None:
    namespace = resource.metadata.namespace or ""
    if (namespace, name) in existing:
        return None
    return _held_back(in_force.dangling(kind, name, namespace), kept, how)


def _held_back(obstacle: in_force.Obstacle, kept: str = LAST_GOOD, how: str = "") -> BindingProblem:
    """Return the problem of an object that waits for another; `kept` says what stays meanwhile."""
    reason = conditions.Reason(obstacle.reason)
    return BindingProblem(reason, in_force.message(obstacle, kept=kept, how=how), is_final=False)


def _age(resource: meta.Resource) -> tuple[str, Key]:
    return (resource.metadata.creation_timestamp or "", key(resource))


def _sites(sites: Iterable[v1alpha1.Site]) -> dict[Key, BindingProblem | None]:
    oldest: dict[str, v1alpha1.Site] = {}
    for site in sorted(sites, key=_age):
        oldest.setdefault(site.metadata.name, site)
    problems: dict[Key, BindingProblem | None] = {}
    for site in _ordered(sites):
        first = oldest[site.metadata.name]
        problems[key(site)] = own_problem(site)
        if first is not site:
            problems[key(site)] = BindingProblem(
                conditions.Reason.SITE_CONFLICT,
                f"an older Site of this name is in namespace {first.metadata.namespace}",
                is_final=True,
            )
    return problems


def _devices(
    seen: snapshot.Snapshot, sites: Mapping[Key, BindingProblem | None]
) -> dict[Key, BoundDevice]:
    profiles = {key(profile): profile for profile in seen.profiles}
    brokers = {key(site): site.spec.broker for site in seen.sites}
    endpoints: dict[CommandEndpoint, v1alpha1.Device] = {}
    nodes: dict[str, list[snapshot.Node]] = {}
    for node in seen.nodes:
        nodes.setdefault(node.site or "", []).append(node)
    devices: dict[Key, BoundDevice] = {}
    for device in sorted(seen.devices, key=_age):
        namespace = device.metadata.namespace or ""
        profile = profiles.get((namespace, device.spec.profile_ref.name))
        try:
            problem = (
                own_problem(device)
                or _unbelievable(device, seen.now)
                or _device_references(device, profile, sites)
            )
            if problem is None and profile is not None:
                problem = _endpoint_conflict(
                    device, profile, brokers[(namespace, device.spec.site)], endpoints
                )
            reachable = _reachable(device, nodes.get(device.spec.site, ()))
        except Exception as error:  # noqa: BLE001 - the device's own problem, logged and counted
            reachable, problem = (), internal(error, "binding it")
        devices[key(device)] = BoundDevice(
            key=key(device),
            device=device,
            profile=profile,
            reachable_from=reachable,
            problem=problem,
        )
    return dict(sorted(devices.items()))


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
    missing = _missing(device, v1alpha1.Site.kind, site, sites, kept="")
    if missing is not None:
        return missing
    if sites[(namespace, site)] is not None:
        return _held_back(in_force.unaccepted(v1alpha1.Site.kind, site))
    if profile is None:
        name = device.spec.profile_ref.name
        how = ", and the right to the device does not move"
        return _missing(device, v1alpha1.DeviceProfile.kind, name, {}, how=how)
    if own_problem(profile) is not None:
        name = profile.metadata.name
        return _held_back(in_force.unaccepted(v1alpha1.DeviceProfile.kind, name))
    return _unaccepted(acceptance.of_device(profile, device))


def _endpoint_conflict(
    device: v1alpha1.Device,
    profile: v1alpha1.DeviceProfile,
    broker: v1alpha1.site.Broker,
    taken: dict[CommandEndpoint, v1alpha1.Device],
) -> BindingProblem | None:
    """Return which older device is commanded on a topic of this one."""
    own = commanded(profile.spec, device, broker)
    for endpoint in own:
        if endpoint in taken:
            return BindingProblem(
                conditions.Reason.ENDPOINT_CONFLICT,
                endpoint.conflict(taken[endpoint]),
                is_final=True,
            )
    taken.update(dict.fromkeys(own, device))
    return None


def _reachable(device: v1alpha1.Device, nodes: Iterable[snapshot.Node]) -> tuple[str, ...]:
    return tuple(
        sorted(node.name for node in nodes if assignment.is_reachable(device, node.labels))
    )


def _policies(
    seen: snapshot.Snapshot,
    devices: Mapping[Key, BoundDevice],
    versions: Mapping[Key, BindingProblem | None],
) -> dict[Key, BoundPolicy]:
    by_key = {key(version): version for version in seen.versions}
    models = {key(model): model for model in seen.models}
    policies: dict[Key, BoundPolicy] = {}
    broken = {at: device for at, device in devices.items() if device.problem is not None}

    def bound(policy: v1alpha1.DecisionPolicy) -> BoundPolicy:
        namespace = policy.metadata.namespace or ""
        reference = policy.spec.model_ref
        wanted = reference.version if reference is not None else None
        version = by_key.get((namespace, wanted)) if wanted is not None else None
        sites = _selected(policy, devices.keys() - broken.keys(), devices)
        suspended = _selected(policy, broken, devices).keys() - sites.keys()
        return BoundPolicy(
            key=key(policy),
            policy=policy,
            version=version,
            model=models.get((namespace, version.spec.model_ref.name)) if version else None,
            sites=sites,
            suspended=frozenset(suspended),
            problem=_policy_problem(seen, policy, wanted, versions),
        )

    for policy in _ordered(seen.policies):
        try:
            policies[key(policy)] = bound(policy)
        except Exception as error:  # noqa: BLE001 - the policy's own problem, logged and counted
            problem = internal(error, "binding it")
            nothing: dict[str, tuple[Key, ...]] = {}
            policies[key(policy)] = BoundPolicy(
                key(policy), policy, None, None, nothing, frozenset(), problem
            )
    return policies


def _selected(
    policy: v1alpha1.DecisionPolicy, among: Collection[Key], devices: Mapping[Key, BoundDevice]
) -> dict[str, tuple[Key, ...]]:
    """Return the devices that a policy selects `among` some, by site."""
    sites: dict[str, list[Key]] = {}
    for bound in devices.values():
        if bound.key in among and bound.key[0] == policy.metadata.namespace:
            labels = bound.device.metadata.labels or {}
            if selectors.selects(policy.spec.device_selector, labels):
                sites.setdefault(bound.device.spec.site, []).append(bound.key)
    return {site: tuple(keys) for site, keys in sorted(sites.items())}


def _policy_problem(
    seen: snapshot.Snapshot,
    policy: v1alpha1.DecisionPolicy,
    version: str | None,
    versions: Mapping[Key, BindingProblem | None],
) -> BindingProblem | None:
    problem = own_problem(policy)
    if problem is None and version is not None:
        problem = _missing(policy, "ModelVersion", version, versions)
        if problem is None and versions[(policy.metadata.namespace or "", version)] is not None:
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
