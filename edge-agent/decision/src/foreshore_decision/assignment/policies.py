"""The policies bound to devices of a site, each with its model and the replicas that serve it.

A model that the agents themselves run (`isolation`) has one replica more than was placed, the
agent's own, which it asks first: no pod stands for it, and it is nobody else's to ask.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.v1alpha1 import inferenceplacement
from foreshore_api.wire import assignment, report
from foreshore_decision import selectors
from foreshore_decision.assignment import digests, isolation, references, snapshot
from foreshore_decision.policy import elsewhere


def assigned(
    resources: snapshot.Resources,
    node: str,
    site: v1alpha1.Site,
    devices: tuple[assignment.AssignedDevice, ...],
    given: snapshot.LocalStatuses | None,
    last: references.LastGood,
) -> tuple[tuple[assignment.AssignedPolicy, ...], tuple[report.Problem, ...]]:
    """Return the policies bound to at least one of these devices, whoever holds it.

    `node` is that of the agent they are assigned to.
    """
    policies: list[assignment.AssignedPolicy] = []
    problems: list[report.Problem] = []
    for policy in resources.policies:
        if policy.namespace != site.namespace:
            continue
        selector = policy.spec.device_selector
        bound = (device.name for device in devices if selectors.selects(selector, device.labels))
        names = tuple(sorted(bound))
        if not names:
            continue
        model = references.model(resources, last, policy)
        if model.held_back is not None:
            kept = "what was in force" if model.value is None else "the model that it had last"
            problems.append(references.problem(policy, model.held_back, kept))
        isolated = model.value and isolation.settled(model.value, site.spec)
        policies.append(
            assignment.AssignedPolicy(
                namespace=policy.namespace,
                name=policy.name,
                uid=policy.metadata.uid or "",
                generation=policy.metadata.generation or 0,
                digest=digests.policy_digest(policy),
                spec=policy.spec,
                devices=names,
                model=isolated,
                endpoints=(
                    *isolation.endpoints(policy, isolated, node),
                    *_endpoints(resources, policy, site, given),
                ),
            )
        )
    return tuple(policies), tuple(problems)


def classed(
    policies: Iterable[assignment.AssignedPolicy], classes: Mapping[str, str]
) -> tuple[assignment.AssignedPolicy, ...]:
    """Return the policies with the class of each endpoint's node, where it is known."""

    def replica(endpoint: assignment.Endpoint) -> assignment.Endpoint:
        return endpoint.model_copy(update={"node_class": classes.get(endpoint.node)})

    return tuple(
        policy.model_copy(update={"endpoints": tuple(map(replica, policy.endpoints))})
        for policy in policies
    )


def read_elsewhere(
    policies: Iterable[assignment.AssignedPolicy], devices: Iterable[assignment.AssignedDevice]
) -> frozenset[str]:
    """Return the names of further Devices that these policies read for these devices."""
    readers = [assigned for assigned in policies if elsewhere.is_read(assigned.spec)]
    if not readers:
        return frozenset()
    by_name = {device.name: device for device in devices}
    names = (
        name
        for reader in readers
        for device in reader.devices
        for name in elsewhere.names(reader.spec, by_name[device].spec)
    )
    return frozenset(names) - by_name.keys()


def _endpoints(
    resources: snapshot.Resources,
    policy: v1alpha1.DecisionPolicy,
    site: v1alpha1.Site,
    given: snapshot.LocalStatuses | None,
) -> tuple[assignment.Endpoint, ...]:
    """Return the replicas that are ready, active ones first, then by slot.

    While a version is exchanged they serve different ones: each says which.
    """
    if given is not None:
        return given.endpoints.get((policy.namespace, policy.name), ())
    placement = resources.placements_at.get((policy.namespace, policy.name, site.name))
    if placement is None:
        return ()
    ready = (
        replica
        for replica in placement.status.replicas
        if replica.phase is inferenceplacement.ReplicaPhase.READY and replica.endpoint is not None
    )
    return tuple(
        assignment.Endpoint(
            slot=replica.slot,
            role=replica.role,
            node=replica.node,
            url=f"http://{replica.endpoint}",
            policy_generation=replica.policy_generation or 0,
            version=replica.version or "",
            digest=replica.digest or "",
        )
        for replica in sorted(ready, key=_preference)
    )


_ROLES: Final = tuple(inferenceplacement.Role)


def _preference(replica: inferenceplacement.ReplicaStatus) -> tuple[int, str, int]:
    return _ROLES.index(replica.role), replica.slot[0], int(replica.slot[1:])
