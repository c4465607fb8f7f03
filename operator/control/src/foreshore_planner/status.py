"""The status of every object, from what was observed and decided.

The one place where conditions and their messages are made.

`Ready` means accepted and delivered, or queued for delivery, never online. `Reconciling` and
`Stalled` exist only while they are true. Messages hold no volatile number. The holder of a device
is decided by `succession` and written by grants, so a Device's status here leaves `authority` out.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from foreshore_api import conditions, given_fields, meta, scalars, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import (
    agent_conditions,
    authority,
    binding,
    connection,
    fences,
    holds,
    hub_problems,
    judged,
    modes,
    outcome,
    phrases,
    placement_conditions,
    selection,
    sharing,
    snapshot,
    succession,
)
from foreshore_planner.placement import proposals

Row = tuple[str, str | None, str, v1alpha1.statuses.Observed]
"""(kind, namespace, name, status)."""

Subject = tuple[str, binding.Key]
"""Kind and (namespace, name) of an object that has a status of ours."""

PLACEMENT: Final = v1alpha1.InferencePlacement.kind

Said = phrases.Said

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
Type, Reason = conditions.Type, conditions.Reason

VERSIONS = 100
"""Versions that a Model's status has room for."""


def subjects(seen: snapshot.Snapshot, decided: outcome.PassOutcome) -> Iterator[Subject]:
    """Yield every object that has a status of ours: those that exist, and what is to be placed."""
    for kind, objects in by_kind(seen).items():
        yield from ((kind, at) for at in objects)
    yield from ((PLACEMENT, at) for at in decided.plans)


def by_kind(seen: snapshot.Snapshot) -> Mapping[str, Mapping[binding.Key, meta.Resource]]:
    """Return the objects that people edit, by kind."""
    objects = seen.named
    return {
        v1alpha1.Site.kind: objects.sites,
        v1alpha1.DeviceProfile.kind: objects.profiles,
        v1alpha1.Device.kind: objects.devices,
        v1alpha1.Model.kind: objects.models,
        v1alpha1.ModelVersion.kind: objects.versions,
        v1alpha1.DecisionPolicy.kind: objects.policies,
        v1alpha1.Cluster.kind: objects.clusters,
    }


def has_status(seen: snapshot.Snapshot, decided: outcome.PassOutcome, subject: Subject) -> bool:
    """Whether an object is there and has a status of ours."""
    kind, at = subject
    return at in (decided.plans if kind == PLACEMENT else by_kind(seen)[kind])


def of(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, subject: Subject
) -> v1alpha1.statuses.Observed:
    """Return the status of one object. Raises KeyError for one that is not there."""
    kind, at = subject
    return OF_KIND[kind](seen, decided, at)


