"""What one agent has to do, compiled from the resources: one pure function for hub and folder mode.

The hub calls `compile` for each node whose resources changed and carries the result down; folder
mode calls it for its only node, with its own endpoints and grants (`Given`) in place of what an
operator writes into statuses. The order of everything is that of names, so that equal resources
give equal bytes and an equal digest.

What cannot be resolved becomes a `Problem`, never a guess: a device without its profile is left
out; a policy without its model stays in, because the agent decides by the last version that
compiled only while the policy is assigned to it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_api import resources as contract
from foreshore_api.v1alpha1 import protection
from foreshore_api.wire import assignment, report
from foreshore_decision import narrowing, selectors

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that assignments are compiled from, as one snapshot."""

    sites: tuple[v1alpha1.Site, ...] = ()
    profiles: tuple[v1alpha1.DeviceProfile, ...] = ()
    devices: tuple[v1alpha1.Device, ...] = ()
    models: tuple[v1alpha1.Model, ...] = ()
    versions: tuple[v1alpha1.ModelVersion, ...] = ()
    policies: tuple[v1alpha1.DecisionPolicy, ...] = ()
    placements: tuple[v1alpha1.InferencePlacement, ...] = ()

    @classmethod
    def of(cls, resources: Iterable[meta.Resource]) -> "Resources":
        """Sort resources of any kind into a snapshot, by name; other kinds are ignored."""
        sorted_ = sorted(resources, key=lambda each: (each.namespace, each.name))
        return cls(
            sites=tuple(each for each in sorted_ if isinstance(each, v1alpha1.Site)),
            profiles=tuple(each for each in sorted_ if isinstance(each, v1alpha1.DeviceProfile)),
            devices=tuple(each for each in sorted_ if isinstance(each, v1alpha1.Device)),
            models=tuple(each for each in sorted_ if isinstance(each, v1alpha1.Model)),
            versions=tuple(each for each in sorted_ if isinstance(each, v1alpha1.ModelVersion)),
            policies=tuple(each for each in sorted_ if isinstance(each, v1alpha1.DecisionPolicy)),
            placements=tuple(
                each for each in sorted_ if isinstance(each, v1alpha1.InferencePlacement)
            ),
        )


@dataclass(frozen=True, slots=True)
class Peer:
    """Another agent, as Kubernetes knows it; `site` is None for a node of no site."""

    node: str
    site: str | None
    url: str


@dataclass(frozen=True, slots=True)
class Given:
    """What folder mode says itself because there is no operator that would write statuses."""

    endpoints: Mapping[Name, tuple[assignment.Endpoint, ...]] = field(default_factory=dict)
    """By policy: where its model answers."""
    grants: Mapping[Name, tuple[str, int]] = field(default_factory=dict)
    """By device: holder and epoch."""


@dataclass(frozen=True, slots=True)
class Compilation:
    """An assignment (lineage and generation still to be counted) and what could not be resolved."""

    assignment: assignment.Assignment
    problems: tuple[report.Problem, ...]


def compile(  # noqa: A001 - the word of the design; the module is always imported as a whole
    resources: Resources,
    node: str,
    *,
    site: str | None,
    labels: Mapping[str, str] | None = None,
    peers: Iterable[Peer] = (),
    given: Given | None = None,
) -> Compilation:
    """Return the desired state of the agent on `node`.

    Args:
        resources: one snapshot of every kind.
        node: name of the node.
        site: the site the node is labelled with; None for a node of no site, which only probes.
        labels: labels of the node, for `reachableFrom`.
        peers: agents whose echo may be timed: those of the site and of no site are taken.
        given: in folder mode, endpoints and grants; the resources' statuses are then not read.
    """
    found = find_site(resources, site) if site is not None else None
    probes, left_out = _probes(node, site, peers)
    if found is None:
        missing = () if site is None else (_site_missing(site),)
        document = assignment.Assignment(node=node, probes=probes)
        return Compilation(_sealed(document), (*missing, *left_out))
    devices, device_problems = _devices(resources, found, labels or {}, given)
    policies, policy_problems = _policies(resources, found, devices, given)
    document = assignment.Assignment(
        node=node,
        site=assignment.AssignedSite(namespace=found.namespace, name=found.name, spec=found.spec),
        devices=devices,
        policies=policies,
        probes=probes,
    )
    return Compilation(_sealed(document), (*device_problems, *policy_problems, *left_out))


