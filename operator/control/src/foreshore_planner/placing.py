"""The placement of every (policy, site): which pods should be, where, in which role, and why.

Steady state is repair in place: a replica stays until its node is lost, its pod has failed, agents
agree that its endpoint is bad, its node no longer fits the policy, or it is measurably over the
budget while another node is predicted well within it. Forced moves obey the policy's `failover`,
the site's hold, and a cap for each site and minute. A replica of an older template is
replaced where it stands. What is replaced goes when its successor serves: see `leaving`.

Where the agents run the model themselves (`in_agents`), no pod is made unless some agent cannot.
"""

import hashlib
from collections.abc import Mapping

from foreshore_api import conditions, scalars, v1alpha1
from foreshore_planner import binding, health, latency, snapshot
from foreshore_planner.placement import (
    assembly,
    callers,
    candidates,
    case,
    choose,
    in_agents,
    incumbents,
    pace,
    podless,
    slots,
)

DEFAULT_EXPECTED_INFERENCE = 0.05
"""Seconds assumed for a ModelVersion that declares nothing, until it is measured."""


def place_all(
    seen: snapshot.Snapshot, verdicts: health.Health, bound: binding.BoundSnapshot
) -> tuple[case.PlacementPlan, ...]:
    """Plan every placement, by (namespace, policy, site); what one takes the next lacks."""
    used = _used(seen, verdicts)
    left = pace.of_sites(seen, verdicts)
    existing = {replica.name for replica in seen.replicas}
    plans: list[case.PlacementPlan] = []
    for policy, version, site in _in_order(seen, verdicts, bound, used):
        own = in_agents.of(seen, verdicts, bound, policy, site)
        may = left.get(site, pace.Pace())
        inputs = _case(seen, verdicts, policy, version, site, used, own, may)
        if policy.problem is not None and not _is_as_before(inputs):
            continue
        planned = place(inputs)
        left[site] = inputs.pace.after(_moves_made(inputs, planned))
        for pod in planned.pods:
            if pod.name not in existing:
                taken = used.get(pod.node, snapshot.ComputeResources())
                used[pod.node] = taken + inputs.demand.requests
        plans.append(planned)
    return tuple(sorted(plans, key=lambda plan: (plan.namespace, plan.policy, plan.site)))


Asked = tuple[binding.BoundPolicy, v1alpha1.ModelVersion, str]
"""A policy with its version, and one of its sites."""


def _in_order(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    used: Mapping[str, snapshot.ComputeResources],
) -> list[Asked]:
    """Return what is to be placed: what is lost first, the scarcest of it first, then by name.

    Scarce is what few nodes can take, then what asks for most.
    """
    asked = [
        (policy, policy.version, site)
        for policy in bound.policies.values()
        if policy.is_placed and policy.version is not None
        for site in policy.sites
    ]
    lost = {
        binding.key(placement)
        for placement in seen.placements
        if any(verdicts.of(replica.node).is_lost for replica in placement.status.replicas)
    }

    def key(request: Asked) -> tuple[int, int, int, int, binding.Key, str]:
        policy, version, site = request
        if (policy.key[0], f"{policy.key[1]}.{site}") not in lost:
            return (1, 0, 0, 0, policy.key, site)
        demand = _demand(policy, version, site)
        able = _able(seen, verdicts, demand, used)
        return (0, able, -demand.requests.cpu, -demand.requests.memory, policy.key, site)

    return sorted(asked, key=key)


def _able(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    demand: candidates.Demand,
    used: Mapping[str, snapshot.ComputeResources],
) -> int:
    """Count the nodes that may serve; how fast they would be is no part of that."""
    views = (_view(seen, verdicts, demand, None, node, used) for node in seen.nodes)
    asked = (*candidates.STANDING, *candidates.ROOM)
    return sum(candidates.examine(view, asked) is None for view in views)


def _is_as_before(inputs: case.Case) -> bool:
    """Whether replicas of this very model run already.

    Those of a policy that is not accepted any more are kept alive; none are begun for it.
    """
    return any(replica.template == inputs.template for replica in inputs.replicas)


def place(inputs: case.Case) -> case.PlacementPlan:
    """Plan one placement, of pods as far as its agents need any."""
    agents = inputs.agents
    older = any(replica.template != inputs.template for replica in inputs.replicas)
    begun = _is_as_before(inputs)
    needs = in_agents.pods_needed(agents, is_begun=begun, is_older_there=older)
    if agents is not None and needs is not in_agents.PodNeed.ALL:
        return podless.plan(inputs, agents, needs)
    return _with_pods(inputs)


def _with_pods(inputs: case.Case) -> case.PlacementPlan:
    names = slots.wanted(inputs)
    held = incumbents.find(inputs.replicas, inputs.before, names, inputs.template)
    causes = slots.forced(inputs, held)
    allowed, waiting = slots.permitted(inputs, causes)
    staying = {slot: incumbent for slot, incumbent in held.items() if slot not in allowed}
    fitting, rejected = candidates.find(inputs.views, prices(inputs.seen))
    nodes = {node.name: node for node in inputs.seen.nodes}
    left_behind = {held[slot].node for slot in allowed}
    offered = [candidate for candidate in fitting if candidate.node.name not in left_behind]
    chosen = choose.fill(
        {
            slot: slots.suitable(inputs, allowed.get(slot), offered)
            for slot in names
            if slot not in staying
        },
        inputs.demand,
        {
            slot: nodes[incumbent.node]
            for slot, incumbent in staying.items()
            if incumbent.node in nodes
        },
        {view.node.name: view.free for view in inputs.views},
    )
    layout = {slot: incumbent.node for slot, incumbent in staying.items()}
    layout |= {slot: held[slot].node for slot in allowed if slot not in chosen}
    layout |= {slot: candidate.node.name for slot, candidate in chosen.items()}
    history = slots.moves(inputs, held, chosen, causes)
    return assembly.assemble(inputs, layout, history, (fitting, rejected), waiting)