def of_site(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.SiteStatus:
    """Say what is known of a Site."""
    site, problem = seen.named.sites[at], decided.bound.sites[at]
    name = site.metadata.name
    nodes = [node.name for node in seen.index.nodes_of.get(name, ())]
    reports = seen.index.reports
    statements = list(_acceptance(problem))
    if problem is None:
        refused = connection.refused(site, nodes, reports)
        statements = [refused] if refused is not None else statements
        statements += connection.of_site(site, seen, nodes, reports)
        statements += holds.of_site(site, decided.verdicts, nodes)
    statements = hub_problems.with_problems(statements, hub_problems.of_site(seen, name))
    agents = sum(node in reports for node in nodes)
    members = seen.index.nodes_of.get(name, ()) if problem is None else ()
    verdicts, more = judged.listed(seen, decided.verdicts, members, site.status.verdicts)
    return v1alpha1.SiteStatus(
        observed_generation=_generation(site),
        conditions=_merged(site, statements, seen),
        nodes=len(nodes),
        agents=site.status.agents if seen.fleet is None else agents,
        verdicts=verdicts,
        more_verdicts=more,
        held_since=holds.since(site, decided.verdicts, nodes, seen) if problem is None else None,
    )


def of_profile(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.DeviceProfileStatus:
    """Say what is known of a DeviceProfile."""
    profile = seen.named.profiles[at]
    return v1alpha1.DeviceProfileStatus(
        observed_generation=_generation(profile),
        conditions=_merged(profile, _acceptance(decided.bound.profiles[at]), seen),
        devices=len(decided.devices_of.get(at, ())),
    )


def of_device(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.DeviceStatus:
    """Say what is known of a Device: accepted, delivered, heard."""
    device, reports = decided.bound.devices[at], seen.index.reports
    statements = list(_acceptance(device.problem))
    if device.problem is None:
        standing = decided.successions.get(at)
        silent = connection.silent_holder(device, seen, decided.verdicts, reports)
        is_unheard = connection.is_unheard(connection.holder_of(device), seen, reports)
        last: Iterable[Said] = connection.last_known(device) if is_unheard else ()
        kept = {stated[0]: stated for stated in last}
        statements = [
            kept.pop(Type.READY, _device_delivery(device, standing, silent)),
            connection.of_device(device, seen, reports),
            *fences.of(device),
            *kept.values(),
        ]
        waiting = standing.waiting if standing is not None and _held(device) else None
        if standing is not None and waiting is not None and not is_unheard:
            statements.append((Type.HELD, TRUE, standing.waiting_reason, waiting))
    status = v1alpha1.DeviceStatus(
        observed_generation=_generation(device.device),
        conditions=_merged(device.device, statements, seen),
        fence=device.fence if device.profile is not None else device.device.status.fence,
    )
    given_fields.share(status)  # it is kept, of each of ten thousand
    return status


def of_granted(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, grant: succession.GrantUpdate
) -> v1alpha1.DeviceStatus:
    """Say of a Device what is so once a right is written: the grant carries it.

    Raises KeyError when the Device is not bound any more.
    """
    at = (grant.namespace, grant.device)
    bound = decided.bound.devices[at]
    status = bound.device.status.model_copy(update={"authority": grant.authority})
    holding = dataclasses.replace(bound, device=bound.device.model_copy(update={"status": status}))
    after = dataclasses.replace(
        decided,
        bound=dataclasses.replace(decided.bound, devices={at: holding}),
        successions={at: authority.of(seen, decided.verdicts, decided.bound, holding)},
    )
    return of_device(seen, after, at)


def of_model(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.ModelStatus:
    """Say what is known of a Model, and which versions name it."""
    model, versions = seen.named.models[at], seen.named.versions_of.get(at, ())
    return v1alpha1.ModelStatus(
        observed_generation=_generation(model),
        conditions=_merged(model, _acceptance(decided.bound.models[at]), seen),
        version_count=len(versions),
        versions=_known_versions(versions),
    )


def of_version(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.ModelVersionStatus:
    """Say what is known of a ModelVersion; one whose bytes a replica refused is Stalled."""
    version, problem = seen.named.versions[at], decided.bound.versions[at]
    plans = decided.plans_using.get(at, ())
    refusals = [
        plan.findings.refusal
        for plan in plans
        if plan.findings.refusal is not None and any(pod.version == at[1] for pod in plan.pods)
    ]
    if problem is None and refusals:
        problem = binding.BindingProblem(Reason.MODEL_REJECTED, refusals[-1], is_final=True)
    using = [plan for plan in plans if plan.agents is not None and plan.agents.version == at[1]]
    statements = [*_acceptance(problem), *agent_conditions.of_many(using)]
    return v1alpha1.ModelVersionStatus(
        observed_generation=_generation(version),
        conditions=_merged(version, statements, seen),
    )


def of_policy(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.DecisionPolicyStatus:
    """Say what is known of a DecisionPolicy: accepted, delivered, bound, and in which mode."""
    bound = decided.bound
    policy = bound.policies[at]
    agents = _agents_of(seen, policy)
    problem = policy.problem or _agents_problem(policy, agents)
    statements = list(_acceptance(problem))
    in_force = modes.in_force(policy, bound, agents)
    if problem is None:
        statements = [_policy_delivery(seen, policy, bound, agents)]
        if in_force is not None and in_force.lowered:
            statements.append((Type.DEGRADED, TRUE, in_force.reason, in_force.message))
        others = sharing.message(policy, bound)
        if others is not None:
            statements.append((Type.ACTUATOR_SHARED, TRUE, Reason.ACTUATOR_SHARED, others))
    statements += agent_conditions.of_many(decided.plans_of.get(at, ()))
    compiled = seen.compiled.get(at)
    return v1alpha1.DecisionPolicyStatus(
        observed_generation=_generation(policy.policy),
        conditions=_merged(policy.policy, statements, seen),
        policy_digest=compiled.digest if compiled is not None and problem is None else None,
        effective_mode=in_force.mode if in_force is not None else None,
        bound=v1alpha1.decisionpolicy.BoundCounts(
            devices=sum(len(keys) for keys in policy.sites.values()), sites=len(policy.sites)
        ),
    )


def _agents_of(seen: snapshot.Snapshot, policy: binding.BoundPolicy) -> list[report.AgentEvidence]:
    """Return the agents of a policy's sites that report, in order of their nodes."""
    reports = seen.index.reports_of
    agents = [agent for site in policy.sites for agent in reports.get(site, {}).values()]
    return sorted(agents, key=lambda agent: agent.node)


def of_cluster(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.ClusterStatus:
    """Say what is known of a Cluster; only the one we run in can be reached by this release."""
    cluster = seen.named.clusters[at]
    nodes = [node for node in seen.index.nodes.values() if node.cluster == cluster.metadata.name]
    problem = binding.own_problem(cluster)
    problems = hub_problems.of_cluster(seen, cluster.metadata.name)
    statements = hub_problems.with_problems(_acceptance(problem), problems)
    own = (cluster.kind, cluster.metadata.name)
    strays = [node for node in nodes if hub_problems.carrier(seen, node) == own]
    members = strays if problem is None else []
    verdicts, more = judged.listed(seen, decided.verdicts, members, cluster.status.verdicts)
    return v1alpha1.ClusterStatus(
        observed_generation=_generation(cluster),
        conditions=_merged(cluster, statements, seen),
        nodes=len(nodes) if problem is None else None,
        verdicts=verdicts,
        more_verdicts=more,
    )


def of_placement(
    seen: snapshot.Snapshot, decided: outcome.PassOutcome, at: binding.Key
) -> v1alpha1.InferencePlacementStatus:
    """Say what became of a placement."""
    plan, before = decided.plans[at], seen.index.placements.get(at)
    generation = (before.metadata.generation if before is not None else None) or 1
    return v1alpha1.InferencePlacementStatus(
        observed_generation=generation,
        conditions=conditions.merge(
            before.status.conditions if before is not None else (),
            [condition(statement, generation, seen) for statement in placement_conditions.of(plan)],
            seen.now,
        ),
        replicas=plan.replicas,
        agents=plan.agents.shown if plan.agents is not None else (),
        budget=plan.budget,
        candidates=plan.candidates,
        moves=plan.moves,
        proposals=plan.proposals,
        confirmed=proposals.heeded(before, plan.moves) if before is not None else None,
    )


OF_KIND: Final[
    Mapping[
        str,
        Callable[[snapshot.Snapshot, outcome.PassOutcome, binding.Key], v1alpha1.statuses.Observed],
    ]
] = {
    v1alpha1.Site.kind: of_site,
    v1alpha1.DeviceProfile.kind: of_profile,
    v1alpha1.Device.kind: of_device,
    v1alpha1.Model.kind: of_model,
    v1alpha1.ModelVersion.kind: of_version,
    v1alpha1.DecisionPolicy.kind: of_policy,
    v1alpha1.Cluster.kind: of_cluster,
    PLACEMENT: of_placement,
}
"""How the status of one object of each kind is made."""


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
        return (Type.READY, FALSE, Reason.NO_DEVICES, selection.nothing(policy, seen, bound))
    is_unheard = not agents and connection.is_unheard(None, seen, {})
    if is_unheard and _was_delivered(policy.policy):
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
