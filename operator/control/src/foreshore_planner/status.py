"""The status of every object, from what was observed and decided.

The one place where conditions and their messages are made.

`Ready` means accepted and delivered, or queued for delivery, never online. `Reconciling` and
`Stalled` exist only while they are true. Messages hold no volatile number. The holder of a device
is written by another field manager (see `succession`), so a Device's status here leaves `authority`
out.
"""

from collections.abc import Iterator, Mapping, Sequence

from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import (
    binding,
    connection,
    health,
    modes,
    phrases,
    placement_conditions,
    selection,
    sharing,
    snapshot,
    succession,
)
from foreshore_planner.placement import case as placement_case

Row = tuple[str, str | None, str, v1alpha1.statuses.Observed]
"""(kind, namespace, name, status)."""

Said = phrases.Said

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
Type, Reason = conditions.Type, conditions.Reason

VERSIONS = 100
"""Versions that a Model's status has room for."""


def all_of(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    placements: Sequence[placement_case.PlacementPlan],
    standings: Mapping[binding.Key, succession.Succession],
) -> Iterator[Row]:
    """Yield the status of every object of the snapshot, and of every placement that is planned."""
    yield from sites(seen, verdicts, bound)
    yield from profiles(seen, bound)
    yield from devices(seen, verdicts, bound, standings)
    yield from models(seen, bound)
    yield from versions(seen, bound, placements)
    yield from policies(seen, bound)
    yield from clusters(seen)
    yield from planned(seen, placements)