def _probes(
    node: str, site: str | None, peers: Iterable[Peer]
) -> tuple[tuple[assignment.ProbeTarget, ...], tuple[report.Problem, ...]]:
    """Return the peers to time, as many as one assignment names, and what is said of the rest."""
    targets = tuple(
        assignment.ProbeTarget(node=peer.node, url=peer.url)
        for peer in sorted(peers, key=lambda each: each.node)
        if peer.node != node and peer.site in (site, None)
    )
    if len(targets) <= assignment.PROBES:
        return targets, ()
    problem = report.Problem(
        kind="Node",
        namespace="",
        name=node,
        reason="TooManyPeers",
        message=f"the first {assignment.PROBES} of {len(targets)} peers are timed, by name",
    )
    return targets[: assignment.PROBES], (problem,)


def find_site(resources: Resources, name: str) -> v1alpha1.Site | None:
    """Return the site of a name; of two, the older (the younger is `Stalled/SiteConflict`)."""
    named = [each for each in resources.sites if each.name == name]
    return min(
        named,
        key=lambda each: (each.metadata.creation_timestamp or "", each.namespace),
        default=None,
    )


def digest(document: Any) -> str:
    """Return `sha256:…` of the canonical JSON of plain data: sorted keys, no spaces, UTF-8."""
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def digest_of(document: assignment.Assignment) -> str:
    """Return the digest of an assignment's content, whoever counted it."""
    counted = {"lineage", "generation", "digest"}
    return digest(
        document.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=counted)
    )


def policy_digest(policy: v1alpha1.DecisionPolicy) -> str:
    """Return the digest of a policy's spec, which records and `status.policyDigest` name."""
    return spec_digest(policy.spec)


def spec_digest(spec: v1alpha1.DecisionPolicySpec) -> str:
    """Return the digest of what a policy says, also of one that was narrowed."""
    return digest(spec.document())


def has_labels(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether `labels` holds every wanted label with its value."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _devices(
    resources: Resources,
    site: v1alpha1.Site,
    node_labels: Mapping[str, str],
    given: Given | None,
) -> tuple[tuple[assignment.AssignedDevice, ...], tuple[report.Problem, ...]]:
    """Return the devices of the site that an agent with these node labels can reach."""
    profiles = {(each.namespace, each.name): each for each in resources.profiles}
    assigned: list[assignment.AssignedDevice] = []
    problems: list[report.Problem] = []
    for device in resources.devices:
        if (device.namespace, device.spec.site) != (site.namespace, site.name):
            continue
        if not is_reachable(device, node_labels):
            continue
        if not contract.is_name(device.name, device.longest_name):
            problems.append(_unsayable(device))
            continue
        profile = profiles.get((device.namespace, device.spec.profile_ref.name))
        if profile is None:
            problems.append(_missing(device, "DeviceProfile", device.spec.profile_ref.name))
            continue
        assigned.append(_device(device, narrowing.narrow(profile.spec, device.spec), given))
    return tuple(assigned), tuple(problems)


def is_reachable(device: v1alpha1.Device, node_labels: Mapping[str, str]) -> bool:
    """Whether an agent on a node with these labels can reach the device."""
    reachable = device.spec.reachable_from
    return reachable is None or has_labels(reachable.node_selector, node_labels)


def _device(
    device: v1alpha1.Device, profile: v1alpha1.DeviceProfileSpec, given: Given | None
) -> assignment.AssignedDevice:
    spec = {"spec": device.spec.document(), "profile": profile.document()}
    return assignment.AssignedDevice(
        namespace=device.namespace,
        name=device.name,
        uid=device.metadata.uid or "",
        generation=device.metadata.generation or 0,
        digest=digest(spec),
        labels=dict(sorted(device.metadata.labels.items())),
        spec=device.spec,
        profile=profile,
        grant=_grant(device, profile.authority, given),
    )


def _grant(
    device: v1alpha1.Device, times: protection.Authority, given: Given | None
) -> assignment.Grant | None:
    if given is not None:
        holder, epoch = given.grants.get((device.namespace, device.name), (None, 0))
    elif device.status.authority is not None:
        holder, epoch = device.status.authority.holder, device.status.authority.epoch
    else:
        return None
    if holder is None:
        return None
    return assignment.Grant(
        holder=holder,
        epoch=epoch,
        lease_seconds=scalars.seconds(times.lease_duration),
        offline_seconds=scalars.seconds(times.offline_grant),
    )