def prices(seen: snapshot.Snapshot) -> Mapping[tuple[str, v1alpha1.Tier], float]:
    """Return the price of a CPU hour by (cluster, tier)."""
    by_tier: dict[tuple[str, v1alpha1.Tier], float] = {}
    for cluster in seen.clusters:
        name = cluster.metadata.name
        by_tier[(name, v1alpha1.Tier.EDGE)] = scalars.number(cluster.spec.price.edge)
        by_tier[(name, v1alpha1.Tier.CLOUD)] = scalars.number(cluster.spec.price.cloud)
    return by_tier


def _case(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundPolicy,
    version: v1alpha1.ModelVersion,
    site: str,
    used: Mapping[str, snapshot.ComputeResources],
    own: in_agents.AgentReplicas | None,
    left: pace.Pace,
) -> case.Case:
    namespace, name = bound.key
    demand = _demand(bound, version, site)
    of_site = [node.name for node in seen.nodes if node.site == site]
    reports = health.agent_reports(seen)
    agents = [reports[node] for node in of_site if node in reports]
    evidence = latency.gather(namespace, name, agents)
    full = f"{name}.{site}"
    before = [
        placement for placement in seen.placements if binding.key(placement) == (namespace, full)
    ]
    replicas = [
        replica
        for replica in seen.replicas
        if (replica.namespace, replica.policy, replica.site) == (namespace, name, site)
    ]
    return case.Case(
        seen=seen,
        verdicts=verdicts,
        bound=bound,
        version=version,
        site=site,
        demand=demand,
        evidence=evidence,
        views=tuple(_view(seen, verdicts, demand, evidence, node, used) for node in seen.nodes),
        before=before[0] if before else None,
        replicas=tuple(replicas),
        template=template(seen, bound, version),
        complaints=callers.complaints(agents, namespace, name),
        providers=callers.providers(agents, namespace, name),
        agents=own,
        pace=left,
    )


def template(
    seen: snapshot.Snapshot, bound: binding.BoundPolicy, version: v1alpha1.ModelVersion
) -> str:
    """Hash everything a pod is made from but its node; another hash means another pod."""
    placement = bound.policy.spec.placement
    model = bound.model.spec.document() if bound.model is not None else {}
    parts = (
        seen.serving_image,
        version.metadata.name,
        version.spec.document(),
        model,
        [toleration.document() for toleration in placement.tolerations],
        placement.runtime_class_name,
        placement.priority_class_name,
        [reference.document() for reference in placement.image_pull_secrets],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _used(seen: snapshot.Snapshot, verdicts: health.Health) -> dict[str, snapshot.ComputeResources]:
    """Return what our pods take of each node: also those of policies that are not accepted now.

    A successor that found no room has none, and does not need it as long as its slot is served:
    what serves nobody comes before it.
    """
    served = {
        _slot(replica)
        for replica in seen.replicas
        if replica.phase is snapshot.PodPhase.READY and not verdicts.of(replica.node).is_lost
    }
    used: dict[str, snapshot.ComputeResources] = {}
    for replica in seen.replicas:
        is_waiting = (
            replica.phase is snapshot.PodPhase.PENDING
            and replica.reason == conditions.Reason.UNSCHEDULABLE
            and _slot(replica) in served
        )
        if replica.phase is not snapshot.PodPhase.FAILED and not is_waiting:
            taken = used.get(replica.node, snapshot.ComputeResources())
            used[replica.node] = taken + replica.requests
    return used


def _slot(replica: snapshot.Replica) -> tuple[str, str, str, str]:
    return (replica.namespace, replica.policy, replica.site, replica.slot)


def _moves_made(inputs: case.Case, planned: case.PlacementPlan) -> int:
    """Count this pass's moves; the history is bounded, so its length tells nothing."""
    before = inputs.before.status.moves if inputs.before is not None else ()
    return sum(1 for move in planned.moves if move.from_ is not None and move not in before)


def _demand(
    bound: binding.BoundPolicy, version: v1alpha1.ModelVersion, site: str
) -> candidates.Demand:
    expected = version.spec.expected_inference
    return candidates.Demand(
        namespace=bound.key[0],
        policy=bound.key[1],
        site=site,
        placement=bound.policy.spec.placement,
        requests=_requests(version),
        budget=scalars.seconds(bound.policy.spec.latency_budget),
        expected_inference=(
            scalars.seconds(expected.p99) if expected is not None else DEFAULT_EXPECTED_INFERENCE
        ),
    )


def _view(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    demand: candidates.Demand,
    evidence: latency.Evidence | None,
    node: snapshot.Node,
    used: Mapping[str, snapshot.ComputeResources],
) -> candidates.NodeView:
    """Look at a node; without evidence nothing is predicted of it."""
    ours = used.get(node.name, snapshot.ComputeResources())
    return candidates.NodeView(
        demand=demand,
        node=node,
        assessment=verdicts.of(node.name),
        free=node.allocatable - node.requested - ours,
        prediction=latency.NOTHING
        if evidence is None
        else latency.predict(evidence, node.name, demand.expected_inference, demand.budget),
    )


def _requests(version: v1alpha1.ModelVersion) -> snapshot.ComputeResources:
    asked = version.spec.resources
    accelerator = asked.accelerator
    return snapshot.ComputeResources(
        cpu=round(scalars.quantity(asked.cpu) * 1000),
        memory=round(scalars.quantity(asked.memory)),
        extended=() if accelerator is None else ((accelerator.name, accelerator.count),),
    )