def sites(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> Iterator[Row]:
    """Say what is known of each Site."""
    reports = health.agent_reports(seen)
    for site in seen.sites:
        problem = bound.sites[binding.key(site)]
        nodes = [node.name for node in seen.nodes if node.site == site.metadata.name]
        agents = [node for node in nodes if node in reports]
        said = list(_acceptance(problem))
        if problem is None:
            said += connection.of_site(site, seen, nodes, reports)
            if verdicts.is_quiet(site.metadata.name, nodes):
                message = "too little is heard of the site's nodes and agents: nothing moves"
                reason = Reason.SITE_SILENT
                if verdicts.is_fleet_held:
                    message = "many sites went dark together: nothing moves until they are back"
                    reason = Reason.FLEET_SILENT
                said.append((Type.HELD, TRUE, reason, message))
        status = v1alpha1.SiteStatus(
            observed_generation=_generation(site),
            conditions=_merged(site, said, seen),
            nodes=len(nodes),
            agents=site.status.agents if seen.fleet is None else len(agents),
        )
        yield site.kind, site.metadata.namespace, site.metadata.name, status


def profiles(seen: snapshot.Snapshot, bound: binding.BoundSnapshot) -> Iterator[Row]:
    """Say what is known of each DeviceProfile."""
    for profile in seen.profiles:
        users = sum(1 for device in bound.devices.values() if device.profile is profile)
        status = v1alpha1.DeviceProfileStatus(
            observed_generation=_generation(profile),
            conditions=_merged(profile, _acceptance(bound.profiles[binding.key(profile)]), seen),
            devices=users,
        )
        yield profile.kind, profile.metadata.namespace, profile.metadata.name, status


def devices(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    standings: Mapping[binding.Key, succession.Succession],
) -> Iterator[Row]:
    """Say what is known of each Device: accepted, delivered, heard."""
    reports = health.agent_reports(seen)
    for one in bound.devices.values():
        said = list(_acceptance(one.problem))
        if one.problem is None:
            standing = standings.get(one.key)
            silent = connection.silent_holder(one, seen, verdicts, reports)
            said = [
                _device_delivery(one, standing, silent),
                connection.of_device(one, seen, reports),
            ]
            if standing is not None and standing.waiting is not None and _held(one):
                said.append((Type.HELD, TRUE, standing.waiting_reason, standing.waiting))
        status = v1alpha1.DeviceStatus(
            observed_generation=_generation(one.device),
            conditions=_merged(one.device, said, seen),
        )
        yield one.device.kind, one.key[0], one.key[1], status


def models(seen: snapshot.Snapshot, bound: binding.BoundSnapshot) -> Iterator[Row]:
    """Say what is known of each Model, and which versions name it."""
    named: dict[binding.Key, list[v1alpha1.ModelVersion]] = {}
    for version in seen.versions:
        of = (version.metadata.namespace or "", version.spec.model_ref.name)
        named.setdefault(of, []).append(version)
    for model in seen.models:
        found = named.get(binding.key(model), [])
        status = v1alpha1.ModelStatus(
            observed_generation=_generation(model),
            conditions=_merged(model, _acceptance(bound.models[binding.key(model)]), seen),
            version_count=len(found),
            versions=_known_versions(found),
        )
        yield model.kind, model.metadata.namespace, model.metadata.name, status


def versions(
    seen: snapshot.Snapshot,
    bound: binding.BoundSnapshot,
    placements: Sequence[placement_case.PlacementPlan],
) -> Iterator[Row]:
    """Say what is known of each ModelVersion; one whose bytes a replica refused is Stalled."""
    refused = {
        (plan.namespace, pod.version): plan.findings.refusal
        for plan in placements
        for pod in plan.pods
        if plan.findings.refusal is not None
    }
    for version in seen.versions:
        key = binding.key(version)
        problem = bound.versions[key]
        if problem is None and key in refused:
            problem = binding.BindingProblem(Reason.MODEL_REJECTED, refused[key], is_final=True)
        status = v1alpha1.ModelVersionStatus(
            observed_generation=_generation(version),
            conditions=_merged(version, _acceptance(problem), seen),
        )
        yield version.kind, key[0], key[1], status


def policies(seen: snapshot.Snapshot, bound: binding.BoundSnapshot) -> Iterator[Row]:
    """Say what is known of each DecisionPolicy: accepted, delivered, bound, and in which mode."""
    reports = health.agent_reports(seen)
    sites = {node.name: node.site for node in seen.nodes}
    shared = sharing.among(bound)
    for one in bound.policies.values():
        agents = [agent for node, agent in reports.items() if sites.get(node) in one.sites]
        problem = one.problem or _agents_problem(one, agents)
        said = list(_acceptance(problem))
        in_force = modes.in_force(one, bound, agents)
        if problem is None:
            said = [_policy_delivery(seen, one, bound, agents)]
            if in_force is not None and in_force.lowered:
                said.append((Type.DEGRADED, TRUE, in_force.reason, in_force.message))
            others = shared.message(one.key)
            if others is not None:
                said.append((Type.ACTUATOR_SHARED, TRUE, Reason.ACTUATOR_SHARED, others))
        compiled = seen.compiled.get(one.key)
        status = v1alpha1.DecisionPolicyStatus(
            observed_generation=_generation(one.policy),
            conditions=_merged(one.policy, said, seen),
            policy_digest=compiled.digest if compiled is not None and problem is None else None,
            effective_mode=in_force.mode if in_force is not None else None,
            bound=v1alpha1.decisionpolicy.BoundCounts(
                devices=sum(len(keys) for keys in one.sites.values()), sites=len(one.sites)
            ),
        )
        yield one.policy.kind, one.key[0], one.key[1], status


def clusters(seen: snapshot.Snapshot) -> Iterator[Row]:
    """Say what is known of each Cluster; only the one we run in can be reached by this release."""
    for cluster in seen.clusters:
        nodes = sum(1 for node in seen.nodes if node.cluster == cluster.metadata.name)
        problem = binding.own_problem(cluster)
        status = v1alpha1.ClusterStatus(
            observed_generation=_generation(cluster),
            conditions=_merged(cluster, _acceptance(problem), seen),
            nodes=nodes if problem is None else None,
        )
        yield cluster.kind, None, cluster.metadata.name, status


def planned(
    seen: snapshot.Snapshot, placements: Sequence[placement_case.PlacementPlan]
) -> Iterator[Row]:
    """Say what became of each placement."""
    existing = {binding.key(one): one for one in seen.placements}
    for plan in placements:
        before = existing.get((plan.namespace, plan.name))
        said = placement_conditions.of(plan)
        generation = before.metadata.generation if before is not None else None
        status = v1alpha1.InferencePlacementStatus(
            observed_generation=generation or 1,
            conditions=conditions.merge(
                before.status.conditions if before is not None else (),
                [condition(one, generation or 1, seen) for one in said],
                seen.now,
            ),
            replicas=plan.replicas,
            budget=plan.budget,
            candidates=plan.candidates,
            moves=plan.moves,
        )
        yield v1alpha1.InferencePlacement.kind, plan.namespace, plan.name, status


def _acceptance(problem: binding.BindingProblem | None) -> Iterator[Said]:
    if problem is None:
        yield (Type.READY, TRUE, Reason.ACCEPTED, "accepted")
        return
    yield (Type.READY, FALSE, problem.reason, problem.message)
    if problem.is_final:
        yield (Type.STALLED, TRUE, problem.reason, problem.message)
    else:
        yield (Type.RECONCILING, TRUE, problem.reason, problem.message)


def _known_versions(
    found: Sequence[v1alpha1.ModelVersion],
) -> tuple[v1alpha1.model.KnownVersion, ...]:
    """Return the newest of a model's versions, as many as its status has room for, by name."""
    newest = sorted(
        found, key=lambda one: (one.metadata.creation_timestamp or "", one.name), reverse=True
    )
    return tuple(
        v1alpha1.model.KnownVersion(name=one.name, digest=one.spec.digest)
        for one in sorted(newest[:VERSIONS], key=lambda one: one.name)
    )


def _held(one: binding.BoundDevice) -> bool:
    return connection.holder_of(one) is not None


def _device_delivery(
    one: binding.BoundDevice, granted: succession.Succession | None, silent: str | None
) -> Said:
    """Say whether an agent works for the device; `silent` says which one should and does not."""
    if granted is not None and granted.grant is not None:
        return (Type.READY, TRUE, Reason.DELIVERED, "an agent of the site holds it")
    if silent is not None:
        return (Type.READY, FALSE, Reason.AGENT_SILENT, silent)
    if _held(one):
        return (Type.READY, TRUE, Reason.DELIVERED, "an agent of the site holds it")
    message = "accepted; no agent of the site is connected yet"
    return (Type.READY, TRUE, Reason.AWAITING_DELIVERY, message)


def _agents_problem(
    one: binding.BoundPolicy, agents: Sequence[report.AgentEvidence]
) -> binding.BindingProblem | None:
    """Return what keeps this generation from taking effect: for good, or until a replica serves."""
    waits: binding.BindingProblem | None = None
    for agent in agents:
        for said in agent.report.problems:
            same = (said.kind, said.namespace, said.name) == ("DecisionPolicy", *one.key)
            if not same or said.generation != one.policy.metadata.generation:
                continue
            message = f"{agent.node}: {said.message}"[:1024]
            if said.reason != Reason.AWAITING_REPLICA:
                is_slow = said.reason == Reason.EXPRESSION_TOO_SLOW
                reason = Reason.EXPRESSION_TOO_SLOW if is_slow else Reason.COMPILE_FAILED
                return binding.BindingProblem(reason, message, is_final=True)
            waits = waits or binding.BindingProblem(
                Reason.AWAITING_REPLICA, message, is_final=False
            )
    return waits


def _policy_delivery(
    seen: snapshot.Snapshot,
    one: binding.BoundPolicy,
    bound: binding.BoundSnapshot,
    agents: Sequence[report.AgentEvidence],
) -> Said:
    if one.policy.spec.mode is v1alpha1.Mode.DISABLED:
        return (Type.READY, TRUE, Reason.DISABLED, "the policy is not evaluated, as its mode says")
    if not one.sites:
        return (Type.READY, FALSE, Reason.NO_DEVICES, selection.nothing(one, bound))
    if seen.fleet is None or not agents:
        message = "accepted; agents get it when they are in reach"
        return (Type.READY, TRUE, Reason.AWAITING_DELIVERY, message)
    return (Type.READY, TRUE, Reason.DELIVERED, "agents of its sites work by it")


def _generation(one: meta.Resource) -> int:
    return one.metadata.generation or 0


def condition(said: Said, generation: int, seen: snapshot.Snapshot) -> conditions.Condition:
    """Return one condition of an object as of this pass; `conditions.merge` keeps older times."""
    type_, status, reason, message = said
    return conditions.Condition(
        type=type_.value,
        status=status,
        reason=reason.value,
        message=message,
        last_transition_time=scalars.timestamp(seen.now),
        observed_generation=generation,
    )


def _merged(
    one: v1alpha1.Site
    | v1alpha1.DeviceProfile
    | v1alpha1.Device
    | v1alpha1.Model
    | v1alpha1.ModelVersion
    | v1alpha1.DecisionPolicy
    | v1alpha1.Cluster,
    said: Sequence[Said] | Iterator[Said],
    seen: snapshot.Snapshot,
) -> tuple[conditions.Condition, ...]:
    wanted = [condition(each, _generation(one), seen) for each in said]
    return conditions.merge(one.status.conditions, wanted, seen.now)
