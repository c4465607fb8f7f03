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
    agent_conditions,
    binding,
    connection,
    fences,
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
    yield from policies(seen, bound, placements)
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
        statements = list(_acceptance(problem))
        if problem is None:
            refused = connection.refused(site, nodes, reports)
            statements = [refused] if refused is not None else statements
            statements += connection.of_site(site, seen, nodes, reports)
            if verdicts.is_quiet(site.metadata.name, nodes):
                message = "too little is heard of the site's nodes and agents: nothing moves"
                reason = Reason.SITE_SILENT
                if verdicts.is_fleet_held:
                    message = "many sites went dark together: nothing moves until they are back"
                    reason = Reason.FLEET_SILENT
                statements.append((Type.HELD, TRUE, reason, message))
        status = v1alpha1.SiteStatus(
            observed_generation=_generation(site),
            conditions=_merged(site, statements, seen),
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
    for device in bound.devices.values():
        statements = list(_acceptance(device.problem))
        if device.problem is None:
            standing = standings.get(device.key)
            silent = connection.silent_holder(device, seen, verdicts, reports)
            is_unheard = connection.is_unheard(connection.holder_of(device), seen, reports)
            kept = (
                {stated[0]: stated for stated in connection.last_known(device)}
                if is_unheard
                else {}
            )
            statements = [
                kept.pop(Type.READY, _device_delivery(device, standing, silent)),
                connection.of_device(device, seen, reports),
                *fences.of(device),
                *kept.values(),
            ]
            is_waiting = standing is not None and standing.waiting is not None and _held(device)
            if standing is not None and is_waiting and not is_unheard:
                statements.append(
                    (Type.HELD, TRUE, standing.waiting_reason, standing.waiting or "")
                )
        status = v1alpha1.DeviceStatus(
            observed_generation=_generation(device.device),
            conditions=_merged(device.device, statements, seen),
            fence=device.fence if device.profile is not None else device.device.status.fence,
        )
        yield device.device.kind, device.key[0], device.key[1], status


def models(seen: snapshot.Snapshot, bound: binding.BoundSnapshot) -> Iterator[Row]:
    """Say what is known of each Model, and which versions name it."""
    named: dict[binding.Key, list[v1alpha1.ModelVersion]] = {}
    for version in seen.versions:
        of = (version.metadata.namespace or "", version.spec.model_ref.name)
        named.setdefault(of, []).append(version)
    for model in seen.models:
        of_model = named.get(binding.key(model), [])
        status = v1alpha1.ModelStatus(
            observed_generation=_generation(model),
            conditions=_merged(model, _acceptance(bound.models[binding.key(model)]), seen),
            version_count=len(of_model),
            versions=_known_versions(of_model),
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
        using = [
            plan
            for plan in placements
            if plan.agents is not None and (plan.namespace, plan.agents.version) == key
        ]
        statements = [*_acceptance(problem), *agent_conditions.of_many(using)]
        status = v1alpha1.ModelVersionStatus(
            observed_generation=_generation(version),
            conditions=_merged(version, statements, seen),
        )
        yield version.kind, key[0], key[1], status


def policies(
    seen: snapshot.Snapshot,
    bound: binding.BoundSnapshot,
    placements: Sequence[placement_case.PlacementPlan],
) -> Iterator[Row]:
    """Say what is known of each DecisionPolicy: accepted, delivered, bound, and in which mode."""
    reports = health.agent_reports(seen)
    sites = {node.name: node.site for node in seen.nodes}
    shared = sharing.among(bound)
    for policy in bound.policies.values():
        agents = [agent for node, agent in reports.items() if sites.get(node) in policy.sites]
        problem = policy.problem or _agents_problem(policy, agents)
        statements = list(_acceptance(problem))
        in_force = modes.in_force(policy, bound, agents)
        if problem is None:
            statements = [_policy_delivery(seen, policy, bound, agents)]
            if in_force is not None and in_force.lowered:
                statements.append((Type.DEGRADED, TRUE, in_force.reason, in_force.message))
            others = shared.message(policy.key)
            if others is not None:
                statements.append((Type.ACTUATOR_SHARED, TRUE, Reason.ACTUATOR_SHARED, others))
        own = [plan for plan in placements if (plan.namespace, plan.policy) == policy.key]
        statements += agent_conditions.of_many(own)
        compiled = seen.compiled.get(policy.key)
        status = v1alpha1.DecisionPolicyStatus(
            observed_generation=_generation(policy.policy),
            conditions=_merged(policy.policy, statements, seen),
            policy_digest=compiled.digest if compiled is not None and problem is None else None,
            effective_mode=in_force.mode if in_force is not None else None,
            bound=v1alpha1.decisionpolicy.BoundCounts(
                devices=sum(len(keys) for keys in policy.sites.values()), sites=len(policy.sites)
            ),
        )
        yield policy.policy.kind, policy.key[0], policy.key[1], status


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
    existing = {binding.key(placement): placement for placement in seen.placements}
    for plan in placements:
        before = existing.get((plan.namespace, plan.name))
        statements = placement_conditions.of(plan)
        generation = before.metadata.generation if before is not None else None
        status = v1alpha1.InferencePlacementStatus(
            observed_generation=generation or 1,
            conditions=conditions.merge(
                before.status.conditions if before is not None else (),
                [condition(statement, generation or 1, seen) for statement in statements],
                seen.now,
            ),
            replicas=plan.replicas,
            agents=plan.agents.shown if plan.agents is not None else (),
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
    versions: Sequence[v1alpha1.ModelVersion],
) -> tuple[v1alpha1.model.KnownVersion, ...]:
    """Return the newest of a model's versions, as many as its status has room for, by name."""
    newest = sorted(
        versions,
        key=lambda version: (version.metadata.creation_timestamp or "", version.name),
        reverse=True,
    )
    return tuple(
        v1alpha1.model.KnownVersion(name=version.name, digest=version.spec.digest)
        for version in sorted(newest[:VERSIONS], key=lambda version: version.name)
    )


def _held(device: binding.BoundDevice) -> bool:
    return connection.holder_of(device) is not None


def _device_delivery(
    device: binding.BoundDevice, granted: succession.Succession | None, silent: str | None
) -> Said:
    """Say whether an agent works for the device; `silent` says which one should and does not.

    A first grant is not said before it is written: it may not get through.
    """
    if granted is not None and granted.grant is not None and _held(device):
        return (Type.READY, TRUE, Reason.DELIVERED, "an agent of the site holds it")
    if silent is not None:
        return (Type.READY, FALSE, Reason.AGENT_SILENT, silent)
    if _held(device):
        return (Type.READY, TRUE, Reason.DELIVERED, "an agent of the site holds it")
    message = "accepted; no agent of the site is connected yet"
    if granted is not None and granted.grant is not None:
        message = "accepted; the right to command it is about to be granted"
    return (Type.READY, TRUE, Reason.AWAITING_DELIVERY, message)


def _agents_problem(
    policy: binding.BoundPolicy, agents: Sequence[report.AgentEvidence]
) -> binding.BindingProblem | None:
    """Return what keeps this generation from taking effect: for good, or until a replica serves."""
    waits: binding.BindingProblem | None = None
    for agent in agents:
        for problem in agent.report.problems:
            subject = (problem.kind, problem.namespace, problem.name, problem.generation)
            if subject != ("DecisionPolicy", *policy.key, policy.policy.metadata.generation):
                continue
            message = f"{agent.node}: {problem.message}"[:1024]
            if problem.reason != Reason.AWAITING_REPLICA:
                is_slow = problem.reason == Reason.EXPRESSION_TOO_SLOW
                reason = Reason.EXPRESSION_TOO_SLOW if is_slow else Reason.COMPILE_FAILED
                return binding.BindingProblem(reason, message, is_final=True)
            waits = waits or binding.BindingProblem(
                Reason.AWAITING_REPLICA, message, is_final=False
            )
    return waits


def _policy_delivery(
    seen: snapshot.Snapshot,
    policy: binding.BoundPolicy,
    bound: binding.BoundSnapshot,
    agents: Sequence[report.AgentEvidence],
) -> Said:
    if policy.policy.spec.mode is v1alpha1.Mode.DISABLED:
        return (Type.READY, TRUE, Reason.DISABLED, "the policy is not evaluated, as its mode says")
    if not policy.sites:
        return (Type.READY, FALSE, Reason.NO_DEVICES, selection.nothing(policy, bound))
    is_known = agents or not connection.is_unheard(None, seen, {})
    if not is_known and _was_delivered(policy.policy):
        return (Type.READY, TRUE, Reason.DELIVERED, "agents of its sites work by it")
    if not agents:
        message = "accepted; agents get it when they are in reach"
        return (Type.READY, TRUE, Reason.AWAITING_DELIVERY, message)
    return (Type.READY, TRUE, Reason.DELIVERED, "agents of its sites work by it")


def _was_delivered(policy: v1alpha1.DecisionPolicy) -> bool:
    """Whether agents had this very generation when they were last heard: they go on by it."""
    ready = conditions.find(policy.status.conditions, Type.READY)
    if ready is None or ready.observed_generation != policy.metadata.generation:
        return False
    return ready.reason == Reason.DELIVERED


def _generation(resource: meta.Resource) -> int:
    return resource.metadata.generation or 0


def condition(statement: Said, generation: int, seen: snapshot.Snapshot) -> conditions.Condition:
    """Return one condition of an object as of this pass; `conditions.merge` keeps older times."""
    type_, status, reason, message = statement
    return conditions.Condition(
        type=type_.value,
        status=status,
        reason=reason.value,
        message=message,
        last_transition_time=scalars.timestamp(seen.now),
        observed_generation=generation,
    )


def _merged(
    resource: v1alpha1.Site
    | v1alpha1.DeviceProfile
    | v1alpha1.Device
    | v1alpha1.Model
    | v1alpha1.ModelVersion
    | v1alpha1.DecisionPolicy
    | v1alpha1.Cluster,
    statements: Sequence[Said] | Iterator[Said],
    seen: snapshot.Snapshot,
) -> tuple[conditions.Condition, ...]:
    wanted = [condition(statement, _generation(resource), seen) for statement in statements]
    return conditions.merge(resource.status.conditions, wanted, seen.now)