def _policies(
    resources: Resources,
    site: v1alpha1.Site,
    devices: tuple[assignment.AssignedDevice, ...],
    given: Given | None,
) -> tuple[tuple[assignment.AssignedPolicy, ...], tuple[report.Problem, ...]]:
    """Return the policies bound to one of these devices, whoever holds it."""
    assigned: list[assignment.AssignedPolicy] = []
    problems: list[report.Problem] = []
    for policy in resources.policies:
        if policy.namespace != site.namespace:
            continue
        bound = tuple(
            sorted(
                each.name
                for each in devices
                if selectors.selects(policy.spec.device_selector, each.labels)
            )
        )
        if not bound:
            continue
        model, problem = _model(resources, policy)
        problems += [problem] if problem is not None else []
        assigned.append(
            assignment.AssignedPolicy(
                namespace=policy.namespace,
                name=policy.name,
                uid=policy.metadata.uid or "",
                generation=policy.metadata.generation or 0,
                digest=policy_digest(policy),
                spec=policy.spec,
                devices=bound,
                model=model,
                endpoints=_endpoints(resources, policy, site, given),
            )
        )
    return tuple(assigned), tuple(problems)


def _model(
    resources: Resources, policy: v1alpha1.DecisionPolicy
) -> tuple[assignment.AssignedModel | None, report.Problem | None]:
    reference = policy.spec.model_ref
    if reference is None or reference.version is None:
        return None, None
    place = policy.namespace
    version = _named(resources.versions, (place, reference.version))
    if version is None:
        return None, _missing(policy, "ModelVersion", reference.version)
    model = _named(resources.models, (place, version.spec.model_ref.name))
    if model is None:
        return None, _missing(policy, "Model", version.spec.model_ref.name)
    return (
        assignment.AssignedModel(
            name=model.name, version=version.name, model=model.spec, artefact=version.spec
        ),
        None,
    )


def _endpoints(
    resources: Resources,
    policy: v1alpha1.DecisionPolicy,
    site: v1alpha1.Site,
    given: Given | None,
) -> tuple[assignment.Endpoint, ...]:
    """Return the replicas that are ready, active ones first, then by slot.

    While a version is exchanged they serve different ones: each says which.
    """
    if given is not None:
        return given.endpoints.get((policy.namespace, policy.name), ())
    placement = next(
        (
            each
            for each in resources.placements
            if each.namespace == policy.namespace
            and (each.spec.policy_ref.name, each.spec.site) == (policy.name, site.name)
        ),
        None,
    )
    if placement is None:
        return ()
    ready = (
        each
        for each in placement.status.replicas
        if each.phase is v1alpha1.inferenceplacement.Phase.READY and each.endpoint is not None
    )
    return tuple(
        assignment.Endpoint(
            slot=each.slot,
            role=each.role,
            node=each.node,
            url=f"http://{each.endpoint}",
            policy_generation=each.policy_generation or 0,
            version=each.version or "",
            digest=each.digest or "",
        )
        for each in sorted(ready, key=_preference)
    )


_ROLES: Final = tuple(v1alpha1.inferenceplacement.Role)


def _preference(replica: v1alpha1.inferenceplacement.Replica) -> tuple[int, str, int]:
    return _ROLES.index(replica.role), replica.slot[0], int(replica.slot[1:])


# The parts that are only looked up or reported.


T = TypeVar("T", bound=meta.Resource)


def _named(resources: tuple[T, ...], name: Name) -> T | None:
    return next((each for each in resources if (each.namespace, each.name) == name), None)


def _sealed(document: assignment.Assignment) -> assignment.Assignment:
    return document.model_copy(update={"digest": digest_of(document)})


def _missing(resource: meta.Resource, kind: str, name: str) -> report.Problem:
    return report.Problem(
        kind=resource.kind,
        namespace=resource.namespace,
        name=resource.name,
        generation=resource.metadata.generation or 0,
        reason=conditions.Reason.REFERENCE_NOT_FOUND,
        message=f"{kind} {name} does not exist in namespace {resource.namespace}",
    )


def _unsayable(device: v1alpha1.Device) -> report.Problem:
    """A definition that is older than this release may have let it in."""
    return report.Problem(
        kind=device.kind,
        namespace=device.namespace,
        name=device.name[:253],
        generation=device.metadata.generation or 0,
        reason=conditions.Reason.INVALID,
        message=f"a name has at most {device.longest_name} characters and is a DNS label: make the"
        " Device anew under another name",
    )


def _site_missing(site: str) -> report.Problem:
    return report.Problem(
        kind=v1alpha1.Site.kind,
        namespace="",
        name=site,
        reason=conditions.Reason.REFERENCE_NOT_FOUND,
        message=f"the node is labelled with site {site}, which does not exist",
    )
